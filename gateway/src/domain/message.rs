//! A message between MQTT clients, as the hub hands it on. Not a reading: what a reading's payload says is `ingest`'s.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::domain::{subscription::Interest, timestamp::Timestamp, topic::TopicName};

/// Quality of service (MQTT 5.0, section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Qos {
    AtMostOnce,
    AtLeastOnce,
    ExactlyOnce,
}

impl Qos {
    /// The QoS of this number.
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

/// A payload: a range of the bytes it arrived in, shared without a copy.
#[derive(Clone, Default)]
pub struct Payload {
    bytes: Option<Arc<[u8]>>,
    start: usize,
}

impl Payload {
    /// The bytes of `packet` from `start` to its end.
    pub fn tail(packet: Arc<[u8]>, start: usize) -> Self {
        Self {
            start: start.min(packet.len()),
            bytes: Some(packet),
        }
    }

    /// The bytes of the payload.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes
            .as_ref()
            .map_or(&[], |bytes| &bytes[self.start..])
    }
}

impl Payload {
    /// Bytes that it keeps in memory: those of the whole packet it came in.
    fn held(&self) -> usize {
        self.bytes.as_ref().map_or(0, |bytes| bytes.len())
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self::tail(bytes.into(), 0)
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self.as_slice()))
    }
}

/// What one client publishes and others receive.
#[derive(Clone, Debug)]
pub struct Message {
    pub topic: TopicName,
    pub payload: Payload,
    pub qos: Qos,
    pub retain: bool,
    /// When it arrived, by the wall clock, which may step: its expiry does not follow it.
    pub received_at: Timestamp,
    /// The client id it came from; empty for the gateway's own.
    pub publisher: Arc<str>,
    /// What MQTT 5 carries beside the payload; most messages have none.
    pub properties: Option<Arc<Properties>>,
}

impl Message {
    /// About how many bytes it keeps in memory, whatever its payload is.
    pub fn size(&self) -> usize {
        let properties = self
            .properties
            .as_ref()
            .map_or(0, |properties| properties.size());
        size_of::<Self>() + self.topic.as_str().len() + self.payload.held() + properties
    }

    /// Its expiry counts from now on, of which `gone` is over already.
    pub fn count_expiry(&mut self, now: Instant, gone: Duration) {
        if let Some(properties) = &mut self.properties
            && let Some(seconds) = properties.message_expiry
        {
            let left = Duration::from_secs(seconds.into()).saturating_sub(gone);
            Arc::make_mut(properties).expires_at = Some(now + left);
        }
    }

    /// What is left of its expiry; `None`: it has none.
    pub fn expiry_left(&self, now: Instant) -> Option<Duration> {
        let properties = self.properties.as_ref()?;
        let expires_at = properties.expires_at?;
        Some(expires_at.saturating_duration_since(now))
    }

    /// Whether it is of no use any more.
    pub fn has_expired(&self, now: Instant) -> bool {
        self.expiry_left(now).is_some_and(|left| left.is_zero())
    }

    /// The note that the retained message of a topic has expired. It takes the way of messages, so that it keeps its order
    /// among them; nobody receives it.
    pub fn of_expiry(topic: TopicName, now: Timestamp) -> Self {
        Self {
            topic,
            payload: Payload::default(),
            qos: Qos::AtMostOnce,
            retain: true,
            received_at: now,
            publisher: "".into(),
            properties: None,
        }
    }

    /// Whether it is such a note: clients have names, and what the gateway says of itself is not empty.
    pub fn is_of_expiry(&self) -> bool {
        self.publisher.is_empty() && self.is_clearing()
    }

    /// Whether it asks for the retained message of its topic to be forgotten.
    pub fn is_clearing(&self) -> bool {
        self.retain && self.payload.as_slice().is_empty()
    }
}

/// What is published for a client that is gone (MQTT 5.0, section 3.1.2.5).
#[derive(Clone, Debug)]
pub struct Will {
    pub message: Message,
    /// Seconds after the connection's end; its session's end comes first.
    pub delay: u32,
}

/// A message on its way to one subscriber.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub message: Arc<Message>,
    /// The lower of the message's and the subscription's.
    pub qos: Qos,
    pub retain: bool,
    pub subscription_ids: Vec<u32>,
    /// The shared subscription for which this client was chosen, if it was.
    pub shared: Option<Arc<Interest>>,
}

/// The properties of an MQTT 5 PUBLISH that travel from publisher to subscriber (MQTT 5.0, section 3.3.2.3).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Properties {
    pub payload_is_utf8: Option<bool>,
    /// Seconds.
    pub message_expiry: Option<u32>,
    /// When that is over, once it [counts](Message::count_expiry).
    #[serde(skip)]
    pub expires_at: Option<Instant>,
    pub content_type: Option<Box<str>>,
    pub response_topic: Option<Box<str>>,
    pub correlation_data: Option<Box<[u8]>>,
    /// In the order in which they came.
    pub user_properties: Vec<(Box<str>, Box<str>)>,
}

impl Properties {
    /// About how many bytes they keep in memory.
    pub fn size(&self) -> usize {
        let texts = [&self.content_type, &self.response_topic];
        let texts = texts.into_iter().flatten().map(|text| text.len());
        let pairs = self.user_properties.iter();
        let pairs =
            pairs.map(|(key, value)| size_of::<(Box<str>, Box<str>)>() + key.len() + value.len());
        let data = self.correlation_data.as_ref().map_or(0, |data| data.len());
        size_of::<Self>() + texts.chain(pairs).sum::<usize>() + data
    }
}
