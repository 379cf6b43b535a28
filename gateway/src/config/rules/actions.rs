//! What a rule does.

use std::time::Duration;

use super::{LONGEST, placeholders};
use crate::config::kinds::{duration, is_name, unexpected};
use crate::config::value::Value;
use crate::domain::rule::Action;
use crate::domain::template::unknown_placeholder;
use crate::domain::topic::TopicName;
use crate::domain::uplink::{CLOUD, UplinkSet};

pub(super) const EXPECTED: &str = "\"alert\", \"forward\", \"forward:NAME\", \"drop\", \"tag:NAME\", \"publish:TOPIC\" or \"downsample:1m\"";

/// Names that a topic may have.
const IN_TOPICS: &[&str] = &["sensor_id", "rule"];

/// Where readings that are forwarded go; without any uplink they wait for the cloud.
pub(super) fn forward_to_all(uplinks: &[&str]) -> Action {
    Action::Forward(UplinkSet::first(uplinks.len().clamp(1, UplinkSet::MOST)))
}

pub(super) fn action(value: &Value, uplinks: &[&str]) -> Result<Action, String> {
    let (Value::Text(text) | Value::Raw(text)) = value else {
        return Err(unexpected(EXPECTED, value));
    };
    match text.split_once(':') {
        None if text == "alert" => Ok(Action::Alert),
        None if text == "forward" => Ok(forward_to_all(uplinks)),
        None if text == "drop" => Ok(Action::Drop),
        Some(("forward", name)) => forward_to(name, uplinks),
        Some(("tag", tag)) if is_name(tag) => Ok(Action::Tag(tag.into())),
        Some(("tag", _)) => Err(format!(
            "expected a tag of 1 to 64 characters of A-Z, a-z, 0-9, `.`, `_` and `-`, found {value}"
        )),
        Some(("publish", topic)) => publish(topic),
        Some(("downsample", time)) => {
            let time = duration(Duration::from_secs(1)..=LONGEST)(&Value::Text(time.to_owned()))?;
            Ok(Action::Downsample(time))
        }
        _ => Err(unexpected(EXPECTED, value)),
    }
}

fn publish(template: &str) -> Result<Action, String> {
    if let Some(unknown) = unknown_placeholder(template, IN_TOPICS) {
        let known = placeholders(IN_TOPICS);
        return Err(format!(
            "{unknown:?} stands for nothing here: known are {known}"
        ));
    }
    if TopicName::is_own(template) {
        return Err(format!(
            "{template:?} is the gateway's own: choose another topic"
        ));
    }
    match TopicName::new(template) {
        Ok(_) => Ok(Action::Publish(template.into())),
        Err(error) => Err(format!("{template:?} is no topic: {error}")),
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
