//! What a replay says, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::replay::{OfRule, Question, Replayed};

const HOUR: f64 = 3_600_000.0;

/// A table with a timeline for each rule; of two sets of rules, one beside the other.
pub(super) fn text(names: &[&str], replayed: &Replayed, question: &Question<'_>) -> String {
    let mut text = format!("{} readings\n", replayed.readings);
    let width = replayed
        .sets
        .iter()
        .flatten()
        .map(|rule| rule.name.chars().count())
        .max();
    let width = width.unwrap_or(4).max(4);
    let mut line = |line: std::fmt::Arguments<'_>| {
        // Writing to a text does not fail.
        text.write_fmt(line).ok();
        text.push('\n');
    };
    for (name, rules) in names.iter().zip(&replayed.sets) {
        line(format_args!(
            "\n{name:<3}  {:<width$} {:>8} {:>8} {:>10} {:>8}  timeline",
            "rule", "raised", "cleared", "longest", "flaps/h"
        ));
        for rule in rules {
            line(format_args!(
                "     {:<width$} {:>8} {:>8} {:>10} {:>8.1}  {}",
                rule.name,
                rule.raised,
                rule.cleared,
                duration(rule.longest),
                flaps(rule, question),
                timeline(rule),
            ));
            if 0 < rule.failures {
                line(format_args!(
                    "     {:<width$} could not be asked about {} readings",
                    "", rule.failures
                ));
            }
            if 0 < rule.late {
                line(format_args!(
                    "     {:<width$} {} readings came too late",
                    "", rule.late
                ));
            }
        }
    }
    text
}

/// The same as one object.
pub(super) fn json(names: &[&str], replayed: &Replayed, question: &Question<'_>) -> String {
    let sets = names.iter().zip(&replayed.sets).map(|(name, rules)| {
        let rules: Vec<Value> = rules.iter().map(|rule| of_rule(rule, question)).collect();
        json!({ "name": name, "rules": rules })
    });
    let whole = json!({
        "from": question.since.millis(),
        "to": question.now.millis(),
        "readings": replayed.readings,
        "sets": sets.collect::<Vec<_>>(),
    });
    format!("{whole}\n")
}

fn of_rule(rule: &OfRule, question: &Question<'_>) -> Value {
    let raised: Vec<u64> = rule.timeline.iter().map(|(raised, _)| *raised).collect();
    json!({
        "rule": &*rule.name,
        "raised": rule.raised,
        "cleared": rule.cleared,
        "events": rule.events,
        "longest_seconds": rule.longest as f64 / 1000.0,
        "flaps_per_hour": flaps(rule, question),
        "failures": rule.failures,
        "late": rule.late,
        "timeline": raised,
    })
}

/// Alerts opened in an hour, over the whole time.
fn flaps(rule: &OfRule, question: &Question<'_>) -> f64 {
    let hours = (question.now.millis() - question.since.millis()).max(1) as f64 / HOUR;
    rule.raised as f64 / hours
}

/// `▲` where alerts were raised, `━` where one was open.
fn timeline(rule: &OfRule) -> String {
    let mark = |(raised, is_open): &(u64, bool)| match (raised, is_open) {
        (1.., _) => '▲',
        (0, true) => '━',
        (0, false) => '·',
    };
    rule.timeline.iter().map(mark).collect()
}

/// As people say it, with one figure behind the point at most.
fn duration(millis: i64) -> String {
    let seconds = millis as f64 / 1000.0;
    match seconds {
        0.0 => "-".to_owned(),
        ..60.0 => format!("{seconds:.1} s"),
        ..3600.0 => format!("{:.1} min", seconds / 60.0),
        ..86_400.0 => format!("{:.1} h", seconds / 3600.0),
        _ => format!("{:.1} d", seconds / 86_400.0),
    }
}
