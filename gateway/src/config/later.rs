//! Keys of the contract whose feature does not exist yet. They are refused, never silently accepted.

/// A key that a later version takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Later {
    section: &'static str,
    pub(super) key: &'static str,
}

/// Why it is refused.
pub(super) const REFUSAL: &str = "not yet supported by this version: remove it";

const fn later(section: &'static str, key: &'static str) -> Later {
    Later { section, key }
}

const LATER: &[Later] = &[later("store", "clock_wait")];

/// The later keys of a section.
pub(super) fn of_section(section: &str) -> impl Iterator<Item = &'static Later> {
    LATER.iter().filter(move |later| later.section == section)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_key_without_its_feature_is_refused_as_not_yet() {
        for Later { section, key } in LATER {
            let text = format!("[{section}]\n{key} = \"10s\"");
            let faults = Config::parse(&text, &"gateway.toml".into()).unwrap_err();
            let faults: Vec<String> = faults.list.iter().map(ToString::to_string).collect();
            assert!(
                matches!(&faults[..], [fault] if fault.contains("not yet") && fault.contains(key)),
                "{faults:?}"
            );
        }
    }
}
