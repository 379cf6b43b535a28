//! One batch that is recorded and not settled, and what became of it so far.

use tokio::time::Instant;

use crate::forwarder::backoff::Backoff;
use crate::forwarder::lanes::Lane;
use crate::store::outbox::Batch;

/// So many have got through, and so many have not.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) deliveries: u64,
    pub(super) failures: u64,
}

/// A batch and its tries.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) batch: Batch,
    pub(super) lane: Lane,
    /// It may go while only tagged readings may.
    pub(super) has_tagged: bool,
    pub(super) is_sending: bool,
    pub(super) last_try: Option<Instant>,
    pub(super) not_before: Instant,
    /// At its last failure; of all that failed together, when the first of them did.
    pub(super) failed_at: Option<Tally>,
    pub(super) failing_since: Option<Instant>,
    /// Why it is held, if that was its last answer.
    pub(super) held: Option<String>,
    /// Of its own.
    pub(super) backoff: Option<Backoff>,
}

impl Flight {
    pub(super) fn new(batch: Batch, lane: Lane, has_tagged: bool, now: Instant) -> Self {
        Self {
            batch,
            lane,
            has_tagged,
            is_sending: false,
            last_try: None,
            not_before: now,
            failed_at: None,
            failing_since: None,
            held: None,
            backoff: None,
        }
    }

    /// Whether it is the batch and not the link or the receiver: since its last failure most others have got through.
    pub(super) fn fails_alone(&self, tally: Tally) -> bool {
        let Some(before) = self.failed_at else {
            return false;
        };
        let deliveries = tally.deliveries - before.deliveries;
        // This failure is one of them.
        let failures = tally.failures - before.failures - 1;
        let is_known = self.backoff.is_some() && failures == 0;
        is_known || failures < deliveries
    }

    pub(super) fn fails(&mut self, tally: Tally, held: Option<String>, now: Instant) {
        self.failed_at = Some(tally);
        self.failing_since.get_or_insert(now);
        self.held = held;
    }
}
