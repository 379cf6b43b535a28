//! The files of `docs/monitoring`, as far as they name metrics.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::support::repository;

fn read(name: &str) -> String {
    fs::read_to_string(repository().join("docs/monitoring").join(name)).unwrap()
}

/// All expressions, each with where it stands.
pub(super) fn expressions() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let dashboard: Value = serde_json::from_str(&read("grafana-dashboard.json")).unwrap();
    of_dashboard(&dashboard, &mut found);
    for name in ["alerts.yml", "alerts_test.yml"] {
        let of_file = of_rules(&read(name)).into_iter();
        found.extend(of_file.map(|expression| (name.to_owned(), expression)));
    }
    found
}

/// `expr` of the panels, and what `label_values(metric{…}, label)` asks in variables.
fn of_dashboard(value: &Value, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let expression = match value {
                    Value::String(text) if key == "expr" => text,
                    Value::String(text) if key == "definition" => {
                        let asked = text.strip_prefix("label_values(").unwrap();
                        asked.rsplit_once(',').unwrap().0
                    }
                    _ => {
                        of_dashboard(value, found);
                        continue;
                    }
                };
                found.push(("dashboard".to_owned(), expression.to_owned()));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| of_dashboard(item, found)),
        _ => {}
    }
}

/// `expr:` and `series: '…'`, on their line or folded below it.
fn of_rules(text: &str) -> Vec<String> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut found = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let bare = line.trim_start().trim_start_matches("- ");
        if let Some(rest) = bare.strip_prefix("{series: '") {
            found.push(rest.split('\'').next().unwrap().to_owned());
        } else if let Some(rest) = bare.strip_prefix("expr:") {
            let mut expression = rest.trim().trim_matches('\'').to_owned();
            if expression == ">-" {
                expression.clear();
                while let Some(more) = lines.next_if(|next| indent(line) < indent(next)) {
                    expression += more.trim();
                    expression.push(' ');
                }
            }
            found.push(expression);
        }
    }
    found
}

/// Type and labels of each metric in the README's table.
pub(super) fn table() -> BTreeMap<String, (String, Vec<String>)> {
    let text = read("README.md");
    let (_, table) = text.split_once("## All metrics").unwrap();
    let mut found = BTreeMap::new();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, name, kind, unit, labels, meaning, _] = cells[..] else {
            panic!("not five cells: {row}");
        };
        assert!(!unit.is_empty() && !meaning.is_empty(), "{row}");
        let labels = labels.split(' ').filter(|label| *label != "—");
        let labels = labels
            .map(|label| label.trim_matches('`').to_owned())
            .collect();
        let entry = (kind.to_owned(), labels);
        let before = found.insert(name.trim_matches('`').to_owned(), entry);
        assert!(before.is_none(), "twice: {row}");
    }
    found
}
