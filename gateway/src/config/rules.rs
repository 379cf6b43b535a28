//! The `[[rule]]` sections: names, conditions and actions. Whether a condition compiles is for `rules` to say.

use std::{collections::HashMap, sync::Arc};

use crate::config::kinds::{is_name, name, unexpected};
use crate::config::section::Section;
use crate::config::value::Value;
use crate::domain::rule::{Action, Place, RuleDefinition};
use crate::domain::uplink::{CLOUD, UplinkSet};

const LATER_ACTIONS: &[&str] = &["publish:", "downsample:"];
const EXPECTED_ACTION: &str = "\"alert\", \"forward\", \"forward:NAME\", \"drop\" or \"tag:NAME\"";

/// Reads all rules; where there are none, those of the contract. An empty list asks for none at all.
/// `uplinks` are the names of those that are configured.
pub(super) fn read(root: &mut Section<'_>, uplinks: &[&str]) -> Vec<RuleDefinition> {
    let mut seen = HashMap::new();
    match root.sections("rule", |section| read_rule(section, uplinks, &mut seen)) {
        Some(rules) => rules.into_iter().flatten().collect(),
        None => defaults(uplinks),
    }
}

/// Where readings that are forwarded go; without any uplink they wait for the cloud.
fn all(uplinks: &[&str]) -> Action {
    Action::Forward(UplinkSet::first(uplinks.len().clamp(1, UplinkSet::MOST)))
}

fn defaults(uplinks: &[&str]) -> Vec<RuleDefinition> {
    let rule = |name: &str, when: &str, action: Action| RuleDefinition {
        name: name.into(),
        when: when.into(),
        actions: vec![action],
        place: Place::Defaults,
    };
    vec![
        rule("high", "value > 75", Action::Alert),
        rule("important", "value > 50", all(uplinks)),
    ]
}

fn read_rule(
    mut section: Section<'_>,
    uplinks: &[&str],
    seen: &mut HashMap<Arc<str>, Place>,
) -> Option<RuleDefinition> {
    let name = section.required("name", "a name, such as \"high\"", name);
    if let Some((name, place)) = &name {
        if let Some(first) = seen.get(name) {
            let message = format!(
                "{name:?} is the name of another rule already, at {first}: choose another one"
            );
            section.refuse("name", place.clone(), message);
        } else {
            seen.insert(Arc::clone(name), place.clone());
        }
    }
    let when = section.required("when", "a condition, such as \"value > 75\"", condition);
    let actions = read_actions(&mut section, uplinks);
    section.finish();
    let (when, place) = when?;
    Some(RuleDefinition {
        name: name?.0,
        when,
        actions: actions?,
        place,
    })
}

fn read_actions(section: &mut Section<'_>, uplinks: &[&str]) -> Option<Vec<Action>> {
    let expected = format!("a list of {EXPECTED_ACTION}");
    section.required_list("actions", &expected, |value| action(value, uplinks))
}

fn condition(value: &Value) -> Result<Box<str>, String> {
    let expected = "a condition, such as \"value > 75\"";
    let (Value::Text(text) | Value::Raw(text)) = value else {
        return Err(unexpected(expected, value));
    };
    if text.trim().is_empty() {
        return Err(unexpected(expected, value));
    }
    if RuleDefinition::MAX_WHEN_BYTES < text.len() {
        let (limit, length) = (RuleDefinition::MAX_WHEN_BYTES, text.len());
        return Err(format!(
            "expected a condition of at most {limit} bytes, found {length}: split the rule into several"
        ));
    }
    Ok(text.as_str().into())
}

fn action(value: &Value, uplinks: &[&str]) -> Result<Action, String> {
    let (Value::Text(text) | Value::Raw(text)) = value else {
        return Err(unexpected(EXPECTED_ACTION, value));
    };
    if let Some(name) = text.strip_prefix("forward:") {
        return forward_to(name, uplinks);
    }
    match (text.as_str(), text.strip_prefix("tag:")) {
        ("alert", _) => Ok(Action::Alert),
        ("forward", _) => Ok(all(uplinks)),
        ("drop", _) => Ok(Action::Drop),
        (_, Some(tag)) if is_name(tag) => Ok(Action::Tag(tag.into())),
        (_, Some(_)) => Err(format!(
            "expected a tag of 1 to 64 characters of A-Z, a-z, 0-9, `.`, `_` and `-`, found {value}"
        )),
        _ if LATER_ACTIONS.iter().any(|later| text.starts_with(later)) => Err(format!(
            "{value} is not yet supported by this version: expected {EXPECTED_ACTION}"
        )),
        _ => Err(unexpected(EXPECTED_ACTION, value)),
    }
}

fn forward_to(name: &str, uplinks: &[&str]) -> Result<Action, String> {
    let known = if uplinks.is_empty() {
        &[CLOUD]
    } else {
        uplinks
    };
    match known.iter().position(|uplink| *uplink == name) {
        Some(place) if place < UplinkSet::MOST => Ok(Action::Forward(UplinkSet::one(place))),
        _ => Err(format!(
            "there is no uplink {name:?}: expected one of {known:?}, or a section [[uplink]] with that name"
        )),
    }
}
