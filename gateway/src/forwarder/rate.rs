//! Bytes a second: a token bucket (as of RFC 2697, with one rate and no excess). Pure: time comes in as `now`.

use std::time::Duration;

use tokio::time::Instant;

/// So much may go out at once after a pause.
const BURST: Duration = Duration::from_millis(100);

/// Lets so many bytes a second through.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    bytes_per_second: u64,
    /// When all that was let through will have had its time.
    paid_upto: Option<Instant>,
}

impl Bucket {
    /// Lets `bytes_per_second` through.
    pub(super) fn new(bytes_per_second: u64) -> Self {
        Self {
            bytes_per_second,
            paid_upto: None,
        }
    }

    /// Takes `bytes` and gives when they may go.
    pub(super) fn take(&mut self, bytes: usize, now: Instant) -> Instant {
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let from = self.paid_upto.map_or(earliest, |upto| upto.max(earliest));
        let cost = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        let upto = from + cost;
        self.paid_upto = Some(upto);
        upto.max(now)
    }

    /// When all that was let through has had its time.
    pub(super) fn free_at(&self, now: Instant) -> Instant {
        self.paid_upto.map_or(now, |upto| upto.max(now))
    }

    /// How long `bytes` take alone.
    pub(super) fn time_of(&self, bytes: usize) -> Duration {
        Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_more_goes_through_than_the_rate_and_one_burst() {
        let start = Instant::now() + Duration::from_secs(10);
        let mut bucket = Bucket::new(1000);
        let mut last = start;
        for _ in 0..100 {
            last = bucket.take(100, last);
        }
        let took = (last - start).as_secs_f64();
        assert!((9.9 - 0.001..=10.0).contains(&took), "{took}");
        // A pause saves up no more than a burst.
        let later = last + Duration::from_secs(1000);
        let first = bucket.take(100, later);
        let second = bucket.take(100, later);
        assert_eq!((first - later, second - later).0, Duration::ZERO);
        assert_eq!(second - later, BURST);
        assert_eq!(bucket.time_of(500), Duration::from_millis(500));
        assert_eq!(bucket.free_at(later) - later, BURST);
        assert_eq!(bucket.free_at(later + BURST * 2), later + BURST * 2);
    }
}
