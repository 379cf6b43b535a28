//! What a fleet has done so far, readable while it runs.
//!
//! Invariant: `acked <= published`, at every moment.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use serde::Serialize;
use tokio::sync::Notify;

use crate::fleet::ledger::Reading;

/// A moment's counts of a whole fleet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Readings handed to the MQTT client.
    pub published: u64,
    /// Readings that the broker has acknowledged: PUBACK, at QoS 2 PUBREC; none at QoS 0.
    pub acked: u64,
    /// Those of `acked` with a value above 75.
    pub acked_over_75: u64,
    /// Those of `acked` with a value above 50.
    pub acked_over_50: u64,
    /// Publishes sent once more after a connection broke: the broker may have had them already.
    pub resent: u64,
    /// Connections that the broker has accepted and that are up.
    pub connected: u64,
    /// Connections that broke, and attempts that failed.
    pub disconnects: u64,
}

/// The counters behind [`Counts`].
#[derive(Debug)]
pub(super) struct Counters {
    pub(super) published: AtomicU64,
    pub(super) acked: AtomicU64,
    pub(super) acked_over_75: AtomicU64,
    pub(super) acked_over_50: AtomicU64,
    pub(super) resent: AtomicU64,
    pub(super) connected: AtomicU64,
    pub(super) disconnects: AtomicU64,
    acked_of: Mutex<Box<[Acked]>>,
    last_error: Mutex<Option<String>>,
    pub(super) changed: Notify,
}

/// The readings of one sensor that are acknowledged.
#[derive(Clone, Debug, Default)]
struct Acked {
    /// All from 1 to here.
    upto: u64,
    /// Those behind a gap: after a connection broke in the middle of sending again, the client sends in another order.
    beyond: BTreeSet<u64>,
}

impl Acked {
    fn add(&mut self, seq: u64) {
        self.beyond.insert(seq);
        while self.beyond.remove(&(self.upto + 1)) {
            self.upto += 1;
        }
    }
}

impl Counters {
    pub(super) fn new(sensors: u32) -> Self {
        Self {
            published: AtomicU64::new(0),
            acked: AtomicU64::new(0),
            acked_over_75: AtomicU64::new(0),
            acked_over_50: AtomicU64::new(0),
            resent: AtomicU64::new(0),
            connected: AtomicU64::new(0),
            disconnects: AtomicU64::new(0),
            acked_of: Mutex::new(vec![Acked::default(); sensors as usize].into()),
            last_error: Mutex::new(None),
            changed: Notify::new(),
        }
    }

    pub(super) fn count_acked(&self, reading: Reading) {
        self.acked.fetch_add(1, SeqCst);
        if 75.0 < reading.value {
            self.acked_over_75.fetch_add(1, SeqCst);
        }
        if 50.0 < reading.value {
            self.acked_over_50.fetch_add(1, SeqCst);
        }
        self.acked()[reading.sensor as usize - 1].add(reading.seq);
        self.changed.notify_waiters();
    }

    pub(super) fn note_error(&self, error: String) {
        *self
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    pub(super) fn last_error(&self) -> Option<String> {
        self.last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn acked_of(&self) -> Vec<u64> {
        self.acked().iter().map(|acked| acked.upto).collect()
    }

    fn acked(&self) -> MutexGuard<'_, Box<[Acked]>> {
        self.acked_of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The parts are read in the opposite order of their counting, or a part could exceed its whole.
    pub(super) fn read(&self) -> Counts {
        let acked_over_50 = self.acked_over_50.load(SeqCst);
        let acked_over_75 = self.acked_over_75.load(SeqCst);
        let acked = self.acked.load(SeqCst);
        Counts {
            published: self.published.load(SeqCst),
            acked,
            acked_over_75,
            acked_over_50,
            resent: self.resent.load(SeqCst),
            connected: self.connected.load(SeqCst),
            disconnects: self.disconnects.load(SeqCst),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_holds_back_what_is_acknowledged_behind_it() {
        let counters = Counters::new(1);
        let ack = |seq| {
            counters.count_acked(Reading {
                sensor: 1,
                seq,
                value: 80.0,
            });
            counters.acked_of()
        };
        assert_eq!(ack(1), [1]);
        assert_eq!(ack(4), [1]);
        assert_eq!(ack(2), [2]);
        assert_eq!(ack(3), [4]);
    }
}
