//! Keys of the contract whose feature does not exist yet. They are refused, never silently accepted;
//! a value that switches the feature off is true already and may stand.

use crate::config::kinds::is_empty_list;
use crate::config::value::Value;

/// The value that switches a feature off.
#[derive(Clone, Copy, Debug)]
pub(super) enum Off {
    Text(&'static str),
    EmptyList,
    /// Every value asks for the feature.
    None,
}

/// A key that a later version takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Later {
    /// As in `mqtt`; empty for the top of the file.
    section: &'static str,
    pub(super) key: &'static str,
    off: Off,
}

const fn later(section: &'static str, key: &'static str, off: Off) -> Later {
    Later { section, key, off }
}

const LATER: &[Later] = &[
    later("http", "token_file", Off::Text("")),
    later("http", "allowed_origins", Off::EmptyList),
    later("http", "tls", Off::None),
    later("store", "max_size", Off::None),
    later("store", "keep", Off::None),
    later("store", "when_full", Off::None),
    later("store", "clock_wait", Off::None),
];

/// The later keys of a section.
pub(super) fn of_section(section: &str) -> impl Iterator<Item = &'static Later> {
    LATER.iter().filter(move |later| later.section == section)
}

impl Later {
    /// Whether `value` leaves the feature off.
    pub(super) fn is_off(&self, value: &Value) -> bool {
        match (self.off, value) {
            (Off::Text(off), Value::Text(text) | Value::Raw(text)) => text == off,
            (Off::EmptyList, value) => is_empty_list(value),
            _ => false,
        }
    }

    /// Why another value is refused.
    pub(super) fn refusal(&self) -> String {
        let cure = match self.off {
            Off::Text(off) => format!("remove it or leave it at {off:?}"),
            Off::EmptyList => "remove it or leave it at []".to_owned(),
            Off::None => "remove it".to_owned(),
        };
        format!("not yet supported by this version: {cure}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// A value of the right kind that asks for the feature, in TOML.
    fn asking(later: &Later) -> &'static str {
        match later.off {
            Off::EmptyList => "[{ name = \"x\" }]",
            Off::Text(_) | Off::None => "\"10s\"",
        }
    }

    fn faults_of(later: &Later, value: &str) -> Vec<String> {
        let (key, name) = (later.key, std::sync::Arc::from("gateway.toml"));
        let text = match later.section {
            "" => format!("{key} = {value}"),
            "rule" => format!(
                "[[rule]]\nname = \"n\"\nwhen = \"true\"\nactions = [\"alert\"]\n{key} = {value}"
            ),
            section => format!("[{section}]\n{key} = {value}"),
        };
        match Config::parse(&text, &name) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.list.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn a_key_without_its_feature_is_refused_as_not_yet() {
        for later in LATER {
            let faults = faults_of(later, asking(later));
            assert!(
                matches!(&faults[..], [fault] if fault.contains("not yet") && fault.contains(later.key)),
                "{faults:?}"
            );
        }
    }

    #[test]
    fn a_value_that_leaves_the_feature_off_may_stand() {
        for later in LATER {
            let value = match later.off {
                Off::Text(off) => format!("{off:?}"),
                Off::EmptyList => "[]".to_owned(),
                Off::None => continue,
            };
            assert_eq!(faults_of(later, &value), Vec::<String>::new(), "{later:?}");
        }
    }
}
