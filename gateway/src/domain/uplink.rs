//! Uplinks as other rooms see them: which ones a reading goes to, and what one says of itself. How it delivers is
//! `forwarder`'s business.

use std::sync::Arc;

use serde::Serialize;

/// Where readings to forward wait as long as no uplink is configured, and the name of the section `[cloud]`.
pub const CLOUD: &str = "cloud";

/// Some of the uplinks, each known by its place in the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UplinkSet(u16);

impl UplinkSet {
    /// How many uplinks there may be.
    pub const MOST: usize = u16::BITS as usize;

    /// None of them.
    pub const NONE: Self = Self(0);

    /// The one at this place, which is below [`Self::MOST`].
    pub const fn one(place: usize) -> Self {
        Self(1 << place)
    }

    /// The first `count`.
    pub fn first(count: usize) -> Self {
        (0..count).map(Self::one).fold(Self::NONE, Self::and)
    }

    /// These and others.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether it is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether it has the one at this place.
    pub const fn contains(self, place: usize) -> bool {
        self.0 & (1 << place) != 0
    }

    /// Their places.
    pub fn places(self) -> impl Iterator<Item = usize> {
        (0..Self::MOST).filter(move |place| self.contains(*place))
    }
}

/// How it goes with the deliveries to one receiver.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UplinkStatus {
    /// [`CLOUD`] for the one of the section `[cloud]`.
    pub name: Arc<str>,
    /// What the latest answer meant, such as `delivered` or `retry: 503`; `None` before the first.
    pub last_verdict: Option<String>,
    /// Until the next try; `None` if none is waited for.
    pub next_attempt_seconds: Option<f64>,
    /// Until nothing is pending at the present rate; `None` if that is not known.
    pub drain_seconds: Option<f64>,
    /// Bytes that were sent today (UTC), with those of failed requests.
    pub bytes_today: u64,
    /// Why nothing can be delivered before somebody steps in; `None` if all is well or a retry may do.
    pub held: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_its_places() {
        let set = UplinkSet::one(0).and(UplinkSet::one(3));
        assert_eq!(set.places().collect::<Vec<_>>(), [0, 3]);
        assert!(UplinkSet::NONE.is_empty() && !set.is_empty());
        assert_eq!(UplinkSet::first(2).places().collect::<Vec<_>>(), [0, 1]);
        assert_eq!(UplinkSet::first(UplinkSet::MOST).places().count(), 16);
    }
}
