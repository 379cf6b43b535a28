//! Somebody who came by HTTP and goes on to the broker, over the same connection.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::access::Identity;

/// A connection that is a WebSocket from now on.
pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// What a connection becomes once its last HTTP answer is out.
pub type Upgrade = Pin<Box<dyn Future<Output = io::Result<Box<dyn Socket>>> + Send>>;

/// Somebody on the way to the broker.
pub struct Guest {
    pub upgrade: Upgrade,
    pub peer: SocketAddr,
    /// Who it is, unless it says something else with a password.
    pub identity: Identity,
}

impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guest")
            .field("peer", &self.peer)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}
