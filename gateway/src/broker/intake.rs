//! From a publish to what it is: a reading, a status, or a message between clients.

use std::sync::Arc;

use prometheus::IntCounter;

use super::{hub::Hub, session::AckReason};
use crate::config::PayloadFormat;
use crate::domain::{message::Message, topic::TopicName};
use crate::ingest::{
    Decoder, Kind, Submission,
    decode::{self, Decoded, Fault, Origin},
};
use crate::metrics::Metrics;
use crate::store::NewReject;

/// Tells readings and statuses from other messages.
#[derive(Debug)]
pub(super) struct Intake {
    decoder: Arc<Decoder>,
    hub: Arc<Hub>,
    received: IntCounter,
}

impl Intake {
    pub(super) fn new(decoder: Arc<Decoder>, hub: Arc<Hub>, metrics: &Metrics) -> Self {
        Self {
            decoder,
            hub,
            received: metrics.readings_received.with_label_values(&["mqtt"]),
        }
    }

    /// Whether a client may publish there. What stands under `alerts/` and `$SYS/` is the gateway's own word.
    pub(super) fn may_publish(topic: &TopicName) -> bool {
        !TopicName::is_own(topic.as_str())
    }

    /// Puts a message into the submission: a reading, a status, and any other that has to be stored first, or that
    /// `is_behind` others of the same client. The rest is handed on at once.
    pub(super) fn take(
        &self,
        message: Message,
        is_behind: bool,
        submission: &mut Submission,
    ) -> AckReason {
        if !Self::may_publish(&message.topic) {
            return AckReason::NotAuthorized;
        }
        submission.acknowledged.extend(acknowledged(&message.topic));
        match self.decoder.topics().kind(&message.topic) {
            Kind::Reading(_) | Kind::Status if message.is_clearing() => {
                // It must not overtake the message it clears, which waits for its commit.
                submission.messages.push(message);
                AckReason::Success
            }
            Kind::Reading(format) => self.take_readings(format, message, submission),
            Kind::Status => self.take_status(message, submission),
            Kind::Ordinary => self.take_ordinary(message, is_behind, submission),
        }
    }

    fn take_ordinary(
        &self,
        message: Message,
        is_behind: bool,
        submission: &mut Submission,
    ) -> AckReason {
        if !is_in_its_format(&message) {
            AckReason::PayloadFormatInvalid
        } else if is_behind || self.hub.must_store(&message) {
            let is_refused =
                message.retain && !message.is_clearing() && !self.hub.can_retain(&message);
            submission.messages.push(message);
            // It is delivered nevertheless.
            if is_refused {
                AckReason::QuotaExceeded
            } else {
                AckReason::Success
            }
        } else {
            self.hub.publish_now(message);
            AckReason::Success
        }
    }

    /// Whether it is neither a reading nor a status.
    pub(super) fn is_ordinary(&self, message: &Message) -> bool {
        message.is_clearing() || self.decoder.topics().kind(&message.topic) == Kind::Ordinary
    }

    fn take_readings(
        &self,
        format: PayloadFormat,
        message: Message,
        submission: &mut Submission,
    ) -> AckReason {
        let Decoded {
            readings,
            faults,
            statuses,
            is_for_others,
            request,
        } = self.decoder.take(format, &message);
        self.received.inc_by((readings.len() + faults.len()) as u64);
        let is_hopeless = readings.is_empty() && !faults.is_empty() && !is_for_others;
        submission.readings.extend(readings);
        submission.statuses.extend(statuses);
        for (fault, part) in faults {
            submission.rejects.push(reject(&message, &fault, part));
        }
        if let Some(request) = request {
            tracing::info!(topic = %request.topic, "a Sparkplug node is asked for its births");
            self.take_ordinary(request, false, submission);
        }
        if is_hopeless {
            return AckReason::PayloadFormatInvalid;
        }
        self.pass_on(message, submission);
        AckReason::Success
    }

    fn take_status(&self, message: Message, submission: &mut Submission) -> AckReason {
        match decode::decode_status(message.payload.as_slice(), Origin::of(&message)) {
            Ok(status) => {
                submission.statuses.push(status);
                self.pass_on(message, submission);
                AckReason::Success
            }
            Err(fault) => {
                submission.rejects.push(reject(&message, &fault, None));
                AckReason::PayloadFormatInvalid
            }
        }
    }

    /// After their commit readings and statuses are messages like any other.
    fn pass_on(&self, message: Message, submission: &mut Submission) {
        if message.retain || self.hub.has_subscribers() {
            submission.messages.push(message);
        }
    }
}

/// The alert that a publish to `commands/alerts/<alert_id>/ack` is about.
fn acknowledged(topic: &TopicName) -> Option<i64> {
    let id = topic
        .as_str()
        .strip_prefix("commands/alerts/")?
        .strip_suffix("/ack")?;
    id.parse().ok()
}

/// A payload that says it is UTF-8 has to be (MQTT 5.0, section 3.3.2.3.2).
fn is_in_its_format(message: &Message) -> bool {
    let says_utf8 = message.properties.as_ref().and_then(|p| p.payload_is_utf8);
    says_utf8 != Some(true) || std::str::from_utf8(message.payload.as_slice()).is_ok()
}

fn reject(message: &Message, fault: &Fault, part: Option<Vec<u8>>) -> (&'static str, NewReject) {
    let payload = match part {
        Some(part) => part.into_boxed_slice(),
        None => message.payload.as_slice().into(),
    };
    let reject = NewReject {
        topic: Some(message.topic.clone()),
        payload,
        reason: fault.to_string().into_boxed_str(),
        received_at: message.received_at,
    };
    (fault.label(), reject)
}
