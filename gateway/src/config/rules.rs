//! The `[[rule]]` sections. Whether an expression compiles is for `rules` to say.

mod actions;
mod meaning;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actions::{action, forward_to_all};
use meaning::refuse_what_means_nothing;

use crate::config::document;
use crate::config::fault::Findings;
use crate::config::ingest::filter;
use crate::config::kinds::{choice, duration, name, text, unexpected};
use crate::config::quantity::parse_duration;
use crate::config::section::{Section, Setting};
use crate::config::value::{Table, Value};
use crate::domain::place::Place;
use crate::domain::rule::{
    Absence, Action, Expression, Repeat, RuleDefinition, Severity, WindowDefinition,
};
use crate::domain::template::unknown_placeholder;

/// No time of a rule is longer.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// A window has at most so many steps.
const MOST_STEPS: u128 = 1000;

/// How long a window waits for what comes late, if nothing is said.
const LATENESS: Duration = Duration::from_secs(10);

/// Names that a message may have.
const IN_MESSAGES: &[&str] = &[
    "rule",
    "sensor_id",
    "group",
    "value",
    "state",
    "avg",
    "min",
    "max",
    "sum",
    "count",
];

const SEVERITIES: &[(&str, Severity)] = &[
    ("info", Severity::Info),
    ("warning", Severity::Warning),
    ("critical", Severity::Critical),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Watched {
    Sensors,
    Devices,
}

const WATCHED: &[(&str, Watched)] = &[("sensors", Watched::Sensors), ("devices", Watched::Devices)];

/// Reads all rules: those of `file` if it is there; else those of the configuration; where there are none, those of the
/// contract. An empty list asks for none at all. `uplinks` are the names of those that are configured.
pub(super) fn read(
    root: &mut Section<'_>,
    uplinks: &[&str],
    file: Option<&Path>,
) -> Vec<RuleDefinition> {
    let here = read_list(root, uplinks);
    let Some(file) = file.filter(|file| file.exists()) else {
        return here.unwrap_or_else(|| defaults(uplinks));
    };
    match document::read(file, root.findings()) {
        Ok(table) => read_alone(table, uplinks, root.findings()),
        Err(fault) => {
            root.refuse("rules_file", fault.place, fault.message);
            Vec::new()
        }
    }
}

/// The rules of a document that has nothing else.
pub(super) fn read_alone(
    table: Table,
    uplinks: &[&str],
    findings: &mut Findings,
) -> Vec<RuleDefinition> {
    let mut root = Section::root(table, findings);
    let rules = read_list(&mut root, uplinks);
    root.finish();
    rules.unwrap_or_default()
}

fn read_list(root: &mut Section<'_>, uplinks: &[&str]) -> Option<Vec<RuleDefinition>> {
    let mut seen = HashMap::new();
    let rules = root.sections("rule", |section| read_rule(section, uplinks, &mut seen));
    rules.map(|rules| rules.into_iter().flatten().collect())
}

fn defaults(uplinks: &[&str]) -> Vec<RuleDefinition> {
    let rule = |name: &str, when: &str, action: Action, word: &str| {
        let written = serde_json::json!({ "name": name, "when": when, "actions": [word] });
        let when = Expression {
            text: when.into(),
            place: Place::Defaults,
        };
        Some(RuleDefinition {
            lateness: LATENESS,
            written: serde_json::value::to_raw_value(&written).ok()?,
            ..RuleDefinition::plain(name, when, vec![action])
        })
    };
    let rules = [
        rule("high", "value > 75", Action::Alert, "alert"),
        rule(
            "important",
            "value > 50",
            forward_to_all(uplinks),
            "forward",
        ),
    ];
    rules.into_iter().flatten().collect()
}

fn read_rule(
    mut section: Section<'_>,
    uplinks: &[&str],
    seen: &mut HashMap<Arc<str>, Place>,
) -> Option<RuleDefinition> {
    let written = section.to_json();
    let name = read_name(&mut section, seen);
    let absent = read_absence(&mut section);
    let when = match &absent {
        None => {
            expression(section.required("when", "a condition, such as \"value > 75\"", condition))
        }
        Some(_) => optional(section.setting("when", None, |value| condition(value).map(Some))),
    };
    let clear = optional(section.setting("clear", None, |value| condition(value).map(Some)));
    let group_by = optional(section.setting("group_by", None, |value| condition(value).map(Some)));
    let mut time = |key| {
        section
            .setting(key, Duration::ZERO, duration(Duration::ZERO..=LONGEST))
            .value
    };
    let (hold, clear_hold, cooldown) = (time("for"), time("clear_for"), time("cooldown"));
    let lateness = section.setting("lateness", LATENESS, duration(Duration::ZERO..=LONGEST));
    let window = read_window(&mut section, lateness.value);
    let repeat = section.setting("repeat", Repeat::Every, repeat).value;
    let severity = section.setting("severity", None, |value| {
        choice(SEVERITIES, &[])(value).map(Some)
    });
    let message = section.setting("message", None, |value| message(value).map(Some));
    let topics = section.list("topics", filter).unwrap_or_default();
    let expected = format!("a list of {}", actions::EXPECTED);
    let actions = section.required_list("actions", &expected, |value| action(value, uplinks));
    let place = section.place();
    let rule = (|| {
        let (name, name_place) = name?;
        Some(RuleDefinition {
            name,
            topics,
            when,
            clear,
            hold,
            clear_hold,
            cooldown,
            repeat,
            window,
            lateness: lateness.value,
            absent,
            group_by,
            severity: severity.value,
            message: message.value,
            actions: actions?,
            written: serde_json::value::to_raw_value(&written).ok()?,
            place: if place == Place::Defaults {
                name_place
            } else {
                place
            },
        })
    })();
    if let Some(rule) = &rule {
        refuse_what_means_nothing(&mut section, rule, &written);
    }
    section.finish();
    rule.filter(|rule| rule.when.is_some() || rule.absent.is_some())
}

fn read_name(
    section: &mut Section<'_>,
    seen: &mut HashMap<Arc<str>, Place>,
) -> Option<(Arc<str>, Place)> {
    let found = section.required("name", "a name, such as \"high\"", name);
    if let Some((name, place)) = &found {
        if let Some(first) = seen.get(name) {
            let message = format!(
                "{name:?} is the name of another rule already, at {first}: choose another one"
            );
            section.refuse("name", place.clone(), message);
        } else {
            seen.insert(Arc::clone(name), place.clone());
            section.call_rule(Arc::clone(name));
        }
    }
    found
}

fn read_absence(section: &mut Section<'_>) -> Option<Absence> {
    let range = Duration::from_secs(1)..=LONGEST;
    let absent = section.setting("absent_for", None, |value| duration(range)(value).map(Some));
    let watched = section.setting("watch", Watched::Sensors, choice(WATCHED, &[]));
    if absent.value.is_none() && watched.place != Place::Defaults {
        section.refuse(
            "watch",
            watched.place,
            "means nothing without absent_for: remove it",
        );
    }
    Some(match watched.value {
        Watched::Sensors => Absence::Sensor(absent.value?),
        Watched::Devices => Absence::Device(absent.value?),
    })
}

fn read_window(section: &mut Section<'_>, lateness: Duration) -> Option<WindowDefinition> {
    let range = Duration::from_secs(1)..=LONGEST;
    let read = |value: &Value| duration(range.clone())(value).map(Some);
    let over = section.setting("over", None, read);
    let every = section.setting("every", None, read);
    let Some(span) = over.value else {
        if every.value.is_some() {
            section.refuse(
                "every",
                every.place,
                "means nothing without over: remove it, or say over how long",
            );
        }
        return None;
    };
    let step = every.value.unwrap_or(span);
    if span < step || !span.as_millis().is_multiple_of(step.as_millis()) {
        section.refuse(
            "every",
            every.place,
            "does not divide `over`: windows end at whole multiples of it",
        );
        return None;
    }
    if MOST_STEPS < (span.as_millis() + lateness.as_millis()) / step.as_millis() {
        let message =
            format!("makes windows of more than {MOST_STEPS} steps: choose a longer step");
        section.refuse("every", every.place, message);
        return None;
    }
    Some(WindowDefinition {
        over: span,
        every: step,
    })
}

fn optional(setting: Setting<Option<Box<str>>>) -> Option<Expression> {
    expression(setting.value.map(|text| (text, setting.place)))
}

fn expression(found: Option<(Box<str>, Place)>) -> Option<Expression> {
    found.map(|(text, place)| Expression { text, place })
}

fn repeat(value: &Value) -> Result<Repeat, String> {
    let expected = "\"every\", \"on-change\" or a duration, such as \"10m\"";
    match text(value).map_err(|_| unexpected(expected, value))? {
        "every" => Ok(Repeat::Every),
        "on-change" => Ok(Repeat::OnChange),
        text => match parse_duration(text) {
            Some(time) if !time.is_zero() && time <= LONGEST => {
                Ok(Repeat::After(time.as_millis() as i64))
            }
            _ => Err(unexpected(expected, value)),
        },
    }
}

fn message(value: &Value) -> Result<Box<str>, String> {
    let template = text(value)?;
    match unknown_placeholder(template, IN_MESSAGES) {
        None if template.len() <= Expression::MAX_BYTES => Ok(template.into()),
        None => Err(format!("expected at most {} bytes", Expression::MAX_BYTES)),
        Some(unknown) => Err(format!(
            "{unknown:?} stands for nothing here: known are {}",
            placeholders(IN_MESSAGES)
        )),
    }
}

fn placeholders(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("%{{{name}}}")).collect();
    names.join(", ")
}

fn condition(value: &Value) -> Result<Box<str>, String> {
    let expected = "a condition, such as \"value > 75\"";
    let (Value::Text(text) | Value::Raw(text)) = value else {
        return Err(unexpected(expected, value));
    };
    if text.trim().is_empty() {
        return Err(unexpected(expected, value));
    }
    if Expression::MAX_BYTES < text.len() {
        let (limit, length) = (Expression::MAX_BYTES, text.len());
        return Err(format!(
            "expected a condition of at most {limit} bytes, found {length}: split the rule into several"
        ));
    }
    Ok(text.as_str().into())
}
