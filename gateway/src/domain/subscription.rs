//! What a client subscribes to, and how it wants it delivered.

use std::fmt;
use std::sync::Arc;

use crate::domain::message::Qos;
use crate::domain::topic::{TopicError, TopicFilter};

/// What stands before the group's name in a shared subscription (MQTT 5.0, section 4.8.2).
const SHARE: &str = "$share/";

/// A topic filter, perhaps shared: each message goes to one member of the group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Interest {
    pub filter: TopicFilter,
    pub group: Option<Arc<str>>,
}

/// How messages of a subscription are delivered (MQTT 5.0, section 3.8.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriptionOptions {
    pub qos: Qos,
    pub no_local: bool,
    pub retain_as_published: bool,
    /// Subscription identifier.
    pub id: Option<u32>,
}

impl Interest {
    /// Checks `text`: a topic filter, or `$share/`, a group and a filter.
    pub fn new(text: &str) -> Result<Self, TopicError> {
        let Some(shared) = text.strip_prefix(SHARE) else {
            let filter = TopicFilter::new(text)?;
            return Ok(Self {
                filter,
                group: None,
            });
        };
        let (group, filter) = shared.split_once('/').ok_or(TopicError::ShareName)?;
        if group.is_empty() || group.contains(['+', '#']) {
            return Err(TopicError::ShareName);
        }
        Ok(Self {
            filter: TopicFilter::new(filter)?,
            group: Some(group.into()),
        })
    }

    /// About how many bytes it keeps in memory.
    pub fn size(&self) -> usize {
        let group = self.group.as_ref().map_or(0, |group| group.len());
        size_of::<Self>() + self.filter.as_str().len() + group
    }
}

impl fmt::Display for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.group {
            Some(group) => write!(f, "{SHARE}{group}/{}", self.filter),
            None => self.filter.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_subscription_has_a_group_and_a_filter() {
        for (text, group) in [
            ("a/+", None),
            ("$share/g/a/+", Some("g")),
            ("$share/g//", Some("g")),
            ("$shared/g/a", None),
        ] {
            let interest = Interest::new(text).unwrap();
            assert_eq!(interest.group.as_deref(), group, "{text}");
            assert_eq!(interest.to_string(), text);
        }
        for text in [
            "$share/",
            "$share/g",
            "$share//a",
            "$share/+/a",
            "$share/g#/a",
        ] {
            assert_eq!(Interest::new(text), Err(TopicError::ShareName), "{text}");
        }
        assert_eq!(Interest::new("$share/g/"), Err(TopicError::Empty));
        assert_eq!(Interest::new("$share/g/a#"), Err(TopicError::MisplacedHash));
    }
}
