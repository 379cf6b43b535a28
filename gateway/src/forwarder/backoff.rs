//! How long to wait before the next try: exponential, with full jitter. Pure: chance comes in as a number.
//!
//! Full jitter (a wait anywhere between nothing and the bound) is what spreads a fleet of gateways best after an outage:
//! <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>.

use std::time::Duration;

/// A `Retry-After` is honoured up to here.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// The waits between the tries of one batch.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    initial: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    /// The bound begins at `initial` and doubles with each failure up to `max`.
    pub(super) fn new(initial: Duration, max: Duration) -> Self {
        Self {
            initial,
            max,
            failures: 0,
        }
    }

    /// The wait after a failure. `chance` is evenly spread over 0 to 1. What the cloud asked for is never cut short; a part
    /// of it comes on top, because it may have asked the whole fleet for the same point in time.
    pub(super) fn after_failure(&mut self, chance: f64, retry_after: Option<Duration>) -> Duration {
        let bound = self
            .initial
            .saturating_mul(2_u32.saturating_pow(self.failures))
            .min(self.max);
        self.failures = self.failures.saturating_add(1);
        let asked = self.asked(retry_after);
        asked + bound.max(asked / 10).mul_f64(chance.clamp(0.0, 1.0))
    }

    /// What the cloud asked for, up to an hour.
    pub(super) fn asked(&self, retry_after: Option<Duration>) -> Duration {
        retry_after.unwrap_or_default().min(MAX_RETRY_AFTER)
    }

    /// The same before its first failure.
    pub(super) fn first(&self) -> Self {
        Self::new(self.initial, self.max)
    }

    /// The wait while the cloud has to be put right by people: the bound itself.
    pub(super) fn held(&self, retry_after: Option<Duration>) -> Duration {
        self.max.max(self.asked(retry_after))
    }

    /// To be called after a success.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_bound_doubles_up_to_its_maximum() {
        let mut backoff = Backoff::new(SECOND, 10 * SECOND);
        let waits: Vec<u64> = (0..6)
            .map(|_| backoff.after_failure(1.0, None).as_secs())
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 10, 10]);
        backoff.reset();
        assert_eq!(backoff.after_failure(1.0, None), SECOND);
    }

    #[test]
    fn the_jitter_is_full() {
        let mut backoff = Backoff::new(8 * SECOND, 8 * SECOND);
        assert_eq!(backoff.after_failure(0.0, None), Duration::ZERO);
        assert_eq!(backoff.after_failure(0.5, None), 4 * SECOND);
    }

    #[test]
    fn retry_after_is_honoured_above_the_maximum_up_to_an_hour() {
        let mut backoff = Backoff::new(SECOND, 10 * SECOND);
        let hour = 3600 * SECOND;
        assert_eq!(backoff.after_failure(0.0, Some(5 * SECOND)), 5 * SECOND);
        assert_eq!(backoff.after_failure(1.0, Some(5 * SECOND)), 7 * SECOND);
        assert_eq!(backoff.after_failure(1.0, Some(60 * SECOND)), 66 * SECOND);
        assert_eq!(backoff.after_failure(0.0, Some(99_999 * SECOND)), hour);
        assert_eq!(
            backoff.after_failure(1.0, Some(99_999 * SECOND)),
            hour + hour / 10
        );
        assert_eq!(backoff.held(None), 10 * SECOND);
        assert_eq!(backoff.held(Some(60 * SECOND)), 60 * SECOND);
    }

    #[test]
    fn many_failures_do_not_overflow() {
        let mut backoff = Backoff::new(SECOND, 300 * SECOND);
        backoff.failures = u32::MAX;
        assert_eq!(backoff.after_failure(1.0, None), 300 * SECOND);
    }
}
