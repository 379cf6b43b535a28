//! Keys and actions of a rule that would be taken and do nothing are refused.

use serde_json::Value;

use crate::config::section::Section;
use crate::domain::rule::{Absence, Action, RuleDefinition};

/// Keys and actions that would be taken and do nothing.
pub(super) fn refuse_what_means_nothing(
    section: &mut Section<'_>,
    rule: &RuleDefinition,
    written: &Value,
) {
    if rule.actions.contains(&Action::Drop) && 1 < rule.actions.len() {
        let message = "leave nothing to do beside \"drop\": make two rules";
        section.refuse_key("actions", message);
    }
    let thins = rule
        .actions
        .iter()
        .any(|action| matches!(action, Action::Downsample(_)));
    let is_of_readings = rule.window.is_none() && rule.absent.is_none();
    if rule.window.is_some() && rule.absent.is_some() {
        section.refuse_key(
            "over",
            "means nothing to a rule with absent_for: make two rules",
        );
    }
    let allows = |action: &Action| match action {
        Action::Alert => !thins,
        Action::Forward(_) | Action::Publish(_) => rule.absent.is_none(),
        Action::Downsample(_) => is_of_readings,
        Action::Tag(_) | Action::Drop => is_of_readings && !thins,
    };
    if !rule.actions.iter().all(allows) {
        let message = match (rule.absent.is_some(), thins) {
            (true, _) => "can only be \"alert\" for what is silent",
            (false, true) => {
                "can be \"forward\" and \"publish:TOPIC\" beside \"downsample\", for what comes of it"
            }
            (false, false) => "can be \"alert\", \"forward\" and \"publish:TOPIC\" for windows",
        };
        section.refuse_key("actions", message);
    }
    if matches!(rule.absent, Some(Absence::Device(_))) {
        let is_asked = rule.when.is_some() || rule.group_by.is_some() || !rule.topics.is_empty();
        if is_asked {
            section.refuse_key(
                "watch",
                "devices are not readings: when, topics and group_by mean nothing to them",
            );
        }
    }
    if rule.absent.is_some() {
        let is_timed = [rule.hold, rule.clear_hold, rule.cooldown]
            .iter()
            .any(|time| !time.is_zero());
        if is_timed || rule.clear.is_some() {
            let message =
                "has no for, clear, clear_for or cooldown: silence is over with the next reading";
            section.refuse_key("absent_for", message);
        }
    }
    let has_alert = rule.actions.contains(&Action::Alert);
    for key in ["severity", "message", "repeat"] {
        if !has_alert && written.get(key).is_some() {
            section.refuse_key(key, "means nothing without the action \"alert\": remove it");
        }
    }
    if rule.window.is_none() && !thins && written.get("lateness").is_some() {
        section.refuse_key(
            "lateness",
            "means nothing without windows: remove it, or say `over` how long",
        );
    }
}
