//! The clock by which rules wait.

use std::time::{Duration, Instant};

/// The rules' own clock: it goes on where it stood when the gateway went down.
#[derive(Clone, Copy, Debug)]
pub(super) struct RulesClock {
    /// In milliseconds.
    before: i64,
    started: Instant,
    /// As the last commit wrote it.
    kept: i64,
}

/// While the rules wait for something the clock is written so often, in milliseconds: that much of it a kill may take.
const KEEP_EVERY: i64 = 60_000;

impl RulesClock {
    pub(super) fn starting_at(before: i64) -> Self {
        Self {
            before,
            started: Instant::now(),
            kept: before,
        }
    }

    pub(super) fn now(self) -> i64 {
        self.before + i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// It is written as `time`.
    pub(super) fn keeps(&mut self, time: i64) {
        self.kept = time;
    }

    /// When it is to be written again.
    pub(super) fn kept_until(self) -> i64 {
        self.kept + KEEP_EVERY
    }

    /// When it will be `time`.
    pub(super) fn instant(self, time: i64) -> Instant {
        let after = u64::try_from(time - self.before).unwrap_or(0);
        self.started + Duration::from_millis(after)
    }
}
