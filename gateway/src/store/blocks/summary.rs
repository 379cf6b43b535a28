//! What a number of values come to.

/// Of one value or more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::store) struct Summary {
    pub(in crate::store) count: u64,
    pub(in crate::store) min: f64,
    pub(in crate::store) max: f64,
    pub(in crate::store) mean: f64,
}

impl Summary {
    pub(in crate::store) fn of(value: f64) -> Self {
        Self {
            count: 1,
            min: value,
            max: value,
            mean: value,
        }
    }

    /// Of these; `None` if there are none.
    pub(in crate::store) fn of_all(values: impl Iterator<Item = f64> + Clone) -> Option<Self> {
        let (mut count, mut sum) = (0, 0.0);
        let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.clone() {
            count += 1;
            sum += value;
            min = min.min(value);
            max = max.max(value);
        }
        let mean = sum / count as f64;
        if !mean.is_finite() {
            // Too large for a sum, or none at all.
            return values.map(Self::of).reduce(Self::and);
        }
        Some(Self {
            count,
            min,
            max,
            mean: mean.clamp(min, max),
        })
    }

    /// Of all values of both. No sum is made, which the largest values would not fit into.
    pub(in crate::store) fn and(self, other: Self) -> Self {
        let (large, small) = if self.count < other.count {
            (other, self)
        } else {
            (self, other)
        };
        let count = large.count + small.count;
        // At most 1, so that what it is multiplied with stays within what there is; the halves do the same for the difference.
        let twice_the_share = 2.0 * (small.count as f64 / count as f64);
        let mean = large.mean + (small.mean / 2.0 - large.mean / 2.0) * twice_the_share;
        let (min, max) = (large.min.min(small.min), large.max.max(small.max));
        Self {
            count,
            min,
            max,
            mean: mean.clamp(min, max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_all(values: &[f64]) -> Summary {
        let one_by_one = values.iter().copied().map(Summary::of);
        let one_by_one = one_by_one.reduce(Summary::and).unwrap();
        let at_once = Summary::of_all(values.iter().copied()).unwrap();
        assert!((at_once.mean - one_by_one.mean).abs() <= at_once.max.abs() * 1e-12);
        let mean = one_by_one.mean;
        assert_eq!(Summary { mean, ..at_once }, one_by_one);
        one_by_one
    }

    #[test]
    fn of_nothing_there_is_no_summary() {
        assert_eq!(Summary::of_all(std::iter::empty()), None);
    }

    #[test]
    fn the_mean_is_that_of_all_values_however_they_are_put_together() {
        let values: Vec<f64> = (0..1000).map(|n| f64::from(n % 37)).collect();
        let expected = values.iter().sum::<f64>() / 1000.0;
        for cut in [1, 10, 500, 999] {
            let (a, b) = values.split_at(cut);
            let found = of_all(a).and(of_all(b));
            assert!((found.mean - expected).abs() < 1e-12, "{found:?}");
            assert_eq!((found.count, found.min, found.max), (1000, 0.0, 36.0));
        }
    }

    #[test]
    fn the_largest_values_do_not_overflow() {
        let check = |values: &[f64], mean: f64| {
            let found = of_all(values);
            assert!((found.mean - mean).abs() <= f64::MAX * 1e-15, "{found:?}");
            assert!(found.min <= found.mean && found.mean <= found.max);
        };
        check(&[f64::MAX, f64::MAX, f64::MAX], f64::MAX);
        check(&[f64::MIN, f64::MIN], f64::MIN);
        check(&[f64::MAX, f64::MIN], 0.0);
        check(&[f64::MIN, f64::MAX, f64::MAX], f64::MAX / 3.0);
        let two = of_all(&[f64::MIN; 2]).and(of_all(&[f64::MAX; 6]));
        assert!((two.mean - f64::MAX / 2.0).abs() <= f64::MAX * 1e-15);
    }

    #[test]
    fn equal_values_are_their_own_mean() {
        assert_eq!(of_all(&[0.1; 77]).mean, 0.1);
    }
}
