//! Who may come in, and the cutting of connections: one, or all at once when an outage begins.
//!
//! A connection that is cut ends as a broken link does: no answer, no TLS farewell.

use std::{
    io,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Open, or shut during an outage.
#[derive(Debug)]
pub(super) struct Door {
    /// Cuts all connections let in since the door was last opened; `None` while it is shut.
    open: Mutex<Option<CancellationToken>>,
}

/// What a connection runs over: TCP, or TLS over it.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<Stream: AsyncRead + AsyncWrite + Send + Unpin> Wire for Stream {}

/// A connection that can be cut.
pub(super) struct Connection {
    wire: Box<dyn Wire>,
    cut: CancellationToken,
    cutting: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Door {
    pub(super) fn new() -> Self {
        Self {
            open: Mutex::new(Some(CancellationToken::new())),
        }
    }

    /// What will cut the newcomer; `None` if nobody may come in.
    pub(super) fn admit(&self) -> Option<CancellationToken> {
        self.open().as_ref().map(CancellationToken::child_token)
    }

    /// Cuts all connections and lets nobody in.
    pub(super) fn shut(&self) {
        if let Some(connections) = self.open().take() {
            connections.cancel();
        }
    }

    /// Lets connections in again.
    pub(super) fn open_again(&self) {
        self.open().get_or_insert_default();
    }

    fn open(&self) -> MutexGuard<'_, Option<CancellationToken>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    pub(super) fn new(wire: Box<dyn Wire>, cut: CancellationToken) -> Self {
        let cutting = Box::pin(cut.clone().cancelled_owned());
        Self { wire, cut, cutting }
    }

    /// Cuts this connection when cancelled.
    pub(super) fn cut(&self) -> CancellationToken {
        self.cut.clone()
    }

    /// An error once the connection is cut; wakes the task when that happens.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        // The future must not be polled after it was ready.
        if self.cut.is_cancelled() || self.cutting.as_mut().poll(context).is_ready() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.wire).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.wire).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.wire).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.wire).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn shutting_the_door_wakes_and_ends_a_waiting_connection() {
        let door = Door::new();
        let (_far, near) = tokio::io::duplex(64);
        let mut connection = Connection::new(Box::new(near), door.admit().unwrap());
        let (read, ()) = tokio::join!(connection.read_u8(), async { door.shut() });
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert!(connection.write_u8(1).await.is_err());
        assert!(door.admit().is_none());
        door.open_again();
        assert!(!door.admit().unwrap().is_cancelled());
    }

    #[tokio::test]
    async fn one_connection_is_cut_alone() {
        let door = Door::new();
        let other = door.admit().unwrap();
        let (_far, near) = tokio::io::duplex(64);
        let mut connection = Connection::new(Box::new(near), door.admit().unwrap());
        connection.cut().cancel();
        assert!(connection.write_u8(1).await.is_err());
        assert!(!other.is_cancelled());
    }
}
