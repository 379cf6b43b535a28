//! From TOML text to values with places. All syntax faults are found, and what can be read around them is.

use std::{borrow::Cow, fs, ops::Range, path::Path, sync::Arc};

use toml::de::{DeTable, DeValue};

use crate::config::fault::{Fault, Findings};
use crate::config::value::{Node, Table, table_from_toml};
use crate::domain::place::{Part, Place, Source};

/// Reads the file at `path`. That it cannot be read is then its only fault.
pub(super) fn read(path: &Path, findings: &mut Findings) -> Result<Table, Fault> {
    let name: Arc<str> = path.display().to_string().into();
    let text = fs::read_to_string(path).map_err(|error| Fault::unreadable(path, "", &error))?;
    Ok(parse(&text, &name, findings))
}

/// Parses the text of the file called `name`.
pub(super) fn parse(text: &str, name: &Arc<str>, findings: &mut Findings) -> Table {
    let source = Arc::new(Source::new(Arc::clone(name), text));
    let place_at = |bytes| Place::Part(Part::new(Arc::clone(&source), bytes));
    parse_at(text, &place_at, findings)
}

/// Parses a text of which all stands in one place.
pub(super) fn parse_made(text: &str, place: &Place, findings: &mut Findings) -> Table {
    parse_at(text, &|_| place.clone(), findings)
}

fn parse_at(
    text: &str,
    place_at: &impl Fn(Range<usize>) -> Place,
    findings: &mut Findings,
) -> Table {
    let root = parse_recoverable(text, place_at, findings);
    // The parser gives up the rest of a file after a line that is neither a value nor a header.
    match without_stray_words(text, findings) {
        Some(rest) => parse_recoverable(&rest, place_at, findings),
        None => root,
    }
}

fn parse_recoverable(
    text: &str,
    place_at: &impl Fn(Range<usize>) -> Place,
    findings: &mut Findings,
) -> Table {
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let place = place_at(error.span().unwrap_or(0..0));
        let message = format!("not valid TOML: {}", error.message());
        findings.add_syntax(Fault::new(place, "", message).with_line());
    }
    table_from_toml(root.into_inner(), place_at)
}

/// The text with spaces in place of broken lines that are neither a value nor a header, if there are such lines.
/// Every offset stays as it was.
fn without_stray_words(text: &str, findings: &Findings) -> Option<String> {
    let mut found = false;
    let lines = text.split_inclusive('\n').enumerate().map(|(index, line)| {
        let is_stray = findings.is_broken(index + 1) && !line.contains(['=', '[', ']']);
        found |= is_stray;
        if is_stray {
            let length = line.trim_end_matches('\n').len();
            Cow::Owned(" ".repeat(length) + &line[length..])
        } else {
            Cow::Borrowed(line)
        }
    });
    let rest: String = lines.collect();
    found.then_some(rest)
}

/// Parses the TOML value in an environment variable.
pub(super) fn parse_value(text: &str, place: &Place) -> Result<Node, String> {
    match DeValue::parse(text) {
        Ok(value) => Ok(Node::from_toml(value, &|_| place.clone())),
        Err(error) => Err(format!("not valid TOML: {}", error.message())),
    }
}
