//! Rules over time: what is an event.

use super::house::*;
use super::*;
use crate::domain::rule::{Repeat, Severity};

#[test]
fn an_alert_is_one_episode_from_raised_to_cleared() {
    let mut house = House::of(&[RuleDefinition {
        severity: Some(Severity::Critical),
        message: Some("%{sensor_id} is at %{value}: %{rule}".into()),
        ..high()
    }]);
    for (now, value) in [(1, 80.0), (2, 81.0), (3, 75.0), (4, 74.0), (5, 90.0)] {
        let outcome = house.reads("s1", value, now);
        if now == 1 {
            let event = &outcome.effects.events[0];
            assert_eq!(event.message.as_deref(), Some("s1 is at 80: high"));
            assert_eq!(event.severity, Some(Severity::Critical));
        }
        house.restarts();
    }
    assert_eq!(
        house.told,
        [
            "high raised s1 80 None @1 #1/1",
            "high raised s1 81 None @2 #2/1",
            "high cleared s1 75 None @3 #3/1",
            "high raised s1 90 None @5 #4/4",
        ]
    );
    house.commits_all();
    assert_eq!(house.stored.len(), 1);
    house.reads("s1", 0.0, 6);
    house.restarts();
    assert_eq!(house.stored.len(), 1, "the alerts tell that it is over");
    house.commits_all();
    assert_eq!(house.stored.len(), 0, "nothing is left of what is over");
}

#[test]
fn hysteresis_holds_an_alert_between_its_bounds() {
    let clear = Some(expression("value < 70"));
    let mut house = House::of(&[RuleDefinition { clear, ..high() }]);
    for (now, value) in [
        (1, 80.0),
        (2, 72.0),
        (3, 76.0),
        (4, 70.0),
        (5, 69.0),
        (6, 72.0),
    ] {
        let outcome = house.reads("s1", value, now);
        let is_tagged = !outcome.tags.is_empty();
        assert_eq!(is_tagged, now < 5, "it is active until it is cleared");
    }
    assert_eq!(
        house.news(),
        ["high raised s1", "high raised s1", "high cleared s1"]
    );
}

#[test]
fn a_rule_can_want_its_condition_to_last() {
    let mut house = House::of(&[RuleDefinition {
        hold: seconds(30),
        clear_hold: seconds(20),
        repeat: Repeat::OnChange,
        ..high()
    }]);
    for (now, value) in [
        (0, 80.0),
        (29, 80.0),
        (30, 75.0),
        (40, 80.0),
        (69, 80.0),
        (70, 80.0),
        (80, 70.0),
        (90, 80.0),
        (100, 70.0),
        (119, 70.0),
        (120, 70.0),
    ] {
        house.reads("s1", value, now);
        house.restarts();
    }
    assert_eq!(
        house.told,
        [
            "high raised s1 80 None @70 #1/1",
            "high cleared s1 70 None @120 #2/1"
        ]
    );
    house.told.clear();
    house.reads_late("s1", 99.0, 50, 121);
    assert_eq!(house.told, ["high late"]);
}

#[test]
fn after_an_alert_there_is_quiet_for_the_cooldown() {
    let mut house = House::of(&[RuleDefinition {
        cooldown: seconds(60),
        ..high()
    }]);
    for (now, value) in [(0, 80.0), (10, 70.0), (20, 80.0), (69, 80.0), (70, 80.0)] {
        house.reads("s1", value, now);
        house.restarts();
    }
    let times = house
        .told
        .iter()
        .map(|line| line.split(' ').nth(5).unwrap());
    assert_eq!(times.collect::<Vec<_>>(), ["@0", "@10", "@70"]);
}

#[test]
fn what_is_told_again_is_told_as_asked() {
    let told = |repeat| {
        let mut house = House::of(&[RuleDefinition { repeat, ..high() }]);
        (0..100).for_each(|now| drop(house.reads("s1", 80.0, now)));
        house.told.len()
    };
    assert_eq!(told(Repeat::Every), 100);
    assert_eq!(told(Repeat::OnChange), 1);
    assert_eq!(told(Repeat::After(30_000)), 4);
}

#[test]
fn an_alert_that_was_seen_says_so() {
    let mut house = House::of(&[high()]);
    house.reads("s1", 80.0, 1);
    let mut other = house.raised[&1].clone();
    other.episode = 2;
    assert!(!house.engine.acknowledge(&other));
    assert!(house.is_acknowledged(1, 1));
    assert!(!house.is_acknowledged(1, 1), "once");
    house.restarts();
    house.reads("s1", 81.0, 2);
    house.reads("s1", 1.0, 3);
    assert_eq!(
        house.news(),
        ["high raised s1", "high acknowledged s1", "high cleared s1"]
    );
    assert!(!house.is_acknowledged(1, 3), "it is over");
}

#[test]
fn a_sensor_remembers_its_reading_before() {
    let forward = [Action::Forward(UplinkSet::one(0))];
    let mut house = House::of(&[
        rule("jump", "delta > 5.0 || delta < -5.0", &forward),
        rule("fast", "rate > 2.0", &[Action::Tag("fast".into())]),
        rule("same", "!changed", &[Action::Tag("same".into())]),
        rule(
            "was",
            "previous.value == 3.0 && ts - previous.ts == 2000",
            &[Action::Tag("was".into())],
        ),
    ]);
    let mut check = |value: f64, ts: i64, now: i64, is_jump: bool, tags: &[&str]| {
        let outcome = house.reads_late("s1", value, ts, now);
        house.restarts();
        let found: Vec<&str> = outcome.tags.iter().map(|tag| &**tag).collect();
        assert_eq!(
            (!outcome.forward.is_empty(), &*found),
            (is_jump, tags),
            "{value} at {now}"
        );
        assert_eq!(outcome.effects.failures, []);
    };
    check(3.0, 1, 1, false, &[]);
    check(9.0, 3, 3, true, &["fast", "was"]);
    check(9.0, 4, 4, false, &["same"]);
    check(100.0, 2, 5, false, &[]);
    check(9.0, 4, 6, false, &["same"]);
    check(10.0, 5, 7, false, &[]);
}

#[test]
fn a_rule_publishes_where_it_may() {
    let publish = |topic: &str| rule("r", "true", &[Action::Publish(topic.into())]);
    let mut house = House::of(&[
        publish("seen/%{rule}/%{sensor_id}"),
        publish("%{sensor_id}"),
    ]);
    let outcome = house.reads("a/b", 1.0, 0);
    let topics: Vec<&str> = outcome
        .publishes
        .iter()
        .map(|topic| topic.as_str())
        .collect();
    assert_eq!(topics, ["seen/r/a/b", "a/b"]);
    let outcome = house.reads("alerts/b", 1.0, 0);
    assert_eq!(
        outcome.publishes.len(),
        1,
        "the other one is the gateway's own"
    );
    assert!(
        outcome.effects.failures[0].1.contains("gateway's own"),
        "{outcome:?}"
    );
}

#[test]
fn a_clock_that_is_set_makes_nothing_last_for_years() {
    let hold = seconds(10);
    let mut house = House::of(&[RuleDefinition { hold, ..high() }]);
    // By a clock in 1970; the step is one of fifty years.
    let step = 50 * 365 * 86_400;
    house.reads("s1", 80.0, 3);
    house.reads("s1", 80.0, 5);
    house.engine.shift_times(&(0..=6000), step * 1000);
    house.commits_all();
    house.restarts();
    house.reads("s1", 80.0, step + 7);
    house.reads("s1", 80.0, step + 12);
    assert_eq!(house.news(), [""; 0]);
    house.reads("s1", 80.0, step + 13);
    assert_eq!(house.news(), ["high raised s1"]);
    // What another clock told stays.
    house.engine.shift_times(&(0..=6000), step * 1000);
    house.reads("s1", 80.0, step + 14);
    assert_eq!(house.news(), ["high raised s1"]);
}
