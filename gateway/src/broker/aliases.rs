//! Topic aliases of one connection, both ways (MQTT 5.0, section 3.3.2.3.4).

use std::collections::HashMap;

use super::violation::Violation;
use crate::domain::topic::TopicName;

/// Topic aliases that a client may use. Each keeps a topic in memory for as long as the connection lives.
pub(super) const MAX_FROM_CLIENT: u16 = 16;

/// Topic aliases that we use, if the client takes as many.
const MAX_TO_CLIENT: u16 = 64;

/// What the client's aliases stand for.
#[derive(Debug, Default)]
pub(super) struct FromClient(HashMap<u16, TopicName>);

impl FromClient {
    /// From now on `alias` stands for `topic`.
    pub(super) fn set(&mut self, alias: u16, topic: TopicName) -> Result<(), Violation> {
        if !(1..=MAX_FROM_CLIENT).contains(&alias) {
            return Err(Violation::topic_alias());
        }
        self.0.insert(alias, topic);
        Ok(())
    }

    /// What `alias` stands for.
    pub(super) fn get(&self, alias: u16) -> Result<TopicName, Violation> {
        self.0.get(&alias).cloned().ok_or(Violation::topic_alias())
    }
}

/// The aliases that we gave. The first topics get them, and keep them.
#[derive(Debug, Default)]
pub(super) struct ToClient {
    given: HashMap<TopicName, u16>,
    most: u16,
}

/// What to write for a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alias {
    None,
    /// The topic is written, and the alias from now on stands for it.
    New(u16),
    /// The topic is left out.
    Known(u16),
}

impl ToClient {
    /// For a client that takes so many (Topic Alias Maximum).
    pub(super) fn new(maximum: u16) -> Self {
        Self {
            given: HashMap::new(),
            most: maximum.min(MAX_TO_CLIENT),
        }
    }

    /// What to write for `topic`.
    pub(super) fn find(&self, topic: &TopicName) -> Alias {
        match self.given.get(topic) {
            Some(alias) => Alias::Known(*alias),
            None if self.given.len() < usize::from(self.most) => {
                Alias::New(self.given.len() as u16 + 1)
            }
            None => Alias::None,
        }
    }

    /// To be called when a publish with a new alias went out.
    pub(super) fn wrote(&mut self, topic: &TopicName, alias: Alias) {
        if let Alias::New(alias) = alias {
            self.given.insert(topic.clone(), alias);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(text: &str) -> TopicName {
        TopicName::new(text).unwrap()
    }

    #[test]
    fn an_alias_of_the_client_stands_for_its_last_topic() {
        let mut aliases = FromClient::default();
        assert!(aliases.get(1).is_err());
        assert_eq!(aliases.set(1, topic("a")), Ok(()));
        assert_eq!(aliases.set(1, topic("b")), Ok(()));
        assert_eq!(aliases.get(1), Ok(topic("b")));
        assert!(aliases.set(0, topic("a")).is_err());
        assert!(aliases.set(MAX_FROM_CLIENT + 1, topic("a")).is_err());
    }

    #[test]
    fn each_topic_has_its_own_alias_as_far_as_they_go() {
        let mut aliases = ToClient::new(2);
        for (text, expected) in [
            ("a", Alias::New(1)),
            ("a", Alias::Known(1)),
            ("b", Alias::New(2)),
            ("c", Alias::None),
            ("b", Alias::Known(2)),
        ] {
            let alias = aliases.find(&topic(text));
            assert_eq!(alias, expected, "{text}");
            aliases.wrote(&topic(text), alias);
        }
        assert_eq!(ToClient::default().find(&topic("a")), Alias::None);
    }
}
