//! Retained messages: the last of each topic that asked for it. In memory, bounded; policy: a message beyond the bounds
//! is not retained and is counted, and its topic's former one is forgotten: it says what is no longer so.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

use crate::config::Limits;
use crate::domain::{
    message::Message,
    topic::{TopicFilter, TopicName},
};
use crate::metrics::Limit;

/// Retained messages that are put into a subscriber's queue at once, and topics that are looked at for them.
const PAGE_MESSAGES: usize = 100;
const PAGE_TOPICS: usize = 2000;

/// The last message of each topic.
#[derive(Debug)]
pub(super) struct RetainedMessages {
    topics: BTreeMap<TopicName, Retained>,
    room: Room,
}

/// What a topic has, and what it will have once that is on disk. Neither: it is not there.
#[derive(Debug, Default)]
struct Retained {
    message: Option<Arc<Message>>,
    /// Promises that are not kept yet.
    outstanding: usize,
    /// Of the message, as it will be when they are; `None`: there will be none.
    size: Option<usize>,
}

/// What all topics take, as it will be when all promises are kept.
#[derive(Debug)]
struct Room {
    max_messages: usize,
    max_bytes: usize,
    count: usize,
    bytes: usize,
}

impl Room {
    fn check(&self, former: Option<usize>, size: usize) -> Result<(), Limit> {
        if former.is_none() && self.max_messages <= self.count {
            return Err(Limit::RetainedMessages);
        }
        if self.max_bytes < self.bytes - former.unwrap_or(0) + size {
            return Err(Limit::RetainedBytes);
        }
        Ok(())
    }

    fn replace(&mut self, former: Option<usize>, size: Option<usize>) {
        self.count = self.count + usize::from(size.is_some()) - usize::from(former.is_some());
        self.bytes = self.bytes + size.unwrap_or(0) - former.unwrap_or(0);
    }
}

impl RetainedMessages {
    /// None yet.
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            topics: BTreeMap::new(),
            room: Room {
                max_messages: limits.retained_messages,
                max_bytes: limits.retained_bytes,
                count: 0,
                bytes: 0,
            },
        }
    }

    /// Whether there is room for a message, in the place of its topic's former one if there is one.
    pub(super) fn check_room(&self, message: &Message) -> Result<(), Limit> {
        let former = self.topics.get(&message.topic);
        let former = former.and_then(|retained| retained.size);
        self.room.check(former, message.size())
    }

    /// A topic will have this message in the place of its former one; if there is no room for it, none.
    pub(super) fn promise(&mut self, message: &Message) -> Result<(), Limit> {
        let (size, room) = (message.size(), &mut self.room);
        let retained = self.topics.entry(message.topic.clone()).or_default();
        let checked = room.check(retained.size, size);
        retained.promise(checked.is_ok().then_some(size), room);
        checked
    }

    /// A topic will have none.
    pub(super) fn promise_none(&mut self, topic: &TopicName) {
        self.topics
            .entry(topic.clone())
            .or_default()
            .promise(None, &mut self.room);
    }

    /// Does what was promised of a topic. Promises of one topic are kept in their order.
    pub(super) fn fulfil(&mut self, topic: &TopicName, message: Option<&Arc<Message>>) {
        let Some(retained) = self.topics.get_mut(topic) else {
            return;
        };
        retained.outstanding = retained.outstanding.saturating_sub(1);
        retained.message = message.cloned();
        if retained.message.is_none() && retained.outstanding == 0 {
            self.topics.remove(topic);
        }
    }

    /// Keeps a message in the place of its topic's former one at once. Whether there is room is for the caller to
    /// [ask](Self::check_room).
    pub(super) fn keep(&mut self, message: &Arc<Message>) {
        let size = Some(message.size());
        self.topics
            .entry(message.topic.clone())
            .or_default()
            .promise(size, &mut self.room);
        self.fulfil(&message.topic, Some(message));
    }

    /// How many topics have one, or will have.
    pub(super) fn len(&self) -> usize {
        self.room.count
    }

    /// The next messages of a filter's topics that have not expired, after `after` in the order of topics, and where to
    /// go on. Looks at so many topics at the most that nobody has to wait for it.
    pub(super) fn next_page(
        &self,
        filter: &TopicFilter,
        after: Option<&TopicName>,
        now: Instant,
    ) -> (Vec<Arc<Message>>, Option<TopicName>) {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let prefix = filter.literal_prefix();
        let (mut page, mut looked_at) = (Vec::new(), 0);
        let from = match after {
            None if !prefix.is_empty() => Bound::Included(prefix),
            _ => from.map(TopicName::as_str),
        };
        for (topic, retained) in self.topics.range::<str, _>((from, Bound::Unbounded)) {
            if !topic.as_str().starts_with(prefix) {
                return (page, None);
            }
            looked_at += 1;
            if let Some(message) = &retained.message
                && filter.matches(topic)
                && !message.has_expired(now)
            {
                page.push(Arc::clone(message));
            }
            if PAGE_MESSAGES <= page.len() || PAGE_TOPICS <= looked_at {
                return (page, Some(topic.clone()));
            }
        }
        (page, None)
    }
}

impl RetainedMessages {
    /// The topics whose messages have expired, among some after `after`, and where to go on.
    pub(super) fn expired(
        &self,
        after: Option<&TopicName>,
        now: Instant,
    ) -> (Vec<TopicName>, Option<TopicName>) {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let some = self.topics.range::<TopicName, _>((from, Bound::Unbounded));
        let some: Vec<_> = some.take(PAGE_TOPICS).collect();
        let next = some.last().filter(|_| PAGE_TOPICS <= some.len());
        let next = next.map(|(topic, _)| TopicName::clone(topic));
        let expired = some
            .into_iter()
            .filter(|(_, retained)| retained.has_expired(now));
        (expired.map(|(topic, _)| topic.clone()).collect(), next)
    }

    /// Whether the message of a topic has expired, and no other is on its way.
    pub(super) fn has_expired(&self, topic: &TopicName, now: Instant) -> bool {
        let retained = self.topics.get(topic);
        retained.is_some_and(|retained| retained.outstanding == 0 && retained.has_expired(now))
    }
}

impl Retained {
    fn promise(&mut self, size: Option<usize>, room: &mut Room) {
        room.replace(self.size, size);
        self.outstanding += 1;
        self.size = size;
    }

    fn has_expired(&self, now: Instant) -> bool {
        let message = self.message.as_ref();
        message.is_some_and(|message| message.has_expired(now))
    }
}
