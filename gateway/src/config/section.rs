//! A walk through one section: each key is taken once, and every fault is noted with its place.
//! What is left at the end was unknown.

mod refusals;

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::document::parse_value;
use crate::config::fault::Findings;
use crate::config::kinds::{is_empty_list, items};
use crate::config::secrecy;
use crate::config::value::{Node, Table, Value, table_to_json};
use crate::domain::place::Place;

/// A section on its way from raw to checked.
pub(super) struct Section<'f> {
    /// As in `mqtt`; empty for the top of the file.
    path: String,
    place: Place,
    /// The name of the rule that it is.
    rule: Option<Arc<str>>,
    entries: Table,
    asked: Vec<&'static str>,
    /// Where those of them stand that are there.
    places: HashMap<&'static str, Place>,
    findings: &'f mut Findings,
}

/// What a key says, or its default.
pub(super) struct Setting<T> {
    pub(super) value: T,
    pub(super) place: Place,
    /// Whether the value can be compared with others: a fault leaves the default here.
    pub(super) sound: bool,
}

impl<'f> Section<'f> {
    /// The top of a file.
    pub(super) fn root(entries: Table, findings: &'f mut Findings) -> Self {
        Self {
            path: String::new(),
            place: Place::Defaults,
            rule: None,
            entries,
            asked: Vec::new(),
            places: HashMap::new(),
            findings,
        }
    }

    /// The section `key`, if it is there.
    pub(super) fn section(&mut self, key: &'static str) -> Option<Section<'_>> {
        let node = self.take(key)?;
        let path = self.path_of(key);
        let (entries, place) = self.opened(&path, node)?;
        Some(self.inner(path, entries, place))
    }

    /// The section `key`, empty if it is not there.
    pub(super) fn section_or_empty(&mut self, key: &'static str) -> Section<'_> {
        let path = self.path_of(key);
        let opened = self.take(key).and_then(|node| self.opened(&path, node));
        let (entries, place) = opened.unwrap_or_default();
        self.inner(path, entries, place)
    }

    /// Reads each section of the list `key`. Gives back `None` if the key is not there.
    pub(super) fn sections<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(Section<'_>) -> T,
    ) -> Option<Vec<T>> {
        let node = self.take(key)?;
        let path = self.path_of(key);
        let nodes = self.items(&path, &format!("sections [[{key}]]"), node);
        let mut all = Vec::new();
        for (index, node) in nodes.into_iter().enumerate() {
            let path = format!("{path}[{}]", index + 1);
            if let Some((entries, place)) = self.opened(&path, node) {
                all.push(read(self.inner(path, entries, place)));
            }
        }
        Some(all)
    }

    /// The value of `key` as `convert` checks it, else `default`.
    pub(super) fn setting<T>(
        &mut self,
        key: &'static str,
        default: T,
        convert: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Setting<T> {
        let Some(node) = self.take(key) else {
            return Setting {
                value: default,
                place: Place::Defaults,
                sound: true,
            };
        };
        let (value, sound) = match convert(&node.value) {
            Ok(value) => (value, true),
            Err(message) => {
                self.add(&self.path_of(key), node.place.clone(), message);
                (default, false)
            }
        };
        Setting {
            value,
            place: node.place,
            sound,
        }
    }

    /// The value of `key`, which has no default. `expected` says what should be there.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        convert: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<(T, Place)> {
        if !self.entries.contains_key(key) {
            self.add_missing(key, expected);
        }
        let setting = self.setting(key, None, |value| convert(value).map(Some));
        setting.value.map(|value| (value, setting.place))
    }

    /// The list `key`, each item as `convert` checks it, without those at fault; `None` if the key is not there.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        convert: impl Fn(&Value) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let node = self.take(key)?;
        let path = self.path_of(key);
        let items = self.items(&path, "a list of texts, such as [\"a\", \"b\"]", node);
        Some(self.converted(&path, items, convert))
    }

    /// All keys of the section, whatever they are called: each names a list.
    pub(super) fn named_lists<T>(
        mut self,
        expected: &str,
        convert: impl Fn(&Value) -> Result<T, String>,
    ) -> Vec<(String, Vec<T>)> {
        let mut all = Vec::new();
        for (key, node) in std::mem::take(&mut self.entries) {
            let path = self.path_of(&key);
            let items = self.items(&path, expected, node);
            all.push((key, self.converted(&path, items, &convert)));
        }
        all
    }

    /// All keys of the section, whatever they are called, as `convert` checks them, without those at fault.
    pub(super) fn named<T>(
        mut self,
        convert: impl Fn(&str, &Value) -> Result<T, String>,
    ) -> Vec<T> {
        let mut all = Vec::new();
        for (key, node) in std::mem::take(&mut self.entries) {
            match convert(&key, &node.value) {
                Ok(item) => all.push(item),
                Err(message) => self.add(&self.path_of(&key), node.place, message),
            }
        }
        all
    }

    /// The list `key`, which has no default and at least one item.
    pub(super) fn required_list<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        convert: impl Fn(&Value) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        match self.entries.get(key) {
            None => self.add_missing(key, expected),
            Some(node) if is_empty_list(&node.value) => {
                self.add(
                    &self.path_of(key),
                    node.place.clone(),
                    format!("is empty: expected {expected}"),
                );
            }
            Some(_) => {}
        }
        self.list(key, convert)
    }

    /// The faults so far.
    pub(super) fn findings(&mut self) -> &mut Findings {
        self.findings
    }

    /// Takes `keys` without looking at them.
    pub(super) fn skip_keys(&mut self, keys: &[&'static str]) {
        for key in keys {
            self.take(key);
        }
    }

    /// What stands in it, in JSON.
    pub(super) fn to_json(&self) -> serde_json::Value {
        table_to_json(&self.entries)
    }

    /// Says that it is the rule of this name.
    pub(super) fn call_rule(&mut self, name: Arc<str>) {
        self.rule = Some(name);
    }

    /// Where the section begins.
    pub(super) fn place(&self) -> Place {
        self.place.clone()
    }

    /// The whole path of `key`.
    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Node> {
        self.asked.push(key);
        let node = self.entries.remove(key)?;
        self.places.insert(key, node.place.clone());
        Some(node)
    }

    fn opened(&mut self, path: &str, node: Node) -> Option<(Table, Place)> {
        let value = match node.value {
            // A variable gives a section as TOML does in one line.
            Value::Raw(text) if text.trim_start().starts_with('{') => {
                match parse_value(text.trim(), &node.place) {
                    Ok(node) => node.value,
                    Err(message) => {
                        self.add(path, node.place, message);
                        return None;
                    }
                }
            }
            value => value,
        };
        match value {
            Value::Table(entries) => Some((entries, node.place)),
            value => {
                let expected = "a section with keys of its own";
                let message = secrecy::unexpected_at(path, expected, &value);
                self.add(path, node.place, message);
                None
            }
        }
    }

    fn inner(&mut self, path: String, entries: Table, place: Place) -> Section<'_> {
        Section {
            path,
            place,
            rule: None,
            entries,
            asked: Vec::new(),
            places: HashMap::new(),
            findings: self.findings,
        }
    }

    fn items(&mut self, path: &str, expected: &str, node: Node) -> Vec<Node> {
        let place = node.place.clone();
        let found = match &node.value {
            Value::List(_) | Value::Raw(_) => items(expected, node),
            other => Err(secrecy::unexpected_at(path, expected, other)),
        };
        found.unwrap_or_else(|message| {
            self.add(path, place, message);
            Vec::new()
        })
    }

    fn converted<T>(
        &mut self,
        path: &str,
        items: Vec<Node>,
        convert: impl Fn(&Value) -> Result<T, String>,
    ) -> Vec<T> {
        let mut all = Vec::new();
        for node in items {
            match convert(&node.value) {
                Ok(item) => all.push(item),
                Err(message) => self.add(path, node.place, message),
            }
        }
        all
    }
}
