//! `docs/mqtt-conformance.md` names tests that exist, and each statement once.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

use crate::support::repository;

/// The tables, and how many statements each specification has in its Appendix B.
const TABLES: [(&str, usize); 2] = [("## MQTT 5.0", 251), ("## MQTT 3.1.1", 141)];

/// The rows of a table's statements: number, words, proof.
fn rows<'d>(document: &'d str, heading: &str) -> Vec<[&'d str; 3]> {
    let (_, section) = document.split_once(&format!("\n{heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let cells = section
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim));
    cells
        .filter_map(|cells| <[&str; 3]>::try_from(cells.collect::<Vec<_>>()).ok())
        .filter(|[number, ..]| number.starts_with(|first: char| first.is_ascii_digit()))
        .collect()
}

/// The tests that a cell names: paths in backticks whose last part is a sentence.
fn tests(cell: &str) -> impl Iterator<Item = &str> {
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted.filter(|path| {
        let (_, name) = path.rsplit_once("::").unwrap_or_default();
        name.contains('_')
    })
}

/// Where a test of this path may be written: the black-box tests, or beside what it tests.
fn places(path: &str) -> Vec<PathBuf> {
    let mut modules: Vec<&str> = path.split("::").collect();
    modules.pop();
    let is_unit = modules.last() == Some(&"tests");
    let root = if is_unit {
        modules.pop();
        repository().join("gateway/src")
    } else {
        repository().join("tests/it")
    };
    let folder = root.join(modules.join("/"));
    let tests = folder.join("tests.rs");
    vec![folder.with_extension("rs"), folder.join("mod.rs"), tests]
}

fn exists(path: &str) -> bool {
    let (_, name) = path.rsplit_once("::").unwrap();
    let head = format!("fn {name}(");
    let texts = places(path).into_iter().flat_map(fs::read_to_string);
    texts.into_iter().any(|text| {
        let before = text.split(&head).next().unwrap();
        let is_test = before.trim_end().ends_with(']') || before.trim_end().ends_with("async");
        before.len() < text.len() && is_test
    })
}

#[test]
fn the_tests_that_the_tables_name_exist_and_each_statement_stands_once() {
    let document = fs::read_to_string(repository().join("docs/mqtt-conformance.md")).unwrap();
    let mut faults = Vec::new();
    for (heading, count) in TABLES {
        let rows = rows(&document, heading);
        if rows.len() != count {
            faults.push(format!("{heading}: {} rows, not {count}", rows.len()));
        }
        let mut seen = HashSet::new();
        for [number, words, proof] in rows {
            if !seen.insert(number) {
                faults.push(format!("{heading}: {number} stands twice"));
            }
            if words.is_empty() || proof.is_empty() {
                faults.push(format!("{heading}: {number} is not finished"));
            }
            for test in tests(proof).filter(|test| !exists(test)) {
                faults.push(format!("{heading}: {number}: there is no `{test}`"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}
