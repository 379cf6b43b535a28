//! `headers` of an uplink: what stands in each request beside what the gateway itself says.

use std::path::{Path, PathBuf};

use crate::config::kinds::{secret_file, text};
use crate::config::section::Section;
use crate::config::value::Value;

/// One header of every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Lower case, of the characters that RFC 9110, section 5.6.2 allows.
    pub name: Box<str>,
    pub value: HeaderValue,
}

/// What it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderValue {
    /// Printable ASCII.
    Text(Box<str>),
    /// What the file says when the request is made; for secrets.
    File(PathBuf),
}

/// Headers that are the gateway's own word.
const OWN: &[&str] = &[
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "idempotency-key",
    "transfer-encoding",
    "user-agent",
];

/// Headers that hold secrets.
const SECRET: &[&str] = &["authorization", "proxy-authorization", "cookie"];

/// What was found is not repeated.
const UNEXPECTED: &str = "expected a text of printable ASCII, or { file = \"…\" } for a secret; what was found is not shown, it may be one";

/// Reads them; files are relative to `folder`.
pub(super) fn read(section: Section<'_>, folder: &Path) -> Vec<Header> {
    section.named(|name, value| {
        let name = name.to_ascii_lowercase();
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(is_token) {
            return Err("is no name of a header".to_owned());
        }
        if OWN.contains(&&*name) {
            return Err("is a header that the gateway writes itself: remove it".to_owned());
        }
        let value = read_value(&name, value, folder)?;
        Ok(Header {
            name: name.into(),
            value,
        })
    })
}

fn read_value(name: &str, value: &Value, folder: &Path) -> Result<HeaderValue, String> {
    match value {
        Value::Table(entries) => match (entries.get("file"), entries.len()) {
            (Some(file), 1) => match secret_file(folder)(&file.value)? {
                Some(file) => Ok(HeaderValue::File(file)),
                None => Err("file is empty: expected the path of a file".to_owned()),
            },
            _ => Err(UNEXPECTED.to_owned()),
        },
        _ if SECRET.contains(&name) => {
            Err("holds a secret: write { file = \"…\" } and put it into that file".to_owned())
        }
        value => match text(value) {
            Ok(said) if said.bytes().all(|byte| (0x20..0x7f).contains(&byte)) => {
                Ok(HeaderValue::Text(said.into()))
            }
            _ => Err(UNEXPECTED.to_owned()),
        },
    }
}
