//! The environment over the file: a variable for every key. Whether the key exists is found out later,
//! in the same walk that finds the unknown keys of the file.

use crate::config::fault::{Fault, Findings};
use crate::config::value::{Node, Table, Value};
use crate::domain::place::Place;

const PREFIX: &str = "EDGE_GATEWAY_";
const LEVEL: &str = "__";

/// The variable that overrides the key at `path`.
pub(super) fn variable(path: &str) -> String {
    let levels = path.replace('.', LEVEL).to_ascii_uppercase();
    format!("{PREFIX}{levels}")
}

/// Puts what the gateway's variables say into `root`; what the file says there gives way.
pub(super) fn merge(
    root: &mut Table,
    environment: impl Iterator<Item = (String, String)>,
    findings: &mut Findings,
) {
    let mut ours: Vec<_> = environment
        .filter(|(name, _)| name.starts_with(PREFIX) && !is_of_kubernetes(name))
        .collect();
    ours.sort();
    for (name, text) in ours {
        let path = name[PREFIX.len()..].to_ascii_lowercase();
        let levels: Vec<&str> = path.split(LEVEL).collect();
        let place = Place::Environment(name.as_str().into());
        let message = if name.contains(|c: char| c.is_ascii_lowercase()) {
            format!(
                "unknown variable, did you mean `{}`?",
                name.to_ascii_uppercase()
            )
        } else {
            let node = Node {
                value: Value::Raw(text),
                place: place.clone(),
                key: None,
            };
            if insert(root, &levels, node) {
                continue;
            }
            "unknown variable: what stands before the last `__` is no section".to_owned()
        };
        findings.add(Fault::new(place, levels.join("."), message));
    }
}

/// Whether Kubernetes sets this variable, as it does in every pod beside a service that is called `edge-gateway`.
fn is_of_kubernetes(name: &str) -> bool {
    let rest = &name[PREFIX.len()..];
    rest == "SERVICE_HOST"
        || rest == "PORT"
        || ["SERVICE_PORT", "PORT_"]
            .iter()
            .any(|start| rest.starts_with(start))
}

/// Gives back whether there was a section to put `node` into.
fn insert(table: &mut Table, levels: &[&str], node: Node) -> bool {
    match levels {
        [] => false,
        [key] => {
            table.insert((*key).to_owned(), node);
            true
        }
        [section, rest @ ..] => {
            let inner = table.entry((*section).to_owned()).or_insert_with(|| Node {
                value: Value::Table(Table::new()),
                place: node.place.clone(),
                key: None,
            });
            match &mut inner.value {
                Value::Table(inner) => insert(inner, rest, node),
                _ => false,
            }
        }
    }
}
