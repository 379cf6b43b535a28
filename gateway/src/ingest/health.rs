//! Whether commits succeed, for whoever asks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::store::Progress;

/// Whether commits succeed, for whoever asks.
#[derive(Debug, Default)]
pub struct Health {
    has_ended: AtomicBool,
    failure: Mutex<Option<String>>,
    salvage: Mutex<Option<Progress>>,
}

impl Health {
    /// What is wrong, if anything is.
    pub fn trouble(&self) -> Option<String> {
        if self.has_ended.load(Ordering::Acquire) {
            return Some("the committer has ended".to_owned());
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
