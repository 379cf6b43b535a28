//! What is to be stored of sessions and found no room at the committer, or nobody to bring it there.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Hub;
use crate::store::sessions::Change;

/// Changes by session, in their order.
#[derive(Debug, Default)]
pub(super) struct Late {
    changes: Mutex<HashMap<i64, Vec<Change>>>,
    /// How many: mostly there are none, and everybody asks.
    count: AtomicUsize,
}

impl Late {
    pub(super) fn add(&self, changes: impl IntoIterator<Item = Change>) {
        let mut late = self.lock();
        for change in changes {
            if let Some(session) = change.session() {
                late.entry(session).or_default().push(change);
                self.count.fetch_add(1, Ordering::Release);
            }
        }
    }

    pub(super) fn take(&self, session: i64) -> Vec<Change> {
        if self.is_empty() {
            return Vec::new();
        }
        let changes = self.lock().remove(&session).unwrap_or_default();
        self.count.fetch_sub(changes.len(), Ordering::Release);
        changes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    pub(super) fn sessions(&self) -> Vec<i64> {
        self.lock().keys().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Vec<Change>>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hub {
    /// Keeps changes until somebody brings them to the committer: the session's connection, or `expiry`.
    pub(in crate::broker) fn owe(&self, changes: impl IntoIterator<Item = Change>) {
        self.late.add(changes);
    }

    /// Whether something of a session is late.
    pub(in crate::broker) fn is_late(&self, session: i64) -> bool {
        !self.late.is_empty() && self.late.lock().contains_key(&session)
    }

    /// Takes what is late of a session; it comes before all else of it.
    pub(in crate::broker) fn take_late(&self, session: i64) -> Vec<Change> {
        self.late.take(session)
    }
}
