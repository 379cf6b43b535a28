//! The memory of all sessions that outlive their connections: what waits for them, their filters and their wills.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What they have together, and may have.
#[derive(Clone, Debug)]
pub(in crate::broker) struct Total {
    bytes: Arc<AtomicUsize>,
    max_bytes: usize,
}

/// A part of it, given back when it is dropped.
#[derive(Debug)]
pub(in crate::broker) struct Room {
    total: Total,
    bytes: usize,
}

impl Total {
    pub(in crate::broker) fn new(max_bytes: usize) -> Self {
        Self {
            bytes: Arc::default(),
            max_bytes,
        }
    }

    /// For a message. Messages leave a quarter to filters and wills: who has been away for long must not keep others from
    /// coming.
    pub(super) fn has_room_for(&self, bytes: usize) -> bool {
        self.bytes.load(Ordering::Relaxed) + bytes <= self.max_bytes / 4 * 3
    }

    /// Room for so much, if there is, where `owned` is not in the way: it belongs to who asks.
    pub(in crate::broker) fn take(&self, bytes: usize, owned: usize) -> Option<Room> {
        let grow = |used| Some(used + bytes).filter(|sum| *sum <= self.max_bytes + owned);
        let taken = self
            .bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow);
        let total = self.clone();
        taken.ok().map(|_| Room { total, bytes })
    }

    /// Room for what is there already, even if it is too much.
    pub(in crate::broker) fn hold(&self, bytes: usize) -> Room {
        self.change(0, bytes);
        let total = self.clone();
        Room { total, bytes }
    }

    pub(super) fn change(&self, before: usize, after: usize) {
        self.bytes.fetch_add(after, Ordering::Relaxed);
        self.bytes.fetch_sub(before, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(in crate::broker) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Room {
    pub(in crate::broker) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.total.change(self.bytes, 0);
    }
}
