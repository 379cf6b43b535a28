//! MQTT over WebSocket (RFC 6455; MQTT 5.0, section 6): the handshake in `upgrade`, what is asked of it in `request`, and
//! the frames as a stream of bytes in `stream`. What MQTT says is `connection`'s.

mod request;
mod stream;
mod upgrade;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_util::sync::CancellationToken;

use self::request::Refusal;
use self::stream::{Binary, Half};
use self::upgrade::Failure;
use super::Shared;
use super::connection::{self, Caller};
use crate::access::OwnNames;
use crate::config::Mqtt;
use crate::domain::origin::Origin;
use crate::metrics::Limit;

/// A client that is told goodbye has so long to take and to answer it.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// Whose web pages may come.
#[derive(Debug)]
pub(super) struct Pages {
    allowed: Vec<Origin>,
    own_names: OwnNames,
}

impl Pages {
    pub(super) fn new(config: &Mqtt) -> Self {
        Self {
            allowed: config.allowed_origins.clone(),
            own_names: OwnNames::new(config.anonymous, config.host_name.clone()),
        }
    }
}

/// Serves a client that comes on `stream`, from the handshake to the close frame.
pub(super) async fn serve<S>(
    mut stream: S,
    peer: SocketAddr,
    pages: &Pages,
    caller: Caller,
    shared: Arc<Shared>,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // Boxed as is the goodbye: a client that stays has no room for them.
    let handshake = Box::pin(upgrade::accept(&mut stream, pages));
    let accepted = tokio::select! {
        accepted = time::timeout(shared.limits.connect_timeout, handshake) => accepted,
        () = stop.cancelled() => return,
    };
    let read = match accepted {
        Ok(Ok(read)) => read,
        Ok(Err(Failure::Refused(Refusal::ForeignPage(origin)))) => {
            return tracing::info!(%peer, ?origin, "web page refused: its origin is not in mqtt.allowed_origins");
        }
        Ok(Err(error)) => return tracing::debug!(%peer, %error, "no WebSocket was made"),
        Err(_) => {
            shared.metrics.limited(Limit::ConnectTimeout);
            return tracing::debug!(%peer, "no request for a WebSocket in time");
        }
    };
    run(stream, read, caller, shared, stop).await;
}

/// Serves a client whose handshake is done; `read` is what it sent behind it.
pub(super) async fn run<S>(
    stream: S,
    read: Vec<u8>,
    caller: Caller,
    shared: Arc<Shared>,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let socket = Mutex::new(Binary::new(stream, read, shared.max_packet).await);
    connection::serve(Half(&socket), Half(&socket), caller, shared, stop.clone()).await;
    let socket = socket.into_inner().unwrap_or_else(PoisonError::into_inner);
    let code = if stop.is_cancelled() {
        CloseCode::Away
    } else {
        CloseCode::Normal
    };
    // Whoever does not take it in time does not get it.
    time::timeout(GOODBYE_TIMEOUT, Box::pin(say_goodbye(socket, code)))
        .await
        .ok();
}

/// Closes the WebSocket, for what the client did wrong or else with `code`, and waits until the client has as well.
async fn say_goodbye<S>(socket: Binary<S>, code: CloseCode)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut socket, fault) = socket.into_parts();
    let frame = CloseFrame {
        code: fault.unwrap_or(code),
        reason: "".into(),
    };
    // An error says that the client closed first: the answer to that goes out with the next read.
    socket.close(Some(frame)).await.ok();
    if fault.is_none() {
        while let Some(Ok(_)) = socket.next().await {}
    }
    let stream = socket.get_mut();
    if stream.shutdown().await.is_ok() && fault.is_some() {
        // What comes now can be anything.
        upgrade::discard(stream).await.ok();
    }
}
