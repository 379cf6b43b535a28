//! A WebSocket as a stream of bytes: MQTT packets may span frames and share them (MQTT 5.0, section 6.0).
//!
//! Invariant: it holds one message that was read and one that is written, never more; who does not read gets no further
//! ones. It loses nothing when a read or a write is given up half-way.

use std::io;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Bytes, Message};

use crate::broker::wire::MAX_SEND_BYTES;

/// Kept for each connection, as long as it lives.
const READ_BYTES: usize = 4 << 10;
/// A message may be so much longer than the longest packet: clients put several into one, and a packet that is too long
/// is refused by MQTT, which can say so.
const MESSAGE_MARGIN: usize = 64 << 10;

/// The WebSocket of one client.
pub(super) struct Binary<S> {
    socket: WebSocketStream<S>,
    /// What is left of the last message that was read.
    unread: Bytes,
    /// What the client did wrong.
    fault: Option<CloseCode>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Binary<S> {
    /// A fresh WebSocket on `stream`, from which `read` has been read already.
    pub(super) async fn new(stream: S, read: Vec<u8>, max_packet: u32) -> Self {
        let max_message = (max_packet as usize).saturating_add(MESSAGE_MARGIN);
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(0)
            // One message, and pongs for who asks but does not read.
            .max_write_buffer_size(2 * MAX_SEND_BYTES)
            .max_message_size(Some(max_message))
            .max_frame_size(Some(max_message));
        let socket =
            WebSocketStream::from_partially_read(stream, read, Role::Server, Some(config)).await;
        Self {
            socket,
            unread: Bytes::new(),
            fault: None,
        }
    }

    /// The WebSocket, and what the client did wrong with it.
    pub(super) fn into_parts(self) -> (WebSocketStream<S>, Option<CloseCode>) {
        (self.socket, self.fault)
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.unread.is_empty() {
            let code = match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) => {
                    self.unread = bytes;
                    continue;
                }
                // A ping is answered with the next turn.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                None | Some(Ok(Message::Close(_))) => return Poll::Ready(Ok(())),
                // MQTT 5.0, section 6.0: binary frames only.
                Some(Ok(Message::Text(_) | Message::Frame(_))) => CloseCode::Unsupported,
                Some(Err(error)) => match code_of(&error) {
                    Some(code) => code,
                    None => return Poll::Ready(Err(io::Error::other(error))),
                },
            };
            self.fault = Some(code);
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        let part = self
            .unread
            .split_to(self.unread.len().min(buffer.remaining()));
        buffer.put_slice(&part);
        Poll::Ready(Ok(()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // Not before the last message has gone, so that there is never more than one.
        ready!(self.poll_flush(cx))?;
        let part = &bytes[..bytes.len().min(MAX_SEND_BYTES)];
        let message = Message::Binary(Bytes::copy_from_slice(part));
        let started = Pin::new(&mut self.socket).start_send(message);
        Poll::Ready(started.map(|()| part.len()).map_err(io::Error::other))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        flushed.map_err(io::Error::other)
    }
}

/// How to close after an error that is the client's fault; `None` if there is nobody to tell.
fn code_of(error: &tungstenite::Error) -> Option<CloseCode> {
    use tungstenite::error::ProtocolError::{ReceivedAfterClosing, ResetWithoutClosingHandshake};
    match error {
        tungstenite::Error::Capacity(_) => Some(CloseCode::Size),
        tungstenite::Error::Utf8(_) => Some(CloseCode::Invalid),
        tungstenite::Error::Protocol(ReceivedAfterClosing | ResetWithoutClosingHandshake) => None,
        tungstenite::Error::Protocol(_) => Some(CloseCode::Protocol),
        _ => None,
    }
}

/// Reader or writer of a WebSocket. Both are of one task, so that nobody ever waits for the lock.
pub(super) struct Half<'s, S>(pub(super) &'s Mutex<Binary<S>>);

impl<S> Half<'_, S> {
    fn whole(&self) -> MutexGuard<'_, Binary<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Half<'_, S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.whole().poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Half<'_, S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.whole().poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.whole().poll_flush(cx)
    }

    /// The close frame is sent by who has the whole.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.whole().poll_flush(cx)
    }
}
