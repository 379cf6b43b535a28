//! Windows, silence, and what else is remembered of sensors and groups.

use super::house::*;
use super::*;
use crate::domain::rule::{Absence, Severity, WindowDefinition};

#[test]
fn windows_are_asked_at_their_end() {
    let mut house = House::of(&[RuleDefinition {
        window: Some(WindowDefinition {
            over: seconds(60),
            every: seconds(60),
        }),
        lateness: seconds(10),
        ..rule(
            "warm",
            "avg > 60 && count >= 3",
            &[Action::Alert, Action::Forward(UplinkSet::one(0))],
        )
    }]);
    for (now, value) in [(0, 70.0), (20, 80.0), (40, 60.0), (61, 1.0)] {
        house.reads("s1", value, now);
        house.restarts();
    }
    assert_eq!(house.told.len(), 0, "it waits for what comes late");
    house.reads_late("s1", 90.0, 59, 69);
    house.restarts();
    house.ticks(70);
    house.reads_late("s1", 90.0, 59, 71);
    house.ticks(129);
    assert_eq!(house.aggregates.len(), 1);
    assert_eq!(house.news().len(), 2);
    house.ticks(500);
    assert_eq!(house.told, ["warm cleared s1 1 None @120 #2/1"]);
    assert_eq!(house.engine.next_due(), None);
}

#[test]
fn a_window_goes_to_the_cloud_as_a_reading() {
    let mut house = House::of(&[RuleDefinition {
        window: Some(WindowDefinition {
            over: seconds(60),
            every: seconds(60),
        }),
        ..rule("all", "true", &[Action::Forward(UplinkSet::one(0))])
    }]);
    for (now, value) in [(0, 1.0), (59, 3.0), (60, 9.0)] {
        assert!(house.reads("s1", value, now).forward.is_empty());
    }
    assert_eq!(
        house.aggregates,
        [r#"all s1 {"avg":2.0,"count":2,"max":3.0,"min":1.0,"window_end":60000,"window_start":0}"#]
    );
}

#[test]
fn silence_is_an_alert_and_a_reading_ends_it() {
    let mut house = House::of(&[RuleDefinition {
        when: None,
        absent: Some(Absence::Sensor(seconds(120))),
        ..rule("silent", "true", &[Action::Alert])
    }]);
    house.reads("s1", 5.0, 0);
    house.reads("s2", 6.0, 100);
    house.restarts();
    house.ticks(119);
    assert_eq!(house.news(), Vec::<String>::new());
    house.ticks(300);
    assert_eq!(
        house.told,
        [
            "silent raised s1 5 None @120 #1/1",
            "silent raised s2 6 None @220 #2/2"
        ]
    );
    house.told.clear();
    house.restarts();
    house.ticks(900);
    house.reads("s1", 7.0, 1000);
    assert_eq!(house.told, ["silent cleared s1 7 None @1000 #3/1"]);
}

#[test]
fn a_device_that_is_offline_for_long_is_an_alert() {
    let mut house = House::of(&[RuleDefinition {
        when: None,
        absent: Some(Absence::Device(seconds(60))),
        ..rule("gone", "true", &[Action::Alert])
    }]);
    house.says("d1", "online", 0);
    house.says("d1", "offline", 100);
    house.says("d1", "offline", 150);
    house.says("d2", "offline", 150);
    house.says("d2", "online", 200);
    house.restarts();
    house.ticks(1000);
    house.says("d1", "online", 2000);
    assert_eq!(house.news(), ["gone raised d1", "gone cleared d1"]);
    house.commits();
    assert_eq!(house.stored.len(), 0);
}

#[test]
fn a_condition_sees_the_status_of_the_device() {
    let mut house = House::of(&[rule("r", "device_status == 'service'", &[Action::Drop])]);
    house.says("boiler", "service", 1);
    assert_eq!(house.reads("boiler/1/temp", 1.0, 2).fate, Fate::Dropped);
    assert_eq!(house.reads("oven", 1.0, 3).fate, Fate::Stored);
}

#[test]
fn readings_with_something_in_common_are_looked_at_together() {
    let mut house = House::of(&[RuleDefinition {
        group_by: Some(expression("attributes.room")),
        window: Some(WindowDefinition {
            over: seconds(10),
            every: seconds(10),
        }),
        ..rule("room", "avg > 60", &[Action::Alert])
    }]);
    house.reads("s1", 50.0, 0);
    house.reads("s2", 80.0, 1);
    house.restarts();
    house.ticks(100);
    assert_eq!(house.told, [r#"room raised s2 65 Some("b1") @10 #1/1"#]);
}

#[test]
fn downsampled_readings_are_kept_as_min_avg_and_max() {
    let mut house = House::of(&[
        high(),
        rule(
            "thin",
            "true",
            &[
                Action::Downsample(seconds(60)),
                Action::Forward(UplinkSet::one(0)),
            ],
        ),
    ]);
    assert_eq!(house.reads("s1", 10.0, 0).fate, Fate::Thinned);
    assert_eq!(
        house.reads("s1", 90.0, 10).fate,
        Fate::Stored,
        "an alert stands on it"
    );
    let cleared = house.reads("s1", 20.0, 20);
    assert_eq!(
        (cleared.fate, cleared.forward),
        (Fate::Stored, UplinkSet::NONE)
    );
    assert_eq!(house.reads("s1", 20.0, 30).fate, Fate::Thinned);
    house.restarts();
    assert_eq!(house.reads("s1", 5.0, 61).fate, Fate::Thinned);
    assert_eq!(
        house.aggregates,
        [
            r#"thin s1 {"avg":35.0,"count":4,"max":90.0,"min":10.0,"window_end":60000,"window_start":0}"#
        ]
    );
    assert_eq!(
        house.reads_late("s1", 7.0, 59, 62).fate,
        Fate::Stored,
        "what comes too late stays"
    );
}

#[test]
fn what_is_dropped_is_seen_by_no_other_rule() {
    let mut house = House::of(&[
        high(),
        rule("before", "true", &[Action::Tag("before".into())]),
        rule("noise", "value > 1000", &[Action::Drop]),
    ]);
    let outcome = house.reads("s1", 1001.0, 0);
    assert_eq!((outcome.fate, outcome.tags.len()), (Fate::Dropped, 0));
    assert_eq!(house.reads("s1", 99.0, 0).tags.len(), 2);
    assert_eq!(house.news(), ["high raised s1"]);
    let faults = RuleSet::compile(&[rule("r", "'x' in tags", &[Action::Drop])]).unwrap_err();
    assert!(faults[0].message.contains("no `tags` yet"), "{faults:?}");
}

#[test]
fn rules_see_the_topics_that_they_name() {
    let topics = [TopicName::new("sensors/boiler/1").unwrap()];
    let filters =
        ["sensors/boiler/#"].map(|text| crate::domain::topic::TopicFilter::new(text).unwrap());
    let mut engine = engine(&[RuleDefinition {
        topics: filters.to_vec(),
        ..high()
    }]);
    let mut check = |topic: Option<&str>, sensor: &str, expected: usize| {
        let reading = Reading {
            topic: topic.map(|topic| TopicName::new(topic).unwrap()),
            sensor_id: SensorId::new(sensor).unwrap(),
            ..reading(80.0, "{}")
        };
        assert_eq!(
            evaluate(&mut engine, &reading).tags.len(),
            expected,
            "{topic:?} {sensor}"
        );
    };
    check(Some(topics[0].as_str()), "x", 1);
    check(Some("sensors/oven/1"), "x", 0);
    check(Some("sensors/boiler/1"), "x", 1);
    check(None, "boiler/9", 1);
    check(None, "oven", 0);
}

#[test]
fn rules_that_change_begin_anew_and_their_alerts_end() {
    let mut house = House::of(&[high(), rule("low", "value < 90", &[Action::Alert])]);
    house.reads("s1", 80.0, 1);
    let severe = RuleDefinition {
        severity: Some(Severity::Critical),
        ..high()
    };
    let restored = house
        .engine
        .replace(Arc::new(RuleSet::compile(&[severe]).unwrap()));
    assert_eq!(
        (restored.ended, restored.forgotten),
        (vec![2], vec!["low".into()])
    );
    house.reads("s1", 81.0, 2);
    house.reads("s1", 1.0, 3);
    assert_eq!(
        house.news(),
        [
            "high raised s1",
            "low raised s1",
            "high raised s1",
            "high cleared s1"
        ],
        "the episode goes on"
    );
}
