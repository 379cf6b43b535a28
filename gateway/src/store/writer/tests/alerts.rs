//! Alerts that are looked at: their history, and which are open.

use std::collections::BTreeMap;

use super::*;
use crate::store::{AlertPage, AlertQuery};

/// An event of an alert of a sensor; without an `episode` its first one.
fn tell(
    writer: &mut Writer,
    group: &mut Group,
    sensor: &str,
    episode: Option<i64>,
    state: AlertState,
) -> i64 {
    let alert_id = writer.next_alert_id();
    let new = reading(sensor, 80.0);
    let reading_id = writer.next_reading_id();
    writer
        .add_reading(group, new.clone(), None, UplinkSet::NONE)
        .unwrap();
    let alert = Alert {
        gateway_id: "g".into(),
        alert_id,
        episode: episode.unwrap_or(alert_id),
        rule: if alert_id % 3 == 0 { "third" } else { "other" }.into(),
        state,
        sensor_id: new.sensor_id,
        value: new.value,
        ts: Timestamp::from_millis(1000 * alert_id),
        reading_id,
        attributes: new.attributes,
        severity: None,
        message: None,
        group: None,
    };
    assert!(writer.add_alert(group, alert));
    alert_id
}

/// Raises so many alerts, of sensors in turn, in a commit of their own.
fn raise_some(writer: &mut Writer, sensors: &[&str]) {
    let mut group = Group::default();
    for sensor in sensors {
        tell(writer, &mut group, sensor, None, AlertState::Raised);
    }
    writer.commit(&group).unwrap();
}

fn all() -> AlertQuery {
    AlertQuery::newest(1000)
}

fn of_sensor(sensor: &str) -> AlertQuery {
    AlertQuery {
        sensor_id: Some(SensorId::new(sensor).unwrap()),
        ..all()
    }
}

fn ids(page: &AlertPage) -> Vec<i64> {
    page.alerts.iter().map(|alert| alert.alert_id).collect()
}

fn history(writer: &Writer, query: &AlertQuery) -> AlertPage {
    writer.reader().alerts(query, &"g".into()).unwrap()
}

fn open(writer: &Writer, query: &AlertQuery) -> AlertPage {
    writer.reader().open_alerts(query, &"g".into()).unwrap()
}

/// Follows `next` to the end; `between` happens between two pages.
fn follow(
    writer: &mut Writer,
    mut query: AlertQuery,
    look: impl Fn(&Writer, &AlertQuery) -> AlertPage,
    mut between: impl FnMut(&mut Writer),
) -> (Vec<i64>, usize) {
    let (mut seen, mut pages) = (Vec::new(), 0);
    loop {
        let page = look(writer, &query);
        assert!(page.alerts.len() <= query.limit);
        seen.extend(ids(&page));
        pages += 1;
        assert!(pages < 1000, "no end");
        match page.next {
            Some(_) => query.after = page.next,
            None => return (seen, pages),
        }
        between(writer);
    }
}

#[test]
fn pages_of_events_neither_skip_nor_repeat_while_new_ones_come_in() {
    let place = Place::new();
    let mut writer = place.open();
    raise_some(&mut writer, &["a", "b", "a", "c", "a", "b", "a", "b"]);
    let mut check =
        |query: AlertQuery, limit: usize, max_looked_through: usize, expected: &[i64]| {
            let query = AlertQuery {
                limit,
                max_looked_through,
                ..query
            };
            let mut new = [["d"; 2]; 3].iter();
            let (seen, _) = follow(&mut writer, query.clone(), history, |writer| {
                raise_some(writer, new.next().map_or(&[], |new| new));
            });
            assert_eq!(seen, expected, "{query:?}");
        };
    let until_now = AlertQuery {
        to: Some(Timestamp::from_millis(9000)),
        ..all()
    };
    let down: Vec<i64> = (1..=8).rev().collect();
    for limit in [1, 3, 8] {
        for max_looked_through in [1, 5, 1000] {
            check(until_now.clone(), limit, max_looked_through, &down);
            check(of_sensor("a"), limit, max_looked_through, &[7, 5, 3, 1]);
            check(of_sensor("c"), limit, max_looked_through, &[4]);
            check(of_sensor("nobody"), limit, max_looked_through, &[]);
        }
    }
}

#[test]
fn events_are_found_by_state_rule_sensor_and_time() {
    let place = Place::new();
    let mut writer = place.open();
    raise_some(&mut writer, &["a", "b", "a"]);
    let mut group = Group::default();
    tell(
        &mut writer,
        &mut group,
        "a",
        Some(1),
        AlertState::Acknowledged,
    );
    tell(&mut writer, &mut group, "a", Some(1), AlertState::Cleared);
    writer.commit(&group).unwrap();
    let at = |second: i64| Some(Timestamp::from_millis(1000 * second));
    let check = |query: AlertQuery, expected: &[i64]| {
        assert_eq!(ids(&history(&writer, &query)), expected, "{query:?}");
    };
    let in_state = |state| AlertQuery {
        state: Some(state),
        ..all()
    };
    check(all(), &[5, 4, 3, 2, 1]);
    check(in_state(AlertState::Raised), &[3, 2, 1]);
    check(in_state(AlertState::Acknowledged), &[4]);
    check(in_state(AlertState::Cleared), &[5]);
    check(of_sensor("b"), &[2]);
    let by_rule = AlertQuery {
        rule: Some("third".into()),
        ..all()
    };
    check(by_rule, &[3]);
    let between = |from, to| AlertQuery { from, to, ..all() };
    check(between(at(2), at(4)), &[3, 2]);
    check(between(at(5), None), &[5]);
    check(between(None, at(2)), &[1]);
    check(between(at(4), at(4)), &[]);
    check(between(at(4), at(1)), &[]);
    let all_of_it = AlertQuery {
        state: Some(AlertState::Raised),
        from: at(1),
        to: at(3),
        ..of_sensor("a")
    };
    check(all_of_it, &[1]);
}

#[test]
fn a_page_of_events_is_bounded_in_rows_and_bytes() {
    let place = Place::new();
    let mut writer = place.open();
    raise_some(&mut writer, &["rare"]);
    for _ in 0..10 {
        raise_some(&mut writer, &["a"; 9]);
    }
    let mut last = Group::default();
    tell(&mut writer, &mut last, "rare", Some(1), AlertState::Cleared);
    writer.commit(&last).unwrap();
    let query = AlertQuery {
        max_looked_through: 10,
        ..of_sensor("rare")
    };
    let first = history(&writer, &query);
    assert_eq!((ids(&first), first.next), (vec![92], Some(83)));
    let (seen, pages) = follow(&mut writer, query, history, |_| {});
    assert_eq!((seen, pages), (vec![92, 1], 10));
    let narrow = AlertQuery {
        max_bytes: 1,
        ..all()
    };
    let first = history(&writer, &narrow);
    assert_eq!((ids(&first), first.next), (vec![92], Some(92)));
}

#[test]
fn an_alert_that_goes_on_is_neither_left_out_nor_repeated() {
    let place = Place::new();
    let mut writer = place.open();
    raise_some(&mut writer, &["a", "b", "c", "d", "e"]);
    for (limit, max_looked_through) in [(1, 1000), (2, 1000), (9, 1), (9, 2)] {
        let query = AlertQuery {
            limit,
            max_looked_through,
            ..all()
        };
        let mut newest = Vec::new();
        let episodes = |writer: &Writer, query: &AlertQuery| {
            let mut page = open(writer, query);
            for alert in &mut page.alerts {
                alert.alert_id = alert.episode;
            }
            page
        };
        let (seen, pages) = follow(&mut writer, query, episodes, |writer| {
            let mut group = Group::default();
            for episode in [1, 5] {
                let id = tell(writer, &mut group, "a", Some(episode), AlertState::Raised);
                newest.push(id);
            }
            writer.commit(&group).unwrap();
        });
        assert_eq!(seen, [5, 4, 3, 2, 1], "{limit} {max_looked_through}");
        assert!(2 < pages, "{pages}");
        let newest_of_five = newest[newest.len() - 1];
        assert_eq!(open(&writer, &all()).alerts[0].alert_id, newest_of_five);
    }
}

#[test]
fn open_alerts_are_found_by_sensor_and_rule() {
    let place = Place::new();
    let mut writer = place.open();
    raise_some(&mut writer, &["a", "b", "c", "b"]);
    let mut group = Group::default();
    let seen = tell(
        &mut writer,
        &mut group,
        "b",
        Some(2),
        AlertState::Acknowledged,
    );
    tell(&mut writer, &mut group, "a", Some(1), AlertState::Cleared);
    writer.commit(&group).unwrap();
    assert_eq!(ids(&open(&writer, &all())), [4, 3, seen]);
    assert_eq!(ids(&open(&writer, &of_sensor("b"))), [4, seen]);
    assert!(ids(&open(&writer, &of_sensor("a"))).is_empty());
    assert!(ids(&open(&writer, &of_sensor("nobody"))).is_empty());
    let by_rule = AlertQuery {
        rule: Some("third".into()),
        ..all()
    };
    assert_eq!(ids(&open(&writer, &by_rule)), [3]);
}

#[test]
fn what_is_open_is_known_after_crashes_and_clean_ends_in_any_order() {
    for seed in 0..6 {
        let mut random = fastrand::Rng::with_seed(seed);
        let place = Place::new();
        let mut writer = place.open();
        let mut expected: BTreeMap<i64, i64> = BTreeMap::new();
        for _ in 0..60 {
            let mut group = Group::default();
            for _ in 0..random.usize(0..5) {
                let known: Vec<i64> = expected.keys().copied().collect();
                let episode = random.choice(known).filter(|_| random.u8(0..3) != 0);
                let is_over = episode.is_some() && random.bool();
                let state = if is_over {
                    AlertState::Cleared
                } else {
                    AlertState::Raised
                };
                let id = tell(&mut writer, &mut group, "a", episode, state);
                if is_over {
                    expected.remove(&episode.unwrap());
                } else {
                    expected.insert(episode.unwrap_or(id), id);
                }
            }
            if random.u8(0..4) == 0 {
                writer.unsaved_readings = SAVE_SENSORS_EVERY;
            }
            writer.commit(&group).unwrap();
            match random.u8(0..8) {
                0 => drop(writer),
                1 => writer.end(),
                _ => {
                    check(&writer, &expected, seed);
                    continue;
                }
            }
            writer = place.open();
            check(&writer, &expected, seed);
        }
    }
}

#[track_caller]
fn check(writer: &Writer, expected: &BTreeMap<i64, i64>, seed: u64) {
    let found = open(writer, &all()).alerts;
    let found = found.iter().map(|alert| (alert.episode, alert.alert_id));
    let expected = expected.iter().rev().map(|(episode, id)| (*episode, *id));
    assert!(found.eq(expected), "seed {seed}");
}

#[test]
fn the_rules_say_what_is_open() {
    let place = Place::new();
    let mut writer = place.open();
    raise_some(&mut writer, &["a", "b", "c"]);
    writer.end();
    let mut writer = place.open();
    // Of the second nothing is remembered, and of the first the store has forgotten that it is open.
    writer
        .connection
        .execute("DELETE FROM open_alert WHERE episode = 1", [])
        .unwrap();
    drop(writer);
    writer = place.open();
    writer.keep_open_alerts([1, 3].into_iter());
    assert_eq!(ids(&open(&writer, &all())), [3, 1]);
    writer.end();
    let writer = place.open();
    assert_eq!(ids(&open(&writer, &all())), [3, 1], "written down");
}
