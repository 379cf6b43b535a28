//! A point in time, in milliseconds since 1970-01-01T00:00:00Z. Where it comes from (the clock, a payload) is not this file's business.

use std::{ops::Sub, time::Duration};

use serde::{Deserialize, Serialize};

/// Before this a clock has not been set, so that nothing can be said of how long ago that was: 2020-01-01.
const CLOCK_WAS_SET: Timestamp = Timestamp(1_577_836_800_000);

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The first instant that a reading may carry: 1970-01-01.
    pub const MIN: Self = Self(0);
    /// The first instant that is too late for a reading: 2200-01-01.
    pub const MAX: Self = Self(7_258_118_400_000);

    /// Takes any number of milliseconds, also one outside of what a reading may carry.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whether a reading may carry it: from 1970 up to, not including, 2200.
    pub fn is_plausible(self) -> bool {
        (Self::MIN..Self::MAX).contains(&self)
    }

    /// The time from then to `now`, over a restart; zero if the clock was not set, or went back.
    pub fn gone_until(self, now: Self) -> Duration {
        if CLOCK_WAS_SET <= self {
            now - self
        } else {
            Duration::ZERO
        }
    }
}

impl Sub for Timestamp {
    type Output = Duration;

    /// The time from `earlier` to `self`; zero if the clock went back between them.
    fn sub(self, earlier: Self) -> Duration {
        let millis = self.0.saturating_sub(earlier.0);
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_of_a_clock_that_was_not_set_or_went_back() {
        let check = |then: i64, now: i64, seconds: u64| {
            let gone = Timestamp(then).gone_until(Timestamp(now));
            assert_eq!(gone, Duration::from_secs(seconds), "{then} {now}");
        };
        let set = CLOCK_WAS_SET.0;
        check(set, set + 5000, 5);
        check(set - 1, set + 5000, 0);
        check(0, set, 0);
        check(set + 5000, set, 0);
        check(set, 5000, 0);
        check(i64::MIN, i64::MAX, 0);
    }
}
