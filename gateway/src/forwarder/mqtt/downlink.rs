//! Commands from the broker to the clients here: under the same topic, as ordinary messages. Each is acknowledged there when
//! it is committed here.

use std::sync::Arc;

use rumqttc::{AsyncClient, Publish};
use tokio::sync::mpsc;

use crate::clock;
use crate::domain::message::{Message, Payload, Qos};
use crate::domain::timestamp::Timestamp;
use crate::domain::topic::{TopicFilter, TopicName};
use crate::forwarder::verdict::Verdict;
use crate::ingest::{Submission, SubmissionQueue};

/// The longest command.
const MOST_BYTES: usize = 256 << 10;

/// Commands in one commit.
const AT_ONCE: usize = 16;

/// What is handed on, and what has been said of what is not.
#[derive(Debug)]
pub(super) struct Downlink {
    uplink: Arc<str>,
    /// `None`: nothing is handed on.
    filter: Option<TopicFilter>,
    has_warned: bool,
}

impl Downlink {
    pub(super) fn new(uplink: Arc<str>, filter: Option<TopicFilter>) -> Self {
        Self {
            uplink,
            filter,
            has_warned: false,
        }
    }

    /// Hands on what comes; ends when nobody takes it.
    pub(super) async fn relay(
        &mut self,
        mut inbox: mpsc::Receiver<Publish>,
        client: &AsyncClient,
        submissions: &SubmissionQueue,
    ) -> Verdict {
        let mut received = Vec::new();
        while 0 < inbox.recv_many(&mut received, AT_ONCE).await {
            let now = clock::now();
            let messages = received
                .iter()
                .filter_map(|publish| self.take(publish, now));
            let mut submission = Submission::default();
            submission.messages.extend(messages);
            let mut receipt = submission.receipt();
            let is_done = submission.is_empty()
                || submissions.submit(submission).await.is_ok()
                    && receipt.committed().await.is_ok();
            if !is_done {
                break;
            }
            for publish in received.drain(..) {
                if let Err(error) = client.try_ack(&publish) {
                    return Verdict::retry(error.to_string());
                }
            }
        }
        Verdict::retry("the gateway is stopping")
    }

    /// The message that is handed on; `None`, which is said once, if it may not be.
    fn take(&mut self, publish: &Publish, now: Timestamp) -> Option<Message> {
        match self.message(publish, now) {
            Ok(message) => Some(message),
            Err(reason) => {
                if !std::mem::replace(&mut self.has_warned, true) {
                    let (uplink, topic) = (&self.uplink, &publish.topic);
                    tracing::warn!(%uplink, ?topic, %reason, "command dropped; said once");
                }
                None
            }
        }
    }

    fn message(&self, publish: &Publish, now: Timestamp) -> Result<Message, String> {
        let topic = TopicName::new(&publish.topic).map_err(|error| format!("its topic {error}"))?;
        let is_asked_for = |filter: &TopicFilter| filter.matches(&topic);
        if !self.filter.as_ref().is_some_and(is_asked_for) {
            return Err("its topic was not asked for".to_owned());
        }
        if MOST_BYTES < publish.payload.len() {
            return Err(format!("it is longer than {MOST_BYTES} bytes"));
        }
        Ok(Message {
            topic,
            payload: Payload::from(publish.payload.to_vec()),
            qos: Qos::from_number(publish.qos as u8).unwrap_or(Qos::AtLeastOnce),
            // A command is for who is there: the broker keeps what it retains, and sends it after each CONNECT.
            retain: false,
            received_at: now,
            publisher: "".into(),
            properties: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use rumqttc::QoS;

    use super::*;

    #[test]
    fn only_commands_are_handed_on() {
        let filter = TopicFilter::new("commands/edge-1/#").unwrap();
        let mut downlink = Downlink::new("cloud".into(), Some(filter));
        let now = Timestamp::from_millis(1_764_000_000_000);
        let mut taken = |topic: &str, size: usize| {
            let mut publish = Publish::new(topic, QoS::AtLeastOnce, vec![1; size]);
            publish.retain = true;
            downlink.take(&publish, now)
        };
        let message = taken("commands/edge-1/x", MOST_BYTES).unwrap();
        assert_eq!(message.topic.as_str(), "commands/edge-1/x");
        assert_eq!(message.payload.as_slice().len(), MOST_BYTES);
        assert_eq!((message.qos, message.retain), (Qos::AtLeastOnce, false));
        assert!(taken("commands/edge-1/x", MOST_BYTES + 1).is_none());
        assert!(taken("commands/edge-2/x", 1).is_none());
        assert!(taken("alerts/s1", 1).is_none());
        assert!(taken("commands/edge-1/+", 1).is_none());
    }
}
