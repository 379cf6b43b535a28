use std::thread;

use super::*;
use crate::domain::alert::AlertState;
use crate::domain::place::Place;
use crate::domain::reading::Attributes;
use crate::domain::rule::{Action, Expression, RuleDefinition};
use crate::domain::sensor::SensorId;
use crate::domain::timestamp::Timestamp;
use crate::domain::uplink::UplinkSet;
use crate::rules::STACK_BYTES;

mod hostile;
mod house;
mod kills;
mod times;
mod windows;

fn expression(text: &str) -> Expression {
    Expression {
        text: text.into(),
        place: Place::Defaults,
    }
}

fn rule(name: &str, when: &str, actions: &[Action]) -> RuleDefinition {
    RuleDefinition::plain(name, expression(when), actions.to_vec())
}

fn engine(rules: &[RuleDefinition]) -> Engine {
    Engine::new(Arc::new(RuleSet::compile(rules).unwrap()))
}

/// What becomes of one reading of a fresh engine.
fn evaluate(engine: &mut Engine, reading: &Reading) -> Outcome {
    let mut last = 0;
    let arrival = Arrival {
        reading,
        id: ReadingId(7),
        now: 0,
    };
    engine.take_reading(arrival, &mut || {
        last += 1;
        last
    })
}

fn defaults() -> Engine {
    engine(&[
        rule("high", "value > 75", &[Action::Alert]),
        rule(
            "important",
            "value > 50",
            &[Action::Forward(UplinkSet::one(0))],
        ),
    ])
}

fn reading(value: f64, attributes: &str) -> Reading {
    Reading {
        sensor_id: SensorId::new("boiler/1").unwrap(),
        value,
        ts: Timestamp::from_millis(1_764_000_000_000),
        received_at: Timestamp::from_millis(1_764_000_000_003),
        attributes: Attributes::from_json(attributes.to_owned()),
        topic: Some(TopicName::new("sensors/boiler/1").unwrap()),
    }
}

#[test]
fn comparisons_are_strict() {
    let check = |value: f64, is_alert: bool, is_forwarded: bool| {
        let mut engine = defaults();
        let outcome = evaluate(&mut engine, &reading(value, "{}"));
        let raised: Vec<_> = outcome
            .effects
            .events
            .iter()
            .map(|event| (&*event.rule, event.state))
            .collect();
        let expected = [("high", AlertState::Raised)];
        let expected = if is_alert { &expected[..] } else { &[] };
        assert_eq!(raised, expected, "{value}");
        assert_eq!(!outcome.forward.is_empty(), is_forwarded, "{value}");
        assert_eq!(outcome.tags.len(), raised.len(), "{value}");
        assert_eq!(outcome.effects.failures, [], "{value}");
    };
    check(50.0, false, false);
    check(50.000_000_1, false, true);
    check(75.0, false, true);
    check(75.000_000_1, true, true);
    check(-1e300, false, false);
    check(1e300, true, true);
}

#[test]
fn a_condition_sees_all_of_a_reading() {
    let check = |when: &str, expected: bool| {
        let mut engine = engine(&[rule("r", when, &[Action::Forward(UplinkSet::one(0))])]);
        let outcome = evaluate(
            &mut engine,
            &reading(60.0, r#"{"room":"b1","floor":2,"list":[1]}"#),
        );
        assert_eq!(outcome.effects.failures, [], "{when}");
        assert_eq!(!outcome.forward.is_empty(), expected, "{when}");
    };
    check(
        "sensor_id == 'boiler/1' && topic.startsWith('sensors/')",
        true,
    );
    check("sensor_id.matches('^boiler/[0-9]+$')", true);
    check("attributes.room == 'b1' && attributes.floor > 1.5", true);
    check("has(attributes.missing)", false);
    check("ts < received_at", true);
    check("attributes.list.size() == 1", true);
    check("attributes.list.exists(x, x == 1)", true);
    check("attributes.list.all(x, x > 1)", false);
    check("value >= 60 && value < 60.5", true);
    // The hour of the day, without functions of time.
    check("ts % 86400000 / 3600000 == 16", true);
}

#[test]
fn a_rule_that_fails_does_not_stop_the_others() {
    let mut engine = engine(&[
        rule("room", "attributes.room == 'b1'", &[Action::Alert]),
        rule(
            "all",
            "true",
            &[
                Action::Tag("seen".into()),
                Action::Forward(UplinkSet::one(0)),
            ],
        ),
    ]);
    let outcome = evaluate(&mut engine, &reading(1.0, "{}"));
    assert_eq!(outcome.effects.failures.len(), 1);
    assert!(
        outcome.effects.failures[0].1.contains("room"),
        "{outcome:?}"
    );
    assert_eq!(outcome.tags, ["seen".into()]);
    assert_eq!(outcome.forward, UplinkSet::one(0));
    assert!(outcome.effects.events.is_empty());
}

#[test]
fn rules_that_cannot_work_are_refused_with_the_reason_and_a_mark() {
    // What is meant stands between `«` and `»`.
    let check = |marked: &str, part: &str| {
        let when = marked.replace(['«', '»'], "");
        let faults = RuleSet::compile(&[rule("broken", &when, &[Action::Alert])]).unwrap_err();
        let [fault] = &faults[..] else {
            panic!("{marked}: {faults:?}");
        };
        assert_eq!(
            (fault.rule.as_deref(), &*fault.key),
            (Some("broken"), "when")
        );
        assert!(fault.message.contains(part), "{marked}: {fault}");
        let before = marked.chars().position(|c| c == '«').unwrap();
        let meant = marked.chars().position(|c| c == '»').unwrap() - before - 1;
        let mark = format!("{}{}", " ".repeat(before), "^".repeat(meant.max(1)));
        let excerpt = fault.excerpt.as_ref().unwrap().to_string();
        assert_eq!(excerpt, format!("  |\n  | {}\n  | {mark}", when.trim_end()));
    };
    check("value >«»", "ends too early: expected a value");
    check("value >«»  ", "ends too early: expected a value");
    check("(value > 1«»", "ends too early: expected `)`");
    check("'ü' == topic «and» true", "unexpected `and`: write `&&`");
    check("value «=» 75", "write `==`");
    check("topic == «'»abc", "a text without an end");
    check("«for» > 1", "reserved identifier");
    check(
        "«valve» > 75",
        "unknown name `valve`, did you mean `value`? Known are value, ",
    );
    check(
        "'ü' == topic || «weight» > 75",
        "unknown name `weight`; known are value, ",
    );
    check(
        "[1].exists(valve, valve > 1 && «tags2» > 1)",
        "did you mean `tags`?",
    );
    check("«value + 1.0»", "not a bool");
    check("«value + 1»", "Unsupported binary operator");
    check("«'text'»", "not a bool");
    check("«value > 'text'»", "always fails");
    check("«frobnicate»(value)", "unknown function `frobnicate`");
    check(
        "value > 75 && «siez» (topic) > 1",
        "unknown function `siez`, did you mean `size`?",
    );
    check(
        "'é' != topic && topic.«startWith»('a')",
        "did you mean `startsWith`?",
    );
    check("«nosuch».startWith('a')", "unknown name `nosuch`");
    check(
        "'ü' == topic || topic.matches(«'ü('»)",
        "is no pattern: unclosed group",
    );
    check("value > 75.0 && matches(topic, «r'['»)", "is no pattern: ");
    check(
        "«value > 75.0 && value + 1 > 80.0»",
        "Unsupported binary operator",
    );
    check("«value > 75 ? 'x' : false»", "not a bool");
}

#[test]
fn a_condition_that_is_too_long_is_refused() {
    let faults = RuleSet::compile(&[rule("long", &"1+".repeat(1_000), &[])]).unwrap_err();
    assert!(faults[0].message.contains("at most 1024"), "{faults:?}");
}

#[test]
fn every_fault_of_every_rule_is_named() {
    let faults = RuleSet::compile(&[
        rule("a", "value >", &[]),
        rule("b", "value > 1", &[]),
        rule("c", "nothing", &[]),
        rule("d", "volume > siez(topic) && volume < weight", &[]),
    ])
    .unwrap_err();
    let named: Vec<_> = faults
        .iter()
        .map(|fault| {
            let name = fault.message.split('`').nth(1).unwrap_or_default();
            (fault.rule.as_deref().unwrap(), name)
        })
        .collect();
    let expected = [
        ("a", ""),
        ("c", "nothing"),
        ("d", "volume"),
        ("d", "siez"),
        ("d", "weight"),
    ];
    assert_eq!(named, expected);
}

#[test]
fn who_writes_hundreds_of_faults_is_told_of_the_first() {
    let names: Vec<String> = (0..90).map(|number| format!("n{number}")).collect();
    let condition = names.join(" > ");
    let rules: Vec<_> = (0..30)
        .map(|number| rule(&format!("r{number}"), &condition, &[]))
        .collect();
    let faults = RuleSet::compile(&rules).unwrap_err();
    assert_eq!(faults.len(), 30 * 10);
    let shown = faults.iter().filter(|fault| fault.excerpt.is_some());
    assert_eq!(shown.count(), 100);
}

#[test]
fn the_deepest_condition_allowed_does_not_overflow_the_stack() {
    let deep = |text: String| {
        let text: String = text.chars().take(Expression::MAX_BYTES).collect();
        let compiled = RuleSet::compile(&[rule("deep", &text, &[])]);
        assert!(compiled.is_err() || text.ends_with("true"), "{text}");
    };
    deep("(".repeat(1024));
    deep("!".repeat(1020) + "true");
    deep("-".repeat(1024));
    deep("[".repeat(1024));
    deep("1+".repeat(512));
    let sum = "1+".repeat(500) + "1 > 0";
    let mut engine = engine(&[rule("sum", &sum, &[Action::Forward(UplinkSet::one(0))])]);
    thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(move || {
            assert!(
                !evaluate(&mut engine, &reading(1.0, "{}"))
                    .forward
                    .is_empty()
            );
        })
        .unwrap()
        .join()
        .unwrap();
}
