//! How many requests may be on their way at once, as far as the link has shown. Pure.
//!
//! When one fails beside others the places are halved, and deliveries bring them back one by one (additive increase,
//! multiplicative decrease, as in RFC 5681). On a slow link requests that go together run out of time together: as many as have
//! are tried again only after a while, which grows with each time they do so again.

/// For so many deliveries in each place fewer are tried than have run out of time: at first, so that an outage costs little
/// afterwards; and at most, so that on a slow link what fails is a small part.
const PATIENCE: std::ops::RangeInclusive<usize> = 4..=64;

#[derive(Clone, Debug)]
pub(super) struct Places {
    places: usize,
    /// More than these have run out of time together.
    ceiling: usize,
    /// Deliveries since that was found.
    deliveries: usize,
    patience: usize,
    /// The last ceiling was raised, and nothing has failed since.
    is_rising: bool,
}

impl Places {
    /// As many as anybody asks for, until something fails.
    pub(super) fn new() -> Self {
        Self {
            places: usize::MAX,
            ceiling: usize::MAX,
            deliveries: 0,
            patience: *PATIENCE.start(),
            is_rising: false,
        }
    }

    /// Of `most` so many may be on their way.
    pub(super) fn of(&self, most: usize) -> usize {
        most.min(self.places)
    }

    /// One failed, and it was not its own fault; `sending` were on their way with it. One alone tells nothing.
    pub(super) fn failed(&mut self, sending: usize, is_timeout: bool) {
        if sending < 2 {
            return;
        }
        self.places = sending / 2;
        if !is_timeout {
            return;
        }
        self.ceiling = sending - 1;
        self.deliveries = 0;
        self.patience = (self.patience * 2).min(*PATIENCE.end());
        self.is_rising = false;
    }

    /// One got through.
    pub(super) fn delivered(&mut self) {
        self.deliveries = self.deliveries.saturating_add(1);
        if self.places < self.ceiling {
            self.places += 1;
        } else if self.ceiling.saturating_mul(self.patience) <= self.deliveries {
            self.ceiling = self.ceiling.saturating_mul(2);
            self.deliveries = 0;
            if std::mem::replace(&mut self.is_rising, true) {
                self.patience = (self.patience / 2).max(*PATIENCE.start());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_halves_them_and_deliveries_bring_them_back_one_by_one() {
        let mut places = Places::new();
        assert_eq!(places.of(16), 16);
        places.failed(16, true);
        let after: Vec<usize> = (0..9)
            .map(|_| {
                places.delivered();
                places.of(16)
            })
            .collect();
        assert_eq!(after, [9, 10, 11, 12, 13, 14, 15, 15, 15]);
        (0..15 * 8).for_each(|_| places.delivered());
        assert_eq!(places.of(16), 16);
        places.failed(1, true);
        assert_eq!(places.of(16), 16, "one alone tells nothing");
        places.failed(2, true);
        assert_eq!(places.of(16), 1);
        let mut places = Places::new();
        places.failed(16, false);
        (0..8).for_each(|_| places.delivered());
        assert_eq!(places.of(16), 16, "an answer tells nothing of the link");
    }

    #[test]
    fn an_outage_costs_little_afterwards() {
        for sending in 2..=16 {
            let mut places = Places::new();
            places.failed(sending, true);
            // In round trips: in each as many get through as there are places.
            let mut trips = 0;
            while places.of(16) < 16 {
                (0..places.of(16)).for_each(|_| places.delivered());
                trips += 1;
            }
            assert!(trips <= 40, "{sending}: {trips}");
        }
    }

    /// Delivered and failed of so many requests, on a link that carries only `capacity` of them in time.
    fn on_a_link(capacity: usize, requests: usize) -> (usize, usize) {
        let mut places = Places::new();
        let (mut delivered, mut failed) = (0, 0);
        while delivered + failed < requests {
            let sending = places.of(16);
            if capacity < sending {
                failed += sending;
                places.failed(sending, true);
            } else {
                places.delivered();
                delivered += 1;
            }
        }
        (delivered, failed)
    }

    #[test]
    fn a_slow_link_loses_little_to_requests_that_run_out_of_time_together() {
        for capacity in 1..=16 {
            let (delivered, failed) = on_a_link(capacity, 10_000);
            assert!(failed * 10 < delivered, "{capacity}: {failed} failed");
        }
        assert_eq!(on_a_link(16, 1000), (1000, 0));
    }
}
