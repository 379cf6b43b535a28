//! Retained messages: the last of each topic that asked for it. In memory, bounded; policy: a message beyond the bounds
//! is not retained and is counted, and its topic's former one is forgotten: it says what is no longer so.

use std::collections::{BTreeMap, HashMap};
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
    max_messages: usize,
    max_bytes: usize,
    messages: BTreeMap<TopicName, Arc<Message>>,
    /// Topics that will have another one, or none, once that is on disk.
    promised: HashMap<TopicName, Promise>,
    /// Of all topics, as it will be when all promises are kept.
    count: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Promise {
    outstanding: usize,
    /// Of the last one; `None`: there will be none.
    size: Option<usize>,
}

impl RetainedMessages {
    /// None yet.
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            max_messages: limits.retained_messages,
            max_bytes: limits.retained_bytes,
            messages: BTreeMap::new(),
            promised: HashMap::new(),
            count: 0,
            bytes: 0,
        }
    }

    /// Whether there is room for a message, in the place of its topic's former one if there is one.
    pub(super) fn check_room(&self, message: &Message) -> Result<(), Limit> {
        let former = self.size_of(&message.topic);
        if former.is_none() && self.max_messages <= self.count {
            return Err(Limit::RetainedMessages);
        }
        if self.max_bytes < self.bytes - former.unwrap_or(0) + message.size() {
            return Err(Limit::RetainedBytes);
        }
        Ok(())
    }

    /// A topic will have this message, or none, in the place of its former one. Whether there is room is for the caller
    /// to [ask](Self::check_room).
    pub(super) fn promise(&mut self, topic: &TopicName, message: Option<&Message>) {
        let (former, size) = (self.size_of(topic), message.map(Message::size));
        self.count = self.count + usize::from(size.is_some()) - usize::from(former.is_some());
        self.bytes = self.bytes + size.unwrap_or(0) - former.unwrap_or(0);
        let promise = self.promised.entry(topic.clone()).or_insert(Promise {
            outstanding: 0,
            size,
        });
        promise.outstanding += 1;
        promise.size = size;
    }

    /// Does what was promised of a topic. Promises of one topic are kept in their order.
    pub(super) fn fulfil(&mut self, topic: &TopicName, message: Option<&Arc<Message>>) {
        if let Some(promise) = self.promised.get_mut(topic) {
            promise.outstanding -= 1;
            if promise.outstanding == 0 {
                self.promised.remove(topic);
            }
        }
        match message {
            Some(message) => {
                self.messages.insert(topic.clone(), Arc::clone(message));
            }
            None => {
                self.messages.remove(topic);
            }
        }
    }

    /// Keeps a message in the place of its topic's former one at once.
    pub(super) fn keep(&mut self, message: &Arc<Message>) {
        self.promise(&message.topic, Some(message));
        self.fulfil(&message.topic, Some(message));
    }

    /// The size of a topic's message as it will be.
    fn size_of(&self, topic: &TopicName) -> Option<usize> {
        match self.promised.get(topic) {
            Some(promise) => promise.size,
            None => self.messages.get(topic).map(|message| message.size()),
        }
    }

    /// How many topics have one, or will have.
    pub(super) fn len(&self) -> usize {
        self.count
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
        for (topic, message) in self.messages.range::<str, _>((from, Bound::Unbounded)) {
            if !topic.as_str().starts_with(prefix) {
                return (page, None);
            }
            looked_at += 1;
            if filter.matches(topic) && !message.has_expired(now) {
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
        let some = self
            .messages
            .range::<TopicName, _>((from, Bound::Unbounded));
        let some: Vec<_> = some.take(PAGE_TOPICS).collect();
        let next = some.last().filter(|_| PAGE_TOPICS <= some.len());
        let next = next.map(|(topic, _)| TopicName::clone(topic));
        let expired = some
            .into_iter()
            .filter(|(_, message)| message.has_expired(now));
        (expired.map(|(topic, _)| topic.clone()).collect(), next)
    }

    /// Whether the message of a topic has expired, and no other is on its way.
    pub(super) fn has_expired(&self, topic: &TopicName, now: Instant) -> bool {
        let message = self.messages.get(topic);
        !self.promised.contains_key(topic)
            && message.is_some_and(|message| message.has_expired(now))
    }
}
