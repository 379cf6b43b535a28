//! Which rules see a topic: found by walking its levels, so that rules with other topics cost nothing.

use std::collections::HashMap;

use crate::domain::topic::{TopicFilter, TopicName};

/// Rules, by their places, and the topics that they see.
#[derive(Debug, Default)]
pub(super) struct Topics {
    everywhere: Vec<u32>,
    root: Level,
}

#[derive(Debug, Default)]
struct Level {
    below: HashMap<Box<str>, Level>,
    /// Below `+`.
    any: Option<Box<Level>>,
    /// Those whose filter ends here.
    here: Vec<u32>,
    /// Those whose filter ends in `#` here.
    rest: Vec<u32>,
}

impl Topics {
    /// Adds a rule; without filters it sees every topic.
    pub(super) fn add(&mut self, rule: u32, filters: &[TopicFilter]) {
        if filters.is_empty() {
            self.everywhere.push(rule);
        }
        for filter in filters {
            let mut level = &mut self.root;
            let mut levels = filter.as_str().split('/').peekable();
            while let Some(name) = levels.next_if(|name| *name != "#") {
                level = match name {
                    "+" => level.any.get_or_insert_default(),
                    name => level.below.entry(name.into()).or_default(),
                };
            }
            if levels.next().is_some() {
                level.rest.push(rule);
            } else {
                level.here.push(rule);
            }
        }
    }

    /// The rules that see the topic, in their order.
    pub(super) fn of(&self, topic: &TopicName) -> Box<[u32]> {
        let mut found = self.everywhere.clone();
        let levels: Vec<&str> = topic.as_str().split('/').collect();
        // A wildcard in the first level stands for no level that begins with `$` (MQTT 5.0, section 4.7.2).
        let is_special = topic.as_str().starts_with('$');
        self.root.collect(&levels, is_special, &mut found);
        found.sort_unstable();
        found.dedup();
        found.into()
    }
}

impl Level {
    fn collect(&self, levels: &[&str], is_special: bool, found: &mut Vec<u32>) {
        if !is_special {
            found.extend(&self.rest);
        }
        let Some((first, behind)) = levels.split_first() else {
            return found.extend(&self.here);
        };
        if let Some(below) = self.below.get(*first) {
            below.collect(behind, false, found);
        }
        if let Some(any) = &self.any
            && !is_special
        {
            any.collect(behind, false, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_the_filters_match() {
        let filters = [
            "#", "+", "a", "a/#", "a/+", "a/b", "+/b", "+/+/#", "b/#", "$x/#", "a/b/c", "a//c",
            "a/+/c",
        ];
        let filters: Vec<_> = filters.map(|text| TopicFilter::new(text).unwrap()).into();
        let mut topics = Topics::default();
        for (rule, filter) in (0..).zip(&filters) {
            topics.add(rule, std::slice::from_ref(filter));
        }
        topics.add(99, &[]);
        topics.add(100, &filters);
        for text in [
            "a", "b", "a/b", "a/x", "a/b/c", "a//c", "x/y/z/0", "$x", "$x/y", "$y/b", "/", "a/",
        ] {
            let topic = TopicName::new(text).unwrap();
            let matching = (0..)
                .zip(&filters)
                .filter(|(_, filter)| filter.matches(&topic));
            let mut expected: Vec<u32> = matching.map(|(rule, _)| rule).collect();
            let matches_any = !expected.is_empty();
            expected.push(99);
            expected.extend(matches_any.then_some(100));
            assert_eq!(&*topics.of(&topic), expected, "{text}");
        }
    }
}
