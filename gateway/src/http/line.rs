//! A connection's socket, and what is under way on it: so that a stop knows what to wait for, and so that nobody who does not
//! read keeps a connection for ever.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{self, Sleep};

/// A client that has not taken a single byte of its answer for so long does not want it.
const WRITE_PATIENCE: Duration = Duration::from_secs(60);

/// What is under way on one connection.
#[derive(Debug, Default)]
pub(super) struct Flight {
    /// Requests that have no answer yet. An answer is whole when it is there; one that is streamed may be broken off, which
    /// the client sees.
    unanswered: AtomicUsize,
    /// The socket did not take all that was to be written.
    is_writing: AtomicBool,
    /// There is no HTTP on it any more.
    has_ended: AtomicBool,
}

impl Flight {
    pub(super) fn is_over(&self) -> bool {
        self.unanswered.load(Ordering::Relaxed) == 0 && !self.is_writing.load(Ordering::Relaxed)
    }

    pub(super) fn end(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
    }
}

/// Counts a request for as long as it has no answer.
pub(super) struct Answering(Arc<Flight>);

impl Answering {
    pub(super) fn begin(flight: &Arc<Flight>) -> Self {
        flight.unanswered.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(flight))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.unanswered.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A socket that tells whether a write is held up, and does not wait for it for ever.
pub(super) struct Line<S> {
    socket: S,
    flight: Arc<Flight>,
    /// Runs while a write is held up.
    patience: Option<Pin<Box<Sleep>>>,
}

impl<S> Line<S> {
    pub(super) fn new(socket: S, flight: Arc<Flight>) -> Self {
        Self {
            socket,
            flight,
            patience: None,
        }
    }

    fn written<T>(
        &mut self,
        turn: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        let is_held_up = turn.is_pending();
        self.flight.is_writing.store(is_held_up, Ordering::Relaxed);
        if !is_held_up {
            self.patience = None;
            return turn;
        }
        if self.flight.has_ended.load(Ordering::Relaxed) {
            return turn;
        }
        let sleep = || Box::pin(time::sleep(WRITE_PATIENCE));
        let patience = self.patience.get_or_insert_with(sleep);
        let is_over = patience.as_mut().poll(context);
        is_over.map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Line<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Line<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let turn = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.written(turn, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let turn = Pin::new(&mut self.socket).poll_write_vectored(context, parts);
        self.written(turn, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let turn = Pin::new(&mut self.socket).poll_flush(context);
        self.written(turn, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
