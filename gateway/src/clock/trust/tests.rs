use super::*;

/// 2026-11-28.
const NOW: i64 = 1_795_824_000_000;
const OFFSET: i64 = NOW - 1_000_000;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn unsynchronised() -> Evidence {
    Evidence {
        synchronised: Some(false),
        rtc: None,
    }
}

fn synchronised() -> Evidence {
    Evidence {
        synchronised: Some(true),
        rtc: None,
    }
}

fn rtc(millis: i64) -> Evidence {
    Evidence {
        rtc: Some(at(millis)),
        ..unsynchronised()
    }
}

/// A store that this boot or another has used, up to so long ago.
fn known(boot: &str, trust: Trust, newest: i64) -> Known {
    Known {
        left: Some(Left {
            boot: boot.into(),
            offset: OFFSET,
            trust,
        }),
        newest: Some(at(NOW - newest)),
    }
}

fn start(now: i64, known: &Known, evidence: Evidence) -> Trust {
    let offset = now - 1_000_000;
    Trust::at_start(at(now), offset, "this", known, &evidence)
}

#[test]
fn a_new_store_believes_what_can_be_right() {
    let new = Known::default();
    assert_eq!(start(NOW, &new, unsynchronised()), Trust::Plausible);
    assert_eq!(start(5000, &new, unsynchronised()), Trust::NotSet);
    assert_eq!(start(5000, &new, synchronised()), Trust::NotSet);
    assert_eq!(start(NOW, &new, synchronised()), Trust::Synchronised);
}

#[test]
fn a_store_of_an_older_version_believes_it_too() {
    let older = Known {
        left: None,
        newest: Some(at(NOW - DAY)),
    };
    assert_eq!(start(NOW, &older, unsynchronised()), Trust::Plausible);
    assert_eq!(
        start(NOW - 2 * DAY, &older, unsynchronised()),
        Trust::Behind
    );
}

#[test]
fn a_board_without_a_clock_is_not_believed_until_somebody_speaks_for_it() {
    let used = known("other", Trust::Synchronised, MINUTE);
    let doubted = start(NOW, &used, unsynchronised());
    assert_eq!(doubted, Trust::Unsynchronised);
    assert_eq!(doubted.meanwhile(at(NOW), &unsynchronised()), doubted);
    assert_eq!(
        doubted.meanwhile(at(NOW), &synchronised()),
        Trust::Synchronised
    );
    let set = doubted.after_step(3 * DAY, at(NOW + 3 * DAY), used.newest, &unsynchronised());
    assert_eq!(set, Trust::Set);
}

#[test]
fn a_clock_with_a_battery_is_enough_without_a_time_service() {
    let used = known("other", Trust::Synchronised, 90 * DAY);
    assert_eq!(start(NOW, &used, rtc(NOW - 60_000)), Trust::Rtc);
    let of_1970 = start(NOW, &used, rtc(5000));
    assert_eq!(of_1970, Trust::Unsynchronised, "its battery is empty");
    assert_eq!(of_1970.meanwhile(at(NOW), &rtc(NOW)), Trust::Rtc);
    let gone_mad = start(NOW + 2 * AHEAD, &used, rtc(NOW + 2 * AHEAD));
    assert_eq!(gone_mad, Trust::Ahead);
}

#[test]
fn a_system_that_says_nothing_is_believed() {
    let used = known("other", Trust::Plausible, MINUTE);
    assert_eq!(start(NOW, &used, Evidence::default()), Trust::Plausible);
}

#[test]
fn within_a_boot_it_is_as_it_was_left() {
    let check = |left: Trust, now: i64, expected: Trust| {
        let known = known("this", left, MINUTE);
        assert_eq!(start(now, &known, unsynchronised()), expected, "{left:?}");
    };
    check(Trust::Set, NOW, Trust::Set);
    check(Trust::Plausible, NOW + STEP - 1, Trust::Plausible);
    check(Trust::Unsynchronised, NOW, Trust::Unsynchronised);
    check(Trust::Unsynchronised, NOW + DAY, Trust::Set);
    check(Trust::Set, NOW - DAY, Trust::Set);
    check(Trust::Set, NOW + 2 * DAY, Trust::Ahead);
    check(Trust::Set, 5000, Trust::NotSet);
}

#[test]
fn a_step_is_believed_unless_it_leads_where_no_clock_can_be() {
    let check = |was: Trust, by: i64, evidence: Evidence, expected: Trust| {
        let stepped = was.after_step(by, at(NOW + by), Some(at(NOW)), &evidence);
        assert_eq!(stepped, expected, "{was:?} {by}");
    };
    check(Trust::Plausible, 3_600_000, unsynchronised(), Trust::Set);
    check(Trust::Plausible, -3_600_000, unsynchronised(), Trust::Set);
    check(Trust::Plausible, 2 * DAY, unsynchronised(), Trust::Ahead);
    check(Trust::Plausible, 2 * DAY, rtc(NOW + 2 * DAY), Trust::Rtc);
    check(Trust::Set, 2 * AHEAD, synchronised(), Trust::Synchronised);
    check(Trust::NotSet, 2 * AHEAD, unsynchronised(), Trust::Ahead);
    check(Trust::Set, -NOW, synchronised(), Trust::NotSet);
    // Back from ten years ahead, or on from 1970.
    let (ten, newest) = (2 * AHEAD, Some(at(NOW)));
    let back = Trust::Ahead.after_step(-ten, at(NOW), newest, &unsynchronised());
    assert_eq!(back, Trust::Set);
    let on = Trust::NotSet.after_step(NOW, at(NOW), None, &unsynchronised());
    assert_eq!(on, Trust::Set);
}

#[test]
fn each_is_found_by_its_name_and_its_number() {
    for trust in ALL {
        assert_eq!(Trust::named(trust.as_str()), Some(trust));
        assert_eq!(Trust::from_number(trust.number()), trust);
    }
    assert_eq!(Trust::named("?"), None);
}

#[test]
fn a_clock_that_goes_on_has_not_leapt_however_old_the_newest_reading_is() {
    let check = |boot: &str, now: i64, trust: Trust, expected: bool| {
        let known = known(boot, Trust::Plausible, 2 * DAY);
        let leapt = known.may_have_leapt(at(now), now - 1_000_000, "this", trust);
        assert_eq!(leapt, expected, "{boot} {now} {trust:?}");
    };
    check("this", NOW, Trust::Plausible, false);
    check("this", NOW + DAY, Trust::Set, true);
    check("other", NOW, Trust::Rtc, true);
    check("other", NOW, Trust::Synchronised, false);
    // What came an hour ago says nothing.
    let fresh = known("other", Trust::Plausible, 3_600_000);
    assert!(!fresh.may_have_leapt(at(NOW), OFFSET, "this", Trust::Rtc));
    assert!(!Known::default().may_have_leapt(at(NOW), OFFSET, "this", Trust::Plausible));
}
