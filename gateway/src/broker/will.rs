//! Wills, when they are due.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Shared;
use crate::clock;
use crate::domain::message::Message;
use crate::ingest::Submission;

/// The will of a client that is gone, and whose it was.
#[derive(Debug)]
pub(super) struct LastWill {
    pub(super) message: Message,
    pub(super) user: Option<Arc<str>>,
}

impl LastWill {
    /// Has it published with `submission`, behind what its client published, unless its user may not publish there any
    /// more.
    pub(super) fn publish(self, shared: &Shared, submission: &mut Submission) {
        let Self { message, user } = self;
        let (topic, client_id) = (&message.topic, &*message.publisher);
        let grants = shared.access.grants_by_name(user.as_deref(), client_id);
        if !grants.may_publish(topic) {
            let dropped = &shared.metrics.mqtt_dropped;
            dropped.with_label_values(&["not_authorized"]).inc();
            tracing::warn!(client_id, %topic, "will refused: the client may not publish there any more");
            return;
        }
        let received_at = clock::now();
        let mut message = Message {
            received_at,
            ..message
        };
        message.count_expiry(Instant::now(), Duration::ZERO);
        shared.intake.take(message, true, submission);
    }
}
