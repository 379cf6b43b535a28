//! A point in time that there may be: half as large as an `Option` of one, of which states have several.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Milliseconds, or nothing. Encoded as an `Option`.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<i64>", into = "Option<i64>")]
pub(super) struct Moment(i64);

impl Moment {
    /// Before all times.
    pub(super) const NONE: Self = Self(i64::MIN);

    pub(super) fn get(self) -> Option<i64> {
        (self != Self::NONE).then_some(self.0)
    }
}

impl Default for Moment {
    fn default() -> Self {
        Self::NONE
    }
}

impl From<Option<i64>> for Moment {
    fn from(time: Option<i64>) -> Self {
        time.map_or(Self::NONE, Self)
    }
}

impl From<Moment> for Option<i64> {
    fn from(moment: Moment) -> Self {
        moment.get()
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_encoded_as_an_option_is() {
        for time in [None, Some(0), Some(-1), Some(i64::MAX)] {
            let bytes = postcard::to_allocvec(&time).unwrap();
            assert_eq!(postcard::to_allocvec(&Moment::from(time)).unwrap(), bytes);
            let back: Moment = postcard::from_bytes(&bytes).unwrap();
            assert_eq!(back.get(), time);
        }
    }
}
