//! Whether commits succeed, for whoever asks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::store::Progress;

/// Whether commits succeed, for whoever asks.
#[derive(Debug, Default)]
pub struct Health {
    has_ended: AtomicBool,
    needs_room: AtomicBool,
    has_nothing_to_remove: AtomicBool,
    room_wanted: Notify,
    failure: Mutex<Option<String>>,
    salvage: Mutex<Option<Progress>>,
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

    /// How far the salvage of a damaged store is, while one runs.
    pub fn salvage(&self) -> Option<Progress> {
        self.salvage
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Says how far it is.
    pub fn set_salvage(&self, progress: Option<Progress>) {
        *self.salvage.lock().unwrap_or_else(PoisonError::into_inner) = progress;
    }

    /// Whether the store's budget is spent, and nothing may be taken away from it.
    pub fn is_full(&self) -> bool {
        self.needs_room() && self.has_nothing_to_remove.load(Ordering::Acquire)
    }

    /// Whether the committer waits for room.
    pub(super) fn needs_room(&self) -> bool {
        self.needs_room.load(Ordering::Acquire)
    }

    pub(super) fn set_needs_room(&self, needs_room: bool) {
        if !self.needs_room.swap(needs_room, Ordering::AcqRel) && needs_room {
            self.set_nothing_to_remove(false);
            self.room_wanted.notify_one();
        }
    }

    /// Waits until the committer begins to wait for room.
    pub(super) async fn room_wanted(&self) {
        self.room_wanted.notified().await;
    }

    pub(super) fn set_nothing_to_remove(&self, has_nothing: bool) {
        self.has_nothing_to_remove
            .store(has_nothing, Ordering::Release);
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
