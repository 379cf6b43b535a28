//! What a fleet has done so far, readable while it runs.
//!
//! Invariant: `acked <= published`, at every moment.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::SeqCst},
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
    acked_of: Box<[AtomicU64]>,
    last_error: Mutex<Option<String>>,
    pub(super) changed: Notify,
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
            acked_of: (0..sensors).map(|_| AtomicU64::new(0)).collect(),
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
        self.acked_of[reading.sensor as usize - 1].fetch_max(reading.seq, SeqCst);
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
        self.acked_of
            .iter()
            .map(|acked| acked.load(SeqCst))
            .collect()
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
