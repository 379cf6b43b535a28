//! Keys that no section asked for: of a later version, or unknown.

use crate::config::environment::variable;
use crate::config::later;
use crate::config::suggestion::nearest;
use crate::config::value::Node;
use crate::domain::rule::Place;

/// Why `key` of the section `path` is refused; `None` if it may stand. `kind` is the path without an index.
pub(super) fn refusal(
    kind: &str,
    path: &str,
    asked: &[&str],
    key: &str,
    node: &Node,
) -> Option<String> {
    if let Some(later) = later::of_section(kind).find(|later| later.key == key) {
        return (!later.is_off(&node.value)).then(|| later.refusal());
    }
    let later = later::of_section(kind).map(|later| later.key);
    let meant = nearest(key, asked.iter().copied().chain(later));
    Some(match (&node.place, meant) {
        (Place::Environment(_), Some(meant)) if path.is_empty() => {
            format!("unknown variable, did you mean `{}`?", variable(meant))
        }
        (Place::Environment(_), Some(meant)) => {
            format!(
                "unknown variable, did you mean `{}`?",
                variable(&format!("{path}.{meant}"))
            )
        }
        (Place::Environment(_), None) => "unknown variable".to_owned(),
        (_, Some(meant)) => format!("unknown key, did you mean `{meant}`?"),
        (_, None) => "unknown key".to_owned(),
    })
}
