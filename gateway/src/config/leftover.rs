//! Keys that no section asked for.

use crate::config::environment::variable;
use crate::config::suggestion::nearest;
use crate::config::value::Node;
use crate::domain::place::Place;

/// Why `key` of the section `path` is refused; `None` if it may stand. `path` is `None` for one that no variable of its own can
/// give.
pub(super) fn refusal(
    path: Option<&str>,
    asked: &[&str],
    key: &str,
    node: &Node,
) -> Option<String> {
    let meant = nearest(key, asked.iter().copied());
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
