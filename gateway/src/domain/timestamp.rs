//! A point in time, in milliseconds since 1970-01-01T00:00:00Z. Where it comes from (the clock, a payload) is not this file's business.

use std::{ops::Sub, time::Duration};

use serde::{Deserialize, Serialize};

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
}

impl Sub for Timestamp {
    type Output = Duration;

    /// The time from `earlier` to `self`; zero if the clock went back between them.
    fn sub(self, earlier: Self) -> Duration {
        let millis = self.0.saturating_sub(earlier.0);
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }
}
