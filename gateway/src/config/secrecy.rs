//! Which lines may be shown beside a fault. Secrets are to stand in files of their own; those that do not must not go
//! from the configuration to terminals and logs, nor what was meant to be one and has a slip in its key.

use crate::config::excerpt::Excerpt;
use crate::config::kinds::unexpected;
use crate::config::value::Value;
use crate::domain::place::Part;

/// Sections in which secrets may stand.
const SECRET_SECTIONS: &[&str] = &["cloud", "uplink"];

/// Keys of those sections that hold them, or name a file that does: there, somebody may have written the secret itself.
const SECRET_KEYS: &[&str] = &[
    "url",
    "headers",
    "bearer_token_file",
    "client_key",
    "password_file",
];

/// Sections and keys beside which nothing secret stands, for lines of which nobody knows what they were to be.
const HARMLESS_SECTIONS: &[&str] = &["mqtt", "http", "ingest", "store", "rule", "groups"];
const HARMLESS_KEYS: &[&str] = &["gateway_id", "shutdown_grace", "rules_file"];

/// What may be shown for a fault of the value at `path`, a key that the gateway knows.
pub(super) fn of_value(path: &str, part: &Part) -> Option<Excerpt> {
    if !may_hold_secrets(path) {
        return Some(Excerpt::of(part));
    }
    let mut keys = path.split(['.', '[']);
    let is_section = path.ends_with(']') || SECRET_SECTIONS.contains(&path);
    let is_group = part.text().starts_with(['[', '{']);
    let may_hold_one = is_section || is_group || keys.any(|key| SECRET_KEYS.contains(&key));
    if may_hold_one && !is_header(part) {
        return None;
    }
    alone(part)
}

/// What may be shown for an unknown key: what follows it may be anything.
pub(super) fn of_unknown_key(part: &Part) -> Option<Excerpt> {
    alone(part)
}

/// What was expected at `path` in the place of `found`, which is repeated where no secret may stand.
pub(super) fn unexpected_at(path: &str, expected: &str, found: &Value) -> String {
    if may_hold_secrets(path) {
        format!("expected {expected}; what was found is not shown, it may be a secret")
    } else {
        unexpected(expected, found)
    }
}

fn may_hold_secrets(path: &str) -> bool {
    let first = path.split(['.', '[']).next();
    first.is_some_and(|first| SECRET_SECTIONS.contains(&first))
}

/// Whether it is a line such as `[cloud]`, and not a value.
fn is_header(part: &Part) -> bool {
    let before = &part.whole_line()[..part.in_line().start];
    let section = section_of(part.text());
    before.trim().is_empty() && section.is_some_and(|name| SECRET_SECTIONS.contains(&name))
}

/// A line up to the end of `part`, if no other value stands before it.
fn alone(part: &Part) -> Option<Excerpt> {
    let before = &part.whole_line()[..part.in_line().start];
    (!before.contains(['"', '\'', '#'])).then(|| Excerpt::up_to_end_of(part))
}

/// Whether a line may be shown in a file that is not TOML throughout: what the parser made of it may be of another
/// section, so only the lines themselves count.
pub(super) fn is_harmless(part: &Part) -> bool {
    let source = part.source();
    let mut above = (1..=part.line()).rev().map(|number| source.line(number));
    match above.find_map(section_of) {
        Some(section) => HARMLESS_SECTIONS.contains(&section),
        None => {
            let line = part.whole_line();
            let key = line.split('=').next().unwrap_or_default().trim();
            HARMLESS_KEYS.contains(&key) || !line.contains(['=', '"', '\''])
        }
    }
}

/// The first name of a line that looks like a header.
fn section_of(line: &str) -> Option<&str> {
    let is_quote_or_blank = |c: char| matches!(c, '[' | ' ' | '\t' | '"' | '\'');
    let name = line.trim_start().strip_prefix('[')?;
    let name = name.trim_start_matches(is_quote_or_blank);
    let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
    let (name, after) = name.split_at(end.unwrap_or(name.len()));
    let ends_here = after.is_empty() || after.starts_with([']', '.', '"', '\'', ' ', '\t', '#']);
    (ends_here && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests;
