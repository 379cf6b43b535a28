//! Bytes a day. Pure: the wall clock comes in as `now`.
//!
//! What the rules have tagged may use all of it at any time. The rest is paced: by any time of the day (UTC) it has used no
//! more than that part of the budget, and one hour's, so that an alert in the evening finds some of it left.

use std::time::Duration;

use super::verdict::PLAUSIBLE;
use crate::domain::timestamp::Timestamp;
use crate::store::outbox::Account;

const DAY_MILLIS: i64 = 86_400_000;
const HOUR_MILLIS: i64 = 3_600_000;

/// Bytes of a request that is worth its head.
const SMALL: usize = 4096;

/// What may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowance {
    All,
    TaggedOnly,
    Nothing,
}

/// The day of a time, in UTC.
pub(super) fn day_of(now: Timestamp) -> i64 {
    now.millis().div_euclid(DAY_MILLIS)
}

/// Counts bytes for the day; a new day begins at zero.
pub(super) fn count(account: &mut Account, bytes: u64, now: Timestamp) {
    if is_new_day(account, now) {
        (account.day, account.bytes) = (day_of(now), 0);
    }
    account.bytes += bytes;
}

/// Sent on the day of `now`.
pub(super) fn spent(account: &Account, now: Timestamp) -> u64 {
    if is_new_day(account, now) {
        0
    } else {
        account.bytes
    }
}

/// A clock that is put back begins no day, unless it had been ahead by more than one: else nothing would be sent until the
/// day is reached that it had shown.
fn is_new_day(account: &Account, now: Timestamp) -> bool {
    let day = day_of(now);
    account.day < day || (PLAUSIBLE <= now && day + 1 < account.day)
}

/// What a budget leaves.
pub(super) fn allowance(budget: Option<u64>, account: &Account, now: Timestamp) -> Allowance {
    let Some(budget) = budget else {
        return Allowance::All;
    };
    let spent = spent(account, now);
    if budget <= spent {
        return Allowance::Nothing;
    }
    if paced(budget, now) <= u128::from(spent) {
        Allowance::TaggedOnly
    } else {
        Allowance::All
    }
}

/// Bytes of a request that the budget leaves, but for tagged readings; a small one is always let through.
pub(super) fn room(budget: Option<u64>, account: &Account, now: Timestamp) -> usize {
    let Some(budget) = budget else {
        return usize::MAX;
    };
    let left = paced(budget, now).saturating_sub(u128::from(spent(account, now)));
    usize::try_from(left).unwrap_or(usize::MAX).max(SMALL)
}

/// The part of a budget that may be spent by now on what is not tagged.
fn paced(budget: u64, now: Timestamp) -> u128 {
    let passed = now.millis().rem_euclid(DAY_MILLIS) + HOUR_MILLIS;
    u128::from(budget) * passed.unsigned_abs() as u128 / DAY_MILLIS as u128
}

/// How long to wait before the allowance can be greater; a minute is exact enough for pacing.
pub(super) fn wait(now: Timestamp) -> Duration {
    let left = DAY_MILLIS - now.millis().rem_euclid(DAY_MILLIS);
    Duration::from_millis(left.unsigned_abs()).min(Duration::from_secs(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 20_000 * DAY_MILLIS + DAY_MILLIS / 2;

    fn account(bytes: u64) -> Account {
        Account {
            refused: 0,
            day: 20_000,
            bytes,
        }
    }

    #[test]
    fn a_budget_is_paced_for_all_but_tagged_readings() {
        let check = |bytes: u64, hour: i64, expected: Allowance| {
            let now = Timestamp::from_millis(20_000 * DAY_MILLIS + hour * HOUR_MILLIS);
            assert_eq!(allowance(Some(2400), &account(bytes), now), expected);
            assert_eq!(allowance(None, &account(bytes), now), Allowance::All);
        };
        check(0, 0, Allowance::All);
        check(99, 0, Allowance::All);
        check(100, 0, Allowance::TaggedOnly);
        check(1299, 12, Allowance::All);
        check(1300, 12, Allowance::TaggedOnly);
        check(2399, 12, Allowance::TaggedOnly);
        check(2400, 12, Allowance::Nothing);
        check(2399, 23, Allowance::All);
        check(u64::MAX, 23, Allowance::Nothing);
    }

    #[test]
    fn a_request_is_no_larger_than_what_the_budget_leaves() {
        let now = Timestamp::from_millis(20_000 * DAY_MILLIS);
        let left = |spent| room(Some(24 * 100_000), &account(spent), now);
        assert_eq!((left(0), left(60_000)), (100_000, 40_000));
        assert_eq!((left(99_999), left(u64::MAX)), (SMALL, SMALL));
        assert_eq!(room(None, &account(0), now), usize::MAX);
    }

    #[test]
    fn a_new_day_begins_at_zero_and_a_clock_that_is_put_back_begins_none() {
        let mut account = account(500);
        count(&mut account, 7, Timestamp::from_millis(NOON));
        assert_eq!(account.bytes, 507);
        count(&mut account, 7, Timestamp::from_millis(0));
        assert_eq!((account.day, account.bytes), (20_000, 514));
        count(&mut account, 7, Timestamp::from_millis(NOON - DAY_MILLIS));
        assert_eq!((account.day, account.bytes), (20_000, 521));
        let tomorrow = Timestamp::from_millis(NOON + DAY_MILLIS);
        assert_eq!(spent(&account, tomorrow), 0);
        count(&mut account, 7, tomorrow);
        assert_eq!((account.day, account.bytes), (20_001, 7));
    }

    #[test]
    fn a_clock_that_was_far_ahead_does_not_stop_the_sending_until_then() {
        let mut account = account(500);
        account.day += 4000;
        let now = Timestamp::from_millis(NOON);
        assert_eq!(allowance(Some(500), &account, now), Allowance::All);
        count(&mut account, 7, now);
        assert_eq!((account.day, account.bytes), (20_000, 7));
    }

    #[test]
    fn nobody_waits_beyond_midnight() {
        let check = |millis: i64, seconds: u64| {
            let now = Timestamp::from_millis(NOON + DAY_MILLIS / 2 - millis);
            assert_eq!(wait(now), Duration::from_secs(seconds));
        };
        check(5000, 5);
        check(500_000, 60);
    }
}
