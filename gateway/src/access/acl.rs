//! From the rules of the ACL file to what one client may do.
//!
//! - What no rule allows is denied. Without a file everything is allowed.
//! - Deny wins over allow, whatever the order of the rules.
//! - A message, by a publish, a will or a delivery, is judged by its topic.
//! - A subscription is judged by its filter: it is allowed if one allowing rule covers all that the filter can match, and
//!   refused if one denying rule does. Where a denying rule covers only a part of it the subscription stands, and each
//!   message is judged before it is delivered.
//! - `%u` and `%c` stand for user and client id. One that contains `/`, `+` or `#`, or is empty, has no part in a rule
//!   with its placeholder, and one that begins with `$` none where the filter begins with the placeholder: as a wildcard
//!   in that place would not match it.

use std::path::Path;

use crate::access::grants::{Rights, Verdicts};
use crate::config::{AccessList, AccessRule, Effect, Fault, Operation};
use crate::domain::place::Place;
use crate::domain::topic::TopicFilter;

/// The rules of the file. The default: there is no file.
#[derive(Clone, Debug, Default)]
pub(super) struct Acl {
    rules: Option<Vec<AccessRule>>,
}

impl Acl {
    /// Reads the file at `path`, or says everything that is wrong with it.
    pub(super) fn load(path: &Path) -> Result<Self, Vec<Fault>> {
        match AccessList::load(path) {
            Ok(list) => Ok(Self {
                rules: Some(list.rules),
            }),
            Err(mut faults) => {
                for fault in &mut faults {
                    if matches!(fault.place, Place::File { line: 0, .. }) {
                        "mqtt.acl_file".clone_into(&mut fault.key);
                    }
                }
                Err(faults)
            }
        }
    }

    /// What a client may do: the rules that are about it, with the placeholders filled in. `None`: everything.
    pub(super) fn for_client(&self, user: Option<&str>, client_id: &str) -> Option<Rights> {
        let rules = self.rules.as_ref()?;
        let mut publish = Verdicts::default();
        let mut subscribe = Verdicts::default();
        for rule in rules.iter().filter(|rule| is_about(rule, user)) {
            let Some(filter) = filled(&rule.filter, user, client_id) else {
                continue;
            };
            if rule.operation != Operation::Subscribe {
                publish.add(rule.effect, &filter);
            }
            if rule.operation != Operation::Publish {
                subscribe.add(rule.effect, &filter);
            }
        }
        Some(Rights { publish, subscribe })
    }
}

impl Verdicts {
    fn add(&mut self, effect: Effect, filter: &TopicFilter) {
        let list = match effect {
            Effect::Allow => &mut self.allowed,
            Effect::Deny => &mut self.denied,
        };
        list.push(filter.clone());
    }
}

fn is_about(rule: &AccessRule, user: Option<&str>) -> bool {
    match &rule.users {
        None => true,
        Some(names) => user.is_some_and(|user| names.contains(user)),
    }
}

/// The filter with its placeholders filled in; `None` if it can match nothing.
fn filled(filter: &str, user: Option<&str>, client_id: &str) -> Option<TopicFilter> {
    let mut text = String::with_capacity(filter.len());
    let mut rest = filter;
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        let value = match after.as_bytes().first() {
            Some(b'u') => user?,
            Some(b'c') => client_id,
            _ => {
                text.push('%');
                rest = after;
                continue;
            }
        };
        let is_hidden = text.is_empty() && value.starts_with('$');
        if value.is_empty() || is_hidden || value.contains(['/', '+', '#']) {
            return None;
        }
        text.push_str(value);
        rest = &after[1..];
    }
    text.push_str(rest);
    TopicFilter::new(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_stand_for_levels_and_for_parts_of_them() {
        let check = |filter: &str, user: Option<&str>, client: &str, expected: Option<&str>| {
            let filled = filled(filter, user, client);
            let found = filled.as_ref().map(TopicFilter::as_str);
            assert_eq!(found, expected, "{filter} {user:?} {client:?}");
        };
        check("sensors/%u/#", Some("ann"), "c", Some("sensors/ann/#"));
        check("%u/dev-%c-x/%c", Some("a"), "1", Some("a/dev-1-x/1"));
        check("a/%/%x/%%u/100%", Some("b"), "c", Some("a/%/%x/%b/100%"));
        check("%u/%c", Some("%c"), "%u", Some("%c/%u"));
        check("传/%u/é", Some("感"), "c", Some("传/感/é"));
        check("sensors/%u", None, "c", None);
        check("sensors/%c", None, "c", Some("sensors/c"));
        for bad in ["a/b", "+", "#", "a+", "/", "a#", "a\0", ""] {
            check("sensors/%u", Some(bad), "c", None);
            check("x-%c/#", Some("u"), bad, None);
            check("plain/#", Some(bad), bad, Some("plain/#"));
        }
        check("%c/#", None, "$SYS", None);
        check("a/%c/#", None, "$SYS", Some("a/$SYS/#"));
        check("x%c", None, &"y".repeat(65_535), None);
    }
}
