//! How many readings are due: pure, time comes in as `now`.

use std::time::{Duration, Instant};

/// What was missed longer ago than this is not caught up: sensors do not measure the past.
const CATCH_UP: Duration = Duration::from_secs(1);
const SHORTEST_TICK: Duration = Duration::from_millis(5);
const LONGEST_TICK: Duration = Duration::from_secs(1);

/// Counts out readings at a steady rate.
#[derive(Debug)]
pub(super) struct Pace {
    /// Readings per second; infinite for as fast as it goes.
    rate: f64,
    started: Instant,
    /// Readings given out or written off.
    given: u64,
}

impl Pace {
    pub(super) fn new(rate: f64, started: Instant) -> Self {
        Self {
            rate,
            started,
            given: 0,
        }
    }

    /// How often to ask.
    pub(super) fn tick(&self) -> Duration {
        let apart = Duration::try_from_secs_f64(self.rate.recip()).unwrap_or(LONGEST_TICK);
        apart.clamp(SHORTEST_TICK, LONGEST_TICK)
    }

    /// The readings that are due at `now` and were not given out before.
    pub(super) fn due(&mut self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.started).as_secs_f64();
        // A float cast saturates: an infinite rate makes everything due.
        let target = (elapsed * self.rate) as u64;
        let most = ((self.rate * CATCH_UP.as_secs_f64()) as u64).max(1);
        let due = target.saturating_sub(self.given).min(most);
        self.given = self.given.max(target);
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_brings_the_rate_whatever_the_ticks() {
        let started = Instant::now();
        let mut pace = Pace::new(33.0, started);
        let given: u64 = (1..=1_000)
            .map(|ms| pace.due(started + Duration::from_millis(ms)))
            .sum();
        assert_eq!(given, 33);
    }

    #[test]
    fn a_long_pause_is_not_caught_up() {
        let started = Instant::now();
        let mut pace = Pace::new(100.0, started);
        assert_eq!(pace.due(started + Duration::from_secs(3_600)), 100);
        assert_eq!(pace.due(started + Duration::from_secs(3_601)), 100);
    }

    #[test]
    fn a_slow_rate_still_gives_its_readings() {
        let started = Instant::now();
        let mut pace = Pace::new(0.1, started);
        assert_eq!(pace.tick(), LONGEST_TICK);
        assert_eq!(pace.due(started + Duration::from_secs(9)), 0);
        assert_eq!(pace.due(started + Duration::from_secs(10)), 1);
    }

    #[test]
    fn an_infinite_rate_makes_everything_due() {
        let started = Instant::now();
        let mut pace = Pace::new(f64::INFINITY, started);
        assert_eq!(pace.tick(), SHORTEST_TICK);
        assert_eq!(pace.due(started + Duration::from_millis(1)), u64::MAX);
    }
}
