//! Keys that no section asked for: of a later version, or unknown.

use crate::config::environment::variable;
use crate::config::later;
use crate::config::suggestion::nearest;
use crate::config::value::Node;
use crate::domain::place::Place;

/// Why `key` of the section `path` is refused; `None` if it may stand. `kind` is the path without an index, if the
/// section is one of the configuration's own file; `path` is `None` for one that no variable of its own can give.
pub(super) fn refusal(
    kind: Option<&str>,
    path: Option<&str>,
    asked: &[&str],
    key: &str,
    node: &Node,
) -> Option<String> {
    let later = || kind.into_iter().flat_map(later::of_section);
    if later().any(|later| later.key == key) {
        return Some(later::REFUSAL.to_owned());
    }
    let known = asked.iter().copied();
    let meant = nearest(key, known.chain(later().map(|later| later.key)));
    Some(match (&node.place, meant, path) {
        (Place::Environment(_), None, Some(_)) => "unknown variable".to_owned(),
        (Place::Environment(_), Some(meant), Some(path)) => {
            let path = if path.is_empty() {
                meant.to_owned()
            } else {
                format!("{path}.{meant}")
            };
            format!("unknown variable, did you mean `{}`?", variable(&path))
        }
        (_, Some(meant), _) => format!("unknown key, did you mean `{meant}`?"),
        (_, None, _) => "unknown key".to_owned(),
    })
}
