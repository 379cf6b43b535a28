//! What a replay says, for people.

use std::fmt::Write as _;

use crate::ingest::replay::{OfRule, Question, Replayed};

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
                rule.flaps_per_hour(question),
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
