//! A request's body that goes out no faster than it may, and is counted as it goes.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::lock;
use crate::forwarder::rate::Bucket;

/// While a rate is kept so much goes at once.
const PIECE_BYTES: usize = 4096;

pub(super) struct Paced {
    rest: Bytes,
    /// Bytes of the request's head, which go with the first piece.
    head: usize,
    bucket: Option<Arc<Mutex<Bucket>>>,
    wait: Option<(usize, Pin<Box<Sleep>>)>,
    sent: Arc<AtomicU64>,
}

impl Paced {
    pub(super) fn new(
        body: Vec<u8>,
        head: usize,
        bucket: Option<Arc<Mutex<Bucket>>>,
        sent: Arc<AtomicU64>,
    ) -> Self {
        Self {
            rest: body.into(),
            head,
            bucket,
            wait: None,
            sent,
        }
    }

    fn piece(&mut self, length: usize) -> Frame<Bytes> {
        let bytes = length + std::mem::take(&mut self.head);
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
        Frame::data(self.rest.split_to(length))
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let Some(bucket) = self.bucket.clone() else {
            let length = self.rest.len();
            return Poll::Ready(Some(Ok(self.piece(length))));
        };
        let head = self.head;
        let length = self.rest.len().min(PIECE_BYTES);
        let (length, wait) = self.wait.get_or_insert_with(|| {
            let at = lock(&bucket).take(length + head, Instant::now());
            (length, Box::pin(sleep_until(at)))
        });
        ready!(wait.as_mut().poll(context));
        let length = *length;
        self.wait = None;
        Poll::Ready(Some(Ok(self.piece(length))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
