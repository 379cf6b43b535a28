//! Whether commits succeed, for whoever asks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Where something can be taken away, it is within this time.
const ROOM_IS_MADE_WITHIN: Duration = Duration::from_secs(3);

/// Whether commits succeed, for whoever asks.
#[derive(Debug, Default)]
pub struct Health {
    has_ended: AtomicBool,
    full_since: Mutex<Option<Instant>>,
    failure: Mutex<Option<String>>,
}

impl Health {
    /// What is wrong, if anything is.
    pub fn trouble(&self) -> Option<String> {
        if self.has_ended.load(Ordering::Acquire) {
            return Some("the committer has ended".to_owned());
        }
        if self.is_full() {
            return Some("the store's budget (store.max_size) is spent".to_owned());
        }
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Since when the store's budget has had no room for more.
    pub fn full_since(&self) -> Option<Instant> {
        *self
            .full_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it has been so for longer than it takes to make room.
    pub fn is_full(&self) -> bool {
        let since = self.full_since();
        since.is_some_and(|since| ROOM_IS_MADE_WITHIN < since.elapsed())
    }

    pub(super) fn set_full(&self, is_full: bool) {
        let mut since = self
            .full_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *since = is_full.then(|| since.unwrap_or_else(Instant::now));
    }

    pub(super) fn set(&self, failure: Option<String>) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }

    /// Notes the end of the committer when the guard is dropped, also by a panic.
    pub(super) fn end_on_drop(&self) -> EndOnDrop<'_> {
        EndOnDrop(self)
    }
}

pub(super) struct EndOnDrop<'h>(&'h Health);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.has_ended.store(true, Ordering::Release);
    }
}
