//! Values with their places, as file and environment give them: not yet checked against any key.

use std::{collections::BTreeMap, fmt, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::domain::place::Place;

/// A value and where it was written.
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) place: Place,
    /// Where its key stands, if it has one in a file.
    pub(super) key: Option<Place>,
}

/// The entries of a section by key.
pub(super) type Table = BTreeMap<String, Node>;

/// A value whose key has not been looked at.
pub(super) enum Value {
    Text(String),
    /// The text of an environment variable: what it stands for depends on the key.
    Raw(String),
    Whole(i128),
    Flag(bool),
    List(Vec<Node>),
    Table(Table),
    /// What no key takes: fractions, dates, numbers beyond all bounds. As text, for messages.
    Other(String),
}

/// The longest text that a message repeats, in characters.
const SHOWN_CHARACTERS: usize = 80;

impl Node {
    /// Takes over a parsed value; `place_at` says where some bytes lie.
    pub(super) fn from_toml(
        value: Spanned<DeValue<'_>>,
        place_at: &impl Fn(Range<usize>) -> Place,
    ) -> Self {
        let place = place_at(value.span());
        let value = match value.into_inner() {
            DeValue::String(text) => Value::Text(text.into_owned()),
            DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix())
            {
                Ok(whole) => Value::Whole(whole),
                Err(_) => Value::Other(number.to_string()),
            },
            DeValue::Float(number) => Value::Other(number.to_string()),
            DeValue::Boolean(flag) => Value::Flag(flag),
            DeValue::Datetime(date) => Value::Other(date.to_string()),
            DeValue::Array(items) => {
                let nodes = items
                    .into_iter()
                    .map(|item| Self::from_toml(item, place_at));
                Value::List(nodes.collect())
            }
            DeValue::Table(table) => Value::Table(table_from_toml(table, place_at)),
        };
        Self {
            value,
            place,
            key: None,
        }
    }
}

/// Takes over a parsed table.
pub(super) fn table_from_toml(
    table: DeTable<'_>,
    place_at: &impl Fn(Range<usize>) -> Place,
) -> Table {
    let entries = table.into_iter().map(|(key, value)| {
        let node = Node {
            key: Some(place_at(key.span())),
            ..Node::from_toml(value, place_at)
        };
        (key.into_inner().into_owned(), node)
    });
    entries.collect()
}

impl Value {
    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) | Self::Raw(text) => text.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Table(table) => table.is_empty(),
            Self::Whole(_) | Self::Flag(_) | Self::Other(_) => false,
        }
    }

    /// The value in JSON.
    pub(super) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Text(text) | Self::Raw(text) | Self::Other(text) => text.as_str().into(),
            Self::Whole(number) => i64::try_from(*number)
                .map_or_else(|_| number.to_string().into(), serde_json::Value::from),
            Self::Flag(flag) => (*flag).into(),
            Self::List(items) => items.iter().map(|item| item.value.to_json()).collect(),
            Self::Table(table) => table_to_json(table),
        }
    }
}

/// The entries in JSON.
pub(super) fn table_to_json(table: &Table) -> serde_json::Value {
    let entries = table
        .iter()
        .map(|(key, node)| (key.clone(), node.value.to_json()));
    serde_json::Value::Object(entries.collect())
}

/// The value as a message repeats it after "found".
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Raw(text) => match text.char_indices().nth(SHOWN_CHARACTERS) {
                Some((end, _)) => write!(f, "{:?}…", &text[..end]),
                None => write!(f, "{text:?}"),
            },
            Self::Whole(number) => number.fmt(f),
            Self::Flag(flag) => flag.fmt(f),
            Self::List(_) => f.write_str("a list"),
            Self::Table(_) => f.write_str("a section"),
            Self::Other(text) => f.write_str(text),
        }
    }
}
