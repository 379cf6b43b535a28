//! What sensors with wrong clocks, wrong values and made-up names must not do.

use super::house::*;
use super::*;
use crate::domain::rule::{Absence, WindowDefinition};

#[test]
fn a_window_whose_values_are_beyond_all_bounds_is_left_out() {
    let mut mean = rule(
        "mean",
        "count >= 1",
        &[Action::Alert, Action::Forward(UplinkSet::one(0))],
    );
    mean.window = Some(WindowDefinition {
        over: seconds(2),
        every: seconds(1),
    });
    let mut house = House::of(&[mean]);
    for (now, value) in [
        (0, 1.7e308),
        (0, 1.7e308),
        (1, -1.7e308),
        (1, -1.7e308),
        (9, 5.0),
    ] {
        house.reads("s1", value, now);
    }
    house.ticks(60);
    assert!(
        house
            .told
            .iter()
            .any(|line| line.contains("beyond all bounds")),
        "{:?}",
        house.told
    );
    let is_wild = |line: &&String| line.contains("NaN") || line.contains("inf");
    assert_eq!(
        house.told.iter().chain(&house.aggregates).find(is_wild),
        None
    );
    assert!(
        house
            .told
            .iter()
            .any(|line| line.starts_with("mean raised s1 5 ")),
        "it goes on"
    );
}

#[test]
fn a_time_in_the_future_switches_no_rule_off() {
    let far = 4_000_000_000;
    let mut lasting = rule("lasting", "value > 75", &[Action::Alert]);
    lasting.hold = seconds(10);
    let jump = rule("jump", "delta > 10.0", &[Action::Alert]);
    let mut house = House::of(&[lasting, jump]);
    house.reads_late("s1", 80.0, far, 1);
    for now in [2, 8, 14] {
        house.reads("s1", 80.0, now);
    }
    assert_eq!(house.news(), ["lasting raised s1"]);
    house.reads("s1", 95.0, 15);
    assert_eq!(house.news(), ["lasting raised s1", "jump raised s1"]);
    // The gateway's own clock was ahead, too, and was put right.
    let mut house = House::of(&[high(), rule("jump", "delta > 10.0", &[Action::Alert])]);
    let wrong = |house: &mut House, value, wall| {
        let reading = Reading {
            sensor_id: SensorId::new("s1").unwrap(),
            ts: Timestamp::from_millis(wall),
            received_at: Timestamp::from_millis(wall),
            ..reading(value, "{}")
        };
        let arrival = Arrival {
            reading: &reading,
            id: ReadingId(1),
            now: 0,
        };
        house.engine.take_reading(arrival, &mut || 1).tags.len()
    };
    assert_eq!(wrong(&mut house, 1.0, far * 1000), 0);
    assert_eq!(wrong(&mut house, 2.0, 1000), 0);
    assert_eq!(wrong(&mut house, 20.0, 2000), 1, "the jump is seen");
}

#[test]
fn an_alert_names_no_reading_that_was_not_stored() {
    let mut mean = rule("mean", "count >= 1", &[Action::Alert]);
    mean.window = Some(WindowDefinition {
        over: seconds(10),
        every: seconds(10),
    });
    let thin = rule(
        "thin",
        "sensor_id == 'a'",
        &[Action::Downsample(seconds(60))],
    );
    let mut house = House::of(&[mean, thin]);
    let outcome = house.reads("a", 1.0, 1);
    assert_eq!(outcome.fate, Fate::Thinned);
    house.reads("b", 2.0, 2);
    let effects = house.engine.tick(20_000, &mut || 1);
    let of = |sensor: &str| {
        let mut events = effects.events.iter();
        events
            .find(|event| event.sensor_id.as_str() == sensor)
            .unwrap()
            .reading_id
    };
    assert_eq!((of("a"), of("b")), (ReadingId(0), ReadingId(1)));
}

#[test]
fn a_reading_that_holds_an_alert_is_stored() {
    let mut high = high();
    high.repeat = crate::domain::rule::Repeat::OnChange;
    let thin = rule("thin", "true", &[Action::Downsample(seconds(60))]);
    let mut house = House::of(&[high, thin]);
    let fates: Vec<Fate> = [70.0, 80.0, 81.0, 70.0, 69.0]
        .into_iter()
        .zip(1..)
        .map(|(value, now)| house.reads("s1", value, now).fate)
        .collect();
    let (stored, thinned) = (Fate::Stored, Fate::Thinned);
    assert_eq!(fates, [thinned, stored, stored, stored, thinned]);
}

#[test]
fn sensors_of_which_all_is_dropped_are_not_remembered() {
    let mut house = House::of(&[rule("junk", "value < 0", &[Action::Drop]), high()]);
    for number in 0..100 {
        let outcome = house.reads(&format!("junk{number}"), -1.0, 1);
        assert_eq!(outcome.fate, Fate::Dropped);
    }
    assert_eq!(house.engine.memory.slots.len(), 0);
    house.reads("s1", 1.0, 2);
    assert_eq!(house.engine.memory.slots.len(), 1);
    assert_eq!(house.reads("s1", -1.0, 3).fate, Fate::Dropped);
}

#[test]
fn groups_of_which_nothing_is_open_make_room_for_others() {
    let mut mean = rule("mean", "avg > 75", &[Action::Alert]);
    mean.window = Some(WindowDefinition {
        over: seconds(10),
        every: seconds(10),
    });
    mean.group_by = Some(expression("sensor_id"));
    let mut house = House::of(&[mean]);
    for number in 0..10_000 {
        house.reads(&format!("batch{number}"), 1.0, 1);
    }
    house.reads("one more", 80.0, 2);
    assert!(
        house.news().iter().any(|line| line.contains("failed")),
        "they are open"
    );
    house.reads("one more", 80.0, 60);
    house.ticks(120);
    assert_eq!(house.news(), ["mean raised one"]);
    // What is long is no group.
    let mut long = rule("long", "true", &[Action::Alert]);
    long.group_by = Some(expression("sensor_id + sensor_id"));
    let mut house = House::of(&[long]);
    house.reads(&"x".repeat(200), 1.0, 1);
    assert!(house.told[0].contains("at most 256"), "{:?}", house.told);
}

#[test]
fn a_device_that_is_offline_already_counts_from_the_rules_begin() {
    let mut gone = high();
    gone.name = "gone".into();
    gone.when = None;
    gone.absent = Some(Absence::Device(seconds(30)));
    let mut house = House::of(&[high()]);
    house.says("pump", "offline", 1);
    house.says("valve", "online", 1);
    let rules = Arc::new(RuleSet::compile(&[high(), gone]).unwrap());
    house.engine.replace(rules);
    let wall = Timestamp::from_millis(100_000);
    house.engine.watch_known_devices(100_000, wall);
    house.ticks(129);
    assert_eq!(house.news(), [""; 0]);
    house.ticks(130);
    assert_eq!(house.news(), ["gone raised pump"]);
    house.says("pump", "online", 140);
    assert_eq!(house.news(), ["gone cleared pump"]);
}
