//! The subscription tree: from a topic to those who want it, by levels (MQTT 5.0, section 4.7).

mod subscribers;

use std::{collections::HashMap, sync::Arc};

use self::subscribers::Subscribers;
use super::queue::Queue;
use crate::domain::{
    subscription::{Interest, SubscriptionOptions},
    topic::TopicName,
};

pub(super) use self::subscribers::{Found, Group};

/// One session's subscription.
#[derive(Clone, Debug)]
pub(super) struct Subscriber {
    /// Tells sessions apart, also two of the same client id.
    pub(super) session: i64,
    pub(super) client_id: Arc<str>,
    pub(super) queue: Arc<Queue>,
    pub(super) options: SubscriptionOptions,
}

/// All subscriptions.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    levels: HashMap<Box<str>, Node>,
    any: Option<Box<Node>>,
    /// Those whose filter ends here.
    here: Subscribers,
    /// Those whose filter ends in `#` here: they want this level's topics and all below.
    rest: Subscribers,
}

impl Subscriptions {
    /// Adds or replaces a session's subscription; true if it is new.
    pub(super) fn insert(&mut self, interest: &Interest, subscriber: Subscriber) -> bool {
        let mut node = &mut self.root;
        let mut is_rest = false;
        for level in interest.filter.as_str().split('/') {
            match level {
                "#" => is_rest = true,
                "+" => node = node.any.get_or_insert_default(),
                name => node = node.levels.entry(name.into()).or_default(),
            }
        }
        let place = if is_rest {
            &mut node.rest
        } else {
            &mut node.here
        };
        place.insert(interest, subscriber)
    }

    /// Takes a session's subscription away; false if there was none.
    pub(super) fn remove(&mut self, interest: &Interest, session: i64) -> bool {
        let levels: Vec<&str> = interest.filter.as_str().split('/').collect();
        self.root.remove(&levels, interest, session)
    }

    /// Calls `found` for each subscription that wants `topic`; a session with several of them is met several times.
    pub(super) fn for_each_match<'t>(
        &'t self,
        topic: &TopicName,
        found: &mut impl FnMut(Found<'t>),
    ) {
        let levels: Vec<&str> = topic.as_str().split('/').collect();
        let is_hidden = topic.as_str().starts_with('$');
        self.root.visit(&levels, is_hidden, found);
    }
}

impl Node {
    fn visit<'t>(&'t self, levels: &[&str], is_hidden: bool, found: &mut impl FnMut(Found<'t>)) {
        if !is_hidden {
            self.rest.for_each(found);
        }
        let Some((level, deeper)) = levels.split_first() else {
            self.here.for_each(found);
            return;
        };
        if let Some(node) = self.levels.get(*level) {
            node.visit(deeper, false, found);
        }
        if let Some(node) = self.any.as_deref().filter(|_| !is_hidden) {
            node.visit(deeper, false, found);
        }
    }

    /// Removes, and lets go of nodes that became empty.
    fn remove(&mut self, levels: &[&str], interest: &Interest, session: i64) -> bool {
        let Some((level, deeper)) = levels.split_first() else {
            return self.here.remove(interest, session);
        };
        match *level {
            "#" => self.rest.remove(interest, session),
            "+" => {
                let Some(node) = &mut self.any else {
                    return false;
                };
                let removed = node.remove(deeper, interest, session);
                if node.is_empty() {
                    self.any = None;
                }
                removed
            }
            name => {
                let Some(node) = self.levels.get_mut(name) else {
                    return false;
                };
                let removed = node.remove(deeper, interest, session);
                if node.is_empty() {
                    self.levels.remove(name);
                }
                removed
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.levels.is_empty() && self.any.is_none() && self.here.is_empty() && self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Limits;
    use crate::domain::{
        message::{Message, Payload, Qos},
        timestamp::Timestamp,
        topic::TopicFilter,
    };

    fn subscriber(session: i64) -> Subscriber {
        Subscriber {
            session,
            client_id: "c".into(),
            queue: Arc::new(Queue::new(&Limits::default(), None)),
            options: SubscriptionOptions {
                qos: Qos::AtMostOnce,
                no_local: false,
                retain_as_published: false,
                id: None,
            },
        }
    }

    fn message(topic: &str) -> Message {
        Message {
            topic: TopicName::new(topic).unwrap(),
            payload: Payload::default(),
            qos: Qos::AtLeastOnce,
            retain: false,
            received_at: Timestamp::MIN,
            publisher: "".into(),
            properties: None,
        }
    }

    #[test]
    fn the_tree_agrees_with_the_filters() {
        let filters = [
            "#",
            "+",
            "a/b",
            "a/+",
            "a/#",
            "+/b",
            "+/+",
            "a",
            "/",
            "/+",
            "+/b/#",
            "$SYS/#",
            "$SYS/+",
            "传感器/+",
            "a//b",
        ];
        let topics = [
            "a",
            "a/b",
            "a/b/c",
            "/",
            "/a",
            "a/",
            "b",
            "b/b",
            "$SYS/x",
            "$SYS/x/y",
            "传感器/1",
            "a//b",
        ];
        let mut tree = Subscriptions::default();
        for (session, filter) in filters.iter().enumerate() {
            let filter = Interest::new(filter).unwrap();
            assert!(tree.insert(&filter, subscriber(session as i64)));
            assert!(!tree.insert(&filter, subscriber(session as i64)));
        }
        for topic in topics {
            let topic = TopicName::new(topic).unwrap();
            let mut found = Vec::new();
            tree.for_each_match(&topic, &mut |match_| match match_ {
                Found::One(subscriber) => found.push(subscriber.session as usize),
                Found::Group(_) => panic!("nobody shares"),
            });
            found.sort_unstable();
            let expected: Vec<usize> = (0..filters.len())
                .filter(|at| TopicFilter::new(filters[*at]).unwrap().matches(&topic))
                .collect();
            assert_eq!(found, expected, "{topic}");
        }
        for (session, filter) in filters.iter().enumerate() {
            let filter = Interest::new(filter).unwrap();
            assert!(tree.remove(&filter, session as i64));
            assert!(!tree.remove(&filter, session as i64));
        }
        assert!(tree.root.is_empty());
    }

    #[test]
    fn members_of_a_group_take_turns() {
        let mut tree = Subscriptions::default();
        let interest = Interest::new("$share/g/a/+").unwrap();
        assert!(tree.insert(&interest, subscriber(1)));
        assert!(tree.insert(&interest, subscriber(2)));
        assert!(tree.insert(&Interest::new("$share/other/a/+").unwrap(), subscriber(1)));
        assert!(!tree.insert(&interest, subscriber(2)));
        let message = message("a/b");
        let mut picked = Vec::new();
        for _ in 0..4 {
            tree.for_each_match(&message.topic, &mut |found| match found {
                Found::One(_) => panic!("all share"),
                Found::Group(group) if *group.interest == interest => {
                    picked.push(group.pick(&message).unwrap().session);
                }
                Found::Group(_) => {}
            });
        }
        assert_eq!(picked, [1, 2, 1, 2]);
        assert!(tree.remove(&interest, 1));
        assert!(!tree.remove(&interest, 1));
        assert!(tree.remove(&interest, 2));
        assert!(tree.remove(&Interest::new("$share/other/a/+").unwrap(), 1));
        assert!(tree.root.is_empty());
    }
}
