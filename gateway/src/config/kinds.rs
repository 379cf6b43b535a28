//! The kinds of values that keys take: each turns a raw value into a checked one, or says what it expected.

use std::{
    net::SocketAddr,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::config::document::parse_value;
use crate::config::quantity::{parse_duration, parse_size, show_duration, show_size};
use crate::config::value::{Node, Value};
use crate::domain::origin::Origin;

const MAX_NAME_CHARACTERS: usize = 64;

/// The message for a value that is not what it should be.
pub(super) fn unexpected(expected: &str, value: &Value) -> String {
    format!("expected {expected}, found {value}")
}

fn text_of<'v>(expected: &str, value: &'v Value) -> Result<&'v str, String> {
    match value {
        Value::Text(text) | Value::Raw(text) => Ok(text),
        _ => Err(unexpected(expected, value)),
    }
}

/// A text of any kind but the empty one.
pub(super) fn text(value: &Value) -> Result<&str, String> {
    let expected = "a text that is not empty";
    match text_of(expected, value)? {
        "" => Err(unexpected(expected, value)),
        text => Ok(text),
    }
}

/// A name that may stand in a topic, a metric's label and a file's name.
pub(super) fn name(value: &Value) -> Result<Arc<str>, String> {
    let expected = "1 to 64 characters of A-Z, a-z, 0-9, `.`, `_` and `-`";
    let text = text_of(expected, value)?;
    if is_name(text) {
        Ok(text.into())
    } else {
        Err(unexpected(expected, value))
    }
}

/// Whether `text` is 1 to 64 of the characters that a name may have.
pub fn is_name(text: &str) -> bool {
    (1..=MAX_NAME_CHARACTERS).contains(&text.len()) && text.chars().all(is_name_character)
}

/// Makes a name of any text; empty if nothing is left of it.
pub(super) fn to_name(text: &str) -> String {
    let replaced = |c: char| if is_name_character(c) { c } else { '-' };
    let name: String = text
        .trim()
        .chars()
        .map(replaced)
        .take(MAX_NAME_CHARACTERS)
        .collect();
    name.trim_matches('-').to_owned()
}

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// A whole number within `range`.
pub(super) fn whole(range: RangeInclusive<usize>) -> impl Fn(&Value) -> Result<usize, String> {
    move |value| {
        let number = match value {
            Value::Whole(number) => usize::try_from(*number).ok(),
            Value::Raw(text) => text.trim().parse().ok(),
            _ => None,
        };
        number
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                let expected = format!("a whole number from {} to {}", range.start(), range.end());
                unexpected(&expected, value)
            })
    }
}

/// `true` or `false`.
pub(super) fn flag(value: &Value) -> Result<bool, String> {
    match value {
        Value::Flag(flag) => Ok(*flag),
        Value::Raw(text) if text == "true" => Ok(true),
        Value::Raw(text) if text == "false" => Ok(false),
        _ => Err(unexpected("true or false", value)),
    }
}

/// A duration within `range`.
pub(super) fn duration(
    range: RangeInclusive<Duration>,
) -> impl Fn(&Value) -> Result<Duration, String> {
    move |value| {
        let duration = match value {
            Value::Text(text) | Value::Raw(text) => parse_duration(text),
            _ => None,
        };
        duration
            .filter(|duration| range.contains(duration))
            .ok_or_else(|| {
                let (least, most) = (show_duration(*range.start()), show_duration(*range.end()));
                let expected = format!(
                    "a duration from {least} to {most}, such as \"250ms\", \"10s\" or \"5m\""
                );
                unexpected(&expected, value)
            })
    }
}

/// A size in bytes within `range`.
pub(super) fn size<T: Copy + PartialOrd + TryFrom<u64> + Into<u64>>(
    range: RangeInclusive<T>,
) -> impl Fn(&Value) -> Result<T, String> {
    move |value| {
        let bytes = match value {
            Value::Text(text) | Value::Raw(text) => parse_size(text),
            _ => None,
        };
        let size = bytes.and_then(|bytes| T::try_from(bytes).ok());
        size.filter(|size| range.contains(size)).ok_or_else(|| {
            let (least, most) = (
                show_size((*range.start()).into()),
                show_size((*range.end()).into()),
            );
            let expected =
                format!("a size from {least} to {most}, such as \"512KiB\" or \"64MiB\"");
            unexpected(&expected, value)
        })
    }
}

/// A size in bytes without an upper bound; the empty text is none.
pub(super) fn optional_size(value: &Value) -> Result<Option<u64>, String> {
    let expected = "a size of at least 1KiB, such as \"50MiB\"";
    optional_bytes(expected, value, parse_size)
}

/// Bytes a second; the empty text is none.
pub(super) fn optional_rate(value: &Value) -> Result<Option<u64>, String> {
    let expected = "a rate of at least 1KiB/s, such as \"200KiB/s\"";
    optional_bytes(expected, value, |text| parse_size(text.strip_suffix("/s")?))
}

fn optional_bytes(
    expected: &str,
    value: &Value,
    parse: impl Fn(&str) -> Option<u64>,
) -> Result<Option<u64>, String> {
    match text_of(expected, value)? {
        "" => Ok(None),
        text => match parse(text) {
            Some(bytes) if 1024 <= bytes => Ok(Some(bytes)),
            _ => Err(unexpected(expected, value)),
        },
    }
}

/// A part of a whole, from 0 to 1, in thousandths.
pub(super) fn fraction(value: &Value) -> Result<u16, String> {
    let number = match value {
        Value::Whole(number) => Some(*number as f64),
        Value::Other(text) | Value::Raw(text) => text.trim().parse().ok(),
        _ => None,
    };
    match number {
        Some(number) if (0.0..=1.0).contains(&number) => Ok((number * 1000.0).round() as u16),
        _ => Err(unexpected("a number from 0 to 1, such as 0.5", value)),
    }
}

/// One of the words in `choices`; what the words in `absent` stand for is not in this build.
pub(super) fn choice<T: Copy>(
    choices: &'static [(&'static str, T)],
    absent: &'static [&'static str],
) -> impl Fn(&Value) -> Result<T, String> {
    move |value| {
        let words: Vec<String> = choices
            .iter()
            .map(|(word, _)| format!("{word:?}"))
            .collect();
        let expected = words.join(" or ");
        let text = text_of(&expected, value)?;
        if let Some((_, chosen)) = choices.iter().find(|(word, _)| *word == text) {
            Ok(*chosen)
        } else if absent.contains(&text) {
            Err(format!(
                "{text:?} is not in this build: expected {expected}"
            ))
        } else {
            Err(unexpected(&expected, value))
        }
    }
}

/// An address to listen on. Host names are refused: what they stand for can change, also to the open network.
pub(super) fn address(value: &Value) -> Result<SocketAddr, String> {
    let expected = "an address and a port, such as \"127.0.0.1:1883\" or \"[::1]:1883\"";
    let text = text_of(expected, value)?;
    text.parse().map_err(|_| {
        let message = unexpected(expected, value);
        match text.rsplit_once(':') {
            Some((host, port)) if is_host_name(host) && port.parse::<u16>().is_ok() => format!(
                "{message}: {host:?} is a host name, and what it stands for can change; write the address itself"
            ),
            _ => message,
        }
    })
}

/// As [`address`]; the empty text is none.
pub(super) fn optional_address(value: &Value) -> Result<Option<SocketAddr>, String> {
    match value {
        Value::Text(text) | Value::Raw(text) if text.is_empty() => Ok(None),
        value => address(value).map(Some),
    }
}

/// Where web pages come from. There is none for all: each of them could speak through the browser of somebody who may
/// come.
pub(super) fn origin(value: &Value) -> Result<Origin, String> {
    let expected = "the origin of web pages without a path, such as \"https://dash.example.com\" or \"http://192.168.1.5:3000\"";
    Origin::new(text_of(expected, value)?).ok_or_else(|| unexpected(expected, value))
}

fn is_host_name(text: &str) -> bool {
    text.contains(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

/// The path of a file, relative to `folder`; the empty text is none. Whether it exists is found out by who opens it.
pub(super) fn path(folder: &Path) -> impl Fn(&Value) -> Result<Option<PathBuf>, String> {
    move |value| {
        let text = text_of("the path of a file", value)?;
        Ok((!text.is_empty()).then(|| folder.join(text)))
    }
}

/// A file with a secret, as `file` has it. What was given is not repeated: it may be the secret itself.
pub(super) fn secret_file(folder: &Path) -> impl Fn(&Value) -> Result<Option<PathBuf>, String> {
    let file = file(folder);
    move |value| {
        let expected = "expected the path of a file, but there is no file; what was found is not shown, it may be a secret";
        file(value).map_err(|_| expected.to_owned())
    }
}

/// A file that must exist, relative to `folder`; the empty text is none.
pub(super) fn file(folder: &Path) -> impl Fn(&Value) -> Result<Option<PathBuf>, String> {
    move |value| match path(folder)(value)? {
        Some(path) if !path.is_file() => Err(format!(
            "expected the path of a file, but there is no file {path:?}"
        )),
        found => Ok(found),
    }
}

/// The items of a list. A variable gives them as TOML or with commas between them.
pub(super) fn items(expected: &str, node: Node) -> Result<Vec<Node>, String> {
    match node.value {
        Value::List(nodes) => Ok(nodes),
        Value::Raw(text) if text.trim_start().starts_with('[') => {
            match parse_value(text.trim(), &node.place)?.value {
                Value::List(nodes) => Ok(nodes),
                value => Err(unexpected(expected, &value)),
            }
        }
        Value::Raw(text) => {
            let texts = text
                .split(',')
                .map(str::trim)
                .filter(|text| !text.is_empty());
            let nodes = texts.map(|text| Node {
                value: Value::Raw(text.to_owned()),
                place: node.place.clone(),
                key: None,
            });
            Ok(nodes.collect())
        }
        value => Err(unexpected(expected, &value)),
    }
}

/// Whether a list, in whatever way it was given, has no items.
pub(super) fn is_empty_list(value: &Value) -> bool {
    match value {
        Value::List(items) => items.is_empty(),
        Value::Raw(text) => matches!(text.trim(), "" | "[]"),
        _ => false,
    }
}
