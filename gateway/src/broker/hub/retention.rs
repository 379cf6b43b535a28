//! What becomes of messages that ask to be retained. What the committer is promised counts as retained from then on.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use super::Hub;
use crate::broker::retained::RetainedMessages;
use crate::clock;
use crate::domain::message::Message;
use crate::domain::topic::TopicName;
use crate::ingest::Retention;

impl Hub {
    /// How many topics have a retained message.
    pub(in crate::broker) fn retained_count(&self) -> u64 {
        self.retained().len() as u64
    }

    /// Whether a message that asks to be retained can be.
    pub(in crate::broker) fn can_retain(&self, message: &Message) -> bool {
        self.retained().check_room(message).is_ok()
    }

    /// Hands on, and retains for as long as the gateway runs, what it says of itself.
    pub(in crate::broker) fn publish_own(&self, message: Message) {
        let message = Arc::new(message);
        self.retained_mut().keep(&message);
        self.fan_out(&message, None);
    }

    /// Notes of messages that have expired, among those of some topics after `after`, and where to go on. They are for the
    /// committer: what is newer then stays.
    pub(in crate::broker) fn expired_retained(
        &self,
        after: Option<&TopicName>,
    ) -> (Vec<Message>, Option<TopicName>) {
        let now = clock::now();
        let (topics, next) = self.retained().expired(after, Instant::now());
        let note = |topic| Message::of_expiry(topic, now);
        (topics.into_iter().map(note).collect(), next)
    }

    /// What becomes of the retained message of a topic, once it is [on disk](Self::retain).
    pub(super) fn promise_retention(&self, message: &Message) -> Retention {
        if !message.retain {
            return Retention::None;
        }
        let mut retained = self.retained_mut();
        if message.is_of_expiry() && !retained.has_expired(&message.topic, Instant::now()) {
            return Retention::None;
        }
        if message.is_clearing() {
            retained.promise_none(&message.topic);
            return Retention::Forget;
        }
        let Err(limit) = retained.promise(message) else {
            return Retention::Keep;
        };
        drop(retained);
        self.metrics.limited(limit);
        self.count_dropped("retained_full", 1);
        if !self.has_refused_to_retain.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                topic = %message.topic,
                "there are too many retained messages: delivered, not retained; said once"
            );
        }
        Retention::Forget
    }

    /// Does what was promised.
    pub(super) fn retain(&self, message: &Arc<Message>, retention: Retention) {
        let kept = match retention {
            Retention::None => return,
            Retention::Keep => Some(message),
            Retention::Forget => None,
        };
        self.retained_mut().fulfil(&message.topic, kept);
    }

    pub(super) fn retained(&self) -> RwLockReadGuard<'_, RetainedMessages> {
        self.retained.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn retained_mut(&self) -> RwLockWriteGuard<'_, RetainedMessages> {
        self.retained
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
