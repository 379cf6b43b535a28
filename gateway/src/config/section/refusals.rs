//! What is wrong in a section, noted with its place, its rule and its line.

use std::sync::Arc;

use crate::config::fault::Fault;
use crate::config::leftover::refusal;
use crate::config::secrecy;
use crate::config::section::Section;
use crate::domain::place::Place;

impl Section<'_> {
    /// Notes a fault of `key` that only its meaning shows.
    pub(in crate::config) fn refuse(
        &mut self,
        key: &str,
        place: Place,
        message: impl Into<String>,
    ) {
        self.add(&self.path_of(key), place, message.into());
    }

    /// Notes a fault of `key`, which was asked for, where it stands.
    pub(in crate::config) fn refuse_key(&mut self, key: &'static str, message: impl Into<String>) {
        let place = self.places.get(key).unwrap_or(&self.place).clone();
        self.refuse(key, place, message);
    }

    /// Refuses each of `keys` that is there and says something.
    pub(in crate::config) fn refuse_keys(&mut self, keys: &[&'static str], message: &str) {
        for key in keys {
            if let Some(node) = self.take(key).filter(|node| !node.value.is_empty()) {
                self.refuse(key, node.place, message);
            }
        }
    }

    /// Ends the walk: what nobody asked for is refused.
    pub(in crate::config) fn finish(mut self) {
        let is_of_list = self.path.ends_with(']');
        for (key, node) in std::mem::take(&mut self.entries) {
            let path = (!is_of_list).then_some(&*self.path);
            if let Some(message) = refusal(path, &self.asked, &key, &node) {
                self.add_unknown(&key, node.key.unwrap_or(node.place), message);
            }
        }
    }

    pub(super) fn add_missing(&mut self, key: &str, expected: &str) {
        let path = self.path_of(key);
        let message = format!("is missing: expected {expected}");
        let fault = self.fault(&path, self.place.clone(), message);
        self.findings.add_missing(fault);
    }

    pub(super) fn add(&mut self, path: &str, place: Place, message: String) {
        let fault = self.fault(path, place, message);
        self.findings.add(fault);
    }

    fn add_unknown(&mut self, key: &str, place: Place, message: String) {
        let mut fault = self.fault(&self.path_of(key), place, message);
        if !self.path.starts_with("rule[") {
            fault.excerpt = fault
                .place
                .part()
                .and_then(secrecy::of_unknown_key)
                .map(Box::new);
        }
        self.findings.add(fault);
    }

    /// The fault of a value at `path`. In a rule that has a name, that stands for the section.
    fn fault(&self, path: &str, place: Place, message: String) -> Fault {
        let in_rule = path.strip_prefix(&*self.path);
        let in_rule = in_rule.and_then(|path| path.strip_prefix('.'));
        let (rule, key) = match (&self.rule, in_rule) {
            (Some(rule), Some(key)) => (Some(Arc::clone(rule)), key),
            _ => (None, path),
        };
        let excerpt = place.part().and_then(|part| secrecy::of_value(path, part));
        Fault {
            rule,
            excerpt: excerpt.map(Box::new),
            ..Fault::new(place, key, message)
        }
    }
}
