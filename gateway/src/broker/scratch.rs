//! Memory to read into, one piece for each thread that reads: a client that sends nothing has none.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// As much is read at once.
const BYTES: usize = 64 << 10;

thread_local! {
    /// Empty while it is in use, and before that.
    static FREE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What was read; to be dropped before anything is waited for, so that its memory serves the next client.
pub(super) struct Scratch {
    memory: Vec<u8>,
    length: usize,
}

impl Scratch {
    fn take() -> Self {
        let mut memory = FREE.take();
        memory.resize(BYTES, 0);
        Self { memory, length: 0 }
    }

    /// The bytes; none at the end of the stream.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.memory[..self.length]
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The thread may be ending.
        FREE.try_with(|free| free.set(mem::take(&mut self.memory)))
            .ok();
    }
}

/// Reads what there is. Holds no memory while it waits, and loses nothing when it is dropped before it is done.
pub(super) async fn read<R: AsyncRead + Unpin>(reader: &mut R) -> io::Result<Scratch> {
    poll_fn(|cx| {
        let mut scratch = Scratch::take();
        let mut buffer = ReadBuf::new(&mut scratch.memory);
        ready!(Pin::new(&mut *reader).poll_read(cx, &mut buffer))?;
        scratch.length = buffer.filled().len();
        Poll::Ready(Ok(scratch))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn memory_is_used_again_and_shows_only_what_was_read() {
        let first = read(&mut &b"a long one"[..]).await.unwrap();
        assert_eq!(first.bytes(), b"a long one");
        let second = read(&mut &b"two at once"[..]).await.unwrap();
        assert_eq!(second.bytes(), b"two at once");
        let place = second.memory.as_ptr();
        drop(first);
        drop(second);
        let third = read(&mut &b"short"[..]).await.unwrap();
        assert_eq!(
            (third.bytes(), third.memory.as_ptr()),
            (&b"short"[..], place)
        );
        drop(third);
        assert_eq!(read(&mut &b""[..]).await.unwrap().bytes(), b"");
    }
}
