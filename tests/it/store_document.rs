//! `docs/store.md` names every table, view and column of the store, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::support::{Site, repository};

type Columns = BTreeMap<String, BTreeSet<String>>;

/// The rows of its tables that begin with a name: name, then columns.
fn of_document() -> Columns {
    let text = fs::read_to_string(repository().join("docs/store.md")).unwrap();
    let mut found = Columns::new();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split(" | ").collect();
        let names = |cell: &str| -> BTreeSet<String> {
            cell.split('`')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect()
        };
        let [name, columns, _] = cells[..] else {
            continue;
        };
        let name = names(name).pop_first().unwrap();
        let before = found.insert(name, names(columns));
        assert_eq!(before, None, "twice: {line}");
    }
    found
}

#[test]
fn the_document_and_the_schema_agree() {
    let site = Site::new();
    assert_eq!(site.start().stop().code(), Some(0));
    let names: Vec<String> = site.sql_all(
        "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite%'",
    );
    assert!(20 < names.len(), "{names:?}");
    let schema: Columns = names
        .into_iter()
        .map(|name| {
            let columns: Vec<String> =
                site.sql_all(&format!("SELECT name FROM pragma_table_info('{name}')"));
            (name, columns.into_iter().collect())
        })
        .collect();
    let document = of_document();
    for (name, columns) in &schema {
        assert_eq!(document.get(name), Some(columns), "{name}");
    }
    let gone: Vec<&String> = document
        .keys()
        .filter(|name| !schema.contains_key(*name))
        .collect();
    assert!(gone.is_empty(), "only in the document: {gone:?}");
}
