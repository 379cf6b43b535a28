//! Socket and protocol together: bytes in, bytes out, and why that ends.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time;

use super::acknowledge::Goodbye;
use super::connect::Connect;
use super::protocol::{Disconnect, Incoming, Protocol};
use super::scratch::{self, Scratch};
use super::violation::Violation;

/// A client that is told goodbye has so long to take it.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);
/// Nothing more is put into a send buffer that has so many bytes.
pub(super) const MAX_SEND_BYTES: usize = 64 << 10;
/// An empty send buffer keeps room for so many.
const KEPT_SEND_BYTES: usize = 4 << 10;

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// Its will is not wanted unless it says so.
    #[error("the client disconnected")]
    Disconnected(Disconnect),
    #[error("the socket closed or failed")]
    Lost,
    #[error(transparent)]
    Violated(#[from] Violation),
    #[error("{0:?}")]
    Said(Goodbye),
}

/// Socket and protocol.
pub(super) struct Wire<R, W> {
    pub(super) reader: R,
    pub(super) writer: W,
    pub(super) protocol: Protocol,
    /// What was wrong behind packets of the same read: those come first.
    pub(super) deferred: Option<End>,
    /// Whether the writer still holds something that it has not passed on: TLS does.
    pub(super) is_unflushed: bool,
}

/// One step of sending `out`: gives how many bytes of it the writer took. If there are none, the writer is made to pass
/// on what it holds. Loses nothing when it is dropped before it is done.
pub(super) async fn send<W: AsyncWrite + Unpin>(
    writer: &mut W,
    out: &[u8],
    is_unflushed: &mut bool,
) -> io::Result<usize> {
    poll_fn(|cx| {
        let mut count = 0;
        if !out.is_empty() {
            count = ready!(Pin::new(&mut *writer).poll_write(cx, out))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        let flushed = Pin::new(&mut *writer).poll_flush(cx)?;
        *is_unflushed = flushed.is_pending();
        match flushed {
            Poll::Pending if count == 0 => Poll::Pending,
            _ => Poll::Ready(Ok(count)),
        }
    })
    .await
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Wire<R, W> {
    /// A fresh connection that accepts packets of at most `max_packet` bytes.
    pub(super) fn new(reader: R, writer: W, max_packet: u32) -> Self {
        Self {
            reader,
            writer,
            protocol: Protocol::new(max_packet),
            deferred: None,
            is_unflushed: false,
        }
    }

    /// Reads up to the CONNECT; what the client sent behind it is left in `incoming`.
    pub(super) async fn greet(
        &mut self,
        incoming: &mut Vec<Incoming>,
    ) -> Result<Box<Connect>, End> {
        while incoming.is_empty() {
            let read = scratch::read(&mut self.reader).await;
            let taken = self.take(read, incoming);
            if incoming.is_empty() {
                taken?;
            } else {
                self.deferred = taken.err();
            }
        }
        match incoming.remove(0) {
            Incoming::Connect(connect) => Ok(connect),
            _ => Err(Violation::protocol("the first packet is no CONNECT").into()),
        }
    }

    pub(super) fn take(
        &mut self,
        read: io::Result<Scratch>,
        incoming: &mut Vec<Incoming>,
    ) -> Result<(), End> {
        let read = read.map_err(|_| End::Lost)?;
        if read.bytes().is_empty() {
            return Err(End::Lost);
        }
        Ok(self.protocol.receive(read.bytes(), incoming)?)
    }

    pub(super) fn wrote(&mut self, count: &io::Result<usize>) -> Result<(), End> {
        match count {
            Err(_) => Err(End::Lost),
            Ok(count) => {
                let out = &mut self.protocol.out;
                out.drain(..*count);
                out.shrink_to(if out.is_empty() {
                    KEPT_SEND_BYTES
                } else {
                    MAX_SEND_BYTES
                });
                Ok(())
            }
        }
    }

    pub(super) async fn flush_and_close(&mut self) {
        let goodbye = async {
            self.writer.write_all(&self.protocol.out).await?;
            self.writer.shutdown().await
        };
        // Whoever does not take it in time does not get it.
        time::timeout(GOODBYE_TIMEOUT, goodbye).await.ok();
    }
}
