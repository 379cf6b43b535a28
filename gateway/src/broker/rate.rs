//! A token bucket: so many publishes a second, a second's worth of them at once. Pure: time comes in as `now`.

use std::num::NonZeroUsize;
use std::time::Duration;

use tokio::time::Instant;

/// What a client may publish now.
#[derive(Debug)]
pub(super) struct Rate {
    /// Between two tokens.
    interval: Duration,
    /// The time that a full bucket takes to fill.
    depth: Duration,
    /// When the bucket is full again.
    full_at: Instant,
}

impl Rate {
    /// A full bucket.
    pub(super) fn new(per_second: NonZeroUsize, now: Instant) -> Self {
        let per_second = u32::try_from(per_second.get()).unwrap_or(u32::MAX);
        // Rounded up, so that there is never one too many.
        let nanos = 1_000_000_000_u64.div_ceil(per_second.into());
        let interval = Duration::from_nanos(nanos);
        Self {
            interval,
            depth: interval * per_second,
            full_at: now,
        }
    }

    /// Takes a token; if there is none, gives when there will be.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let full_at = self.full_at.max(now) + self.interval;
        if now + self.depth < full_at {
            return Err(full_at - self.depth);
        }
        self.full_at = full_at;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many tokens there are at a moment.
    fn take_all(rate: &mut Rate, now: Instant) -> usize {
        std::iter::from_fn(|| rate.take(now).ok()).count()
    }

    #[test]
    fn a_seconds_worth_may_be_taken_at_once_and_grows_again_as_time_goes_by() {
        for per_second in [1, 3, 7, 100, 1_000_000] {
            let start = Instant::now();
            let rate = NonZeroUsize::new(per_second).unwrap();
            let mut rate = Rate::new(rate, start);
            let check = |rate: &mut Rate, millis, expected: usize| {
                let found = take_all(rate, start + Duration::from_millis(millis));
                let is_right = found == expected || found + 1 == expected;
                assert!(is_right, "{per_second} a second, at {millis} ms: {found}");
            };
            assert_eq!(take_all(&mut rate, start), per_second);
            check(&mut rate, 0, 0);
            check(&mut rate, 500, per_second / 2);
            check(&mut rate, 1500, per_second);
            // More than a second's worth is not saved up.
            check(&mut rate, 9500, per_second);
            check(&mut rate, 9500, 0);
        }
    }

    #[test]
    fn who_finds_none_learns_when_there_is_one() {
        let start = Instant::now();
        let mut rate = Rate::new(NonZeroUsize::new(4).unwrap(), start);
        assert_eq!(take_all(&mut rate, start), 4);
        let soon = start + Duration::from_millis(100);
        let at = rate.take(soon).unwrap_err();
        assert_eq!(at, start + Duration::from_millis(250));
        assert_eq!(rate.take(at), Ok(()));
        assert_eq!(rate.take(at), Err(start + Duration::from_millis(500)));
    }

    #[test]
    fn no_more_is_taken_than_the_burst_and_the_rate_allow() {
        let start = Instant::now();
        let mut rate = Rate::new(NonZeroUsize::new(50).unwrap(), start);
        let mut taken = 0;
        for millis in 0..10_000 {
            taken += take_all(&mut rate, start + Duration::from_millis(millis));
            let most = 50.0 + 0.05 * millis as f64;
            assert!(taken as f64 <= most, "{taken} at {millis} ms");
        }
        assert_eq!(taken, 50 + 499);
    }
}
