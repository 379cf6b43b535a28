//! Retained messages: the last of each topic that asked for it. In memory, bounded; policy: a new topic beyond the bounds
//! is not retained and is counted.

use std::{collections::BTreeMap, sync::Arc};

use crate::domain::{
    message::Message,
    timestamp::Timestamp,
    topic::{TopicFilter, TopicName},
};

/// Topics that may have a retained message.
const MAX_TOPICS: usize = 100_000;

/// Bytes of payload and topic that are retained in all.
const MAX_BYTES: usize = 64 << 20;

/// The last message of each topic.
#[derive(Debug, Default)]
pub(super) struct RetainedMessages {
    messages: BTreeMap<TopicName, Arc<Message>>,
    bytes: usize,
}

impl RetainedMessages {
    /// Keeps a message in the place of its topic's former one, or lets go of that if the payload is empty; false if
    /// there is no room.
    pub(super) fn keep(&mut self, message: &Arc<Message>) -> bool {
        if let Some(former) = self.messages.remove(&message.topic) {
            self.bytes -= size(&former);
        }
        if message.payload.as_slice().is_empty() {
            return true;
        }
        if MAX_TOPICS <= self.messages.len() || MAX_BYTES < self.bytes + size(message) {
            return false;
        }
        self.bytes += size(message);
        self.messages
            .insert(message.topic.clone(), Arc::clone(message));
        true
    }

    /// The messages of a filter's topics that have not expired, by topic.
    pub(super) fn matching(&self, filter: &TopicFilter, now: Timestamp) -> Vec<Arc<Message>> {
        let is_alive = |message: &Message| {
            let expiry = message.properties.as_ref().and_then(|p| p.message_expiry);
            expiry.is_none_or(|limit| (now - message.received_at).as_secs() < u64::from(limit))
        };
        self.messages
            .iter()
            .filter(|(topic, message)| filter.matches(topic) && is_alive(message))
            .map(|(_, message)| Arc::clone(message))
            .collect()
    }
}

fn size(message: &Message) -> usize {
    message.topic.as_str().len() + message.payload.as_slice().len()
}
