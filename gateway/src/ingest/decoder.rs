//! What a message is and what it says: its topic has a format, and some formats need what was said before.

#[cfg(feature = "sparkplug")]
use super::decode::sparkplug::Nodes;
use super::decode::{self, Decoded, Origin};
use super::topics::Topics;
use crate::config::{Ingest, PayloadFormat};
use crate::domain::message::Message;

/// Reads messages.
#[derive(Debug)]
pub struct Decoder {
    topics: Topics,
    #[cfg(feature = "sparkplug")]
    nodes: Nodes,
}

impl Decoder {
    /// As the configuration has it.
    pub fn new(config: &Ingest) -> Self {
        Self {
            topics: Topics::new(config),
            #[cfg(feature = "sparkplug")]
            nodes: Nodes::default(),
        }
    }

    /// What is published where.
    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    /// Reads a message when it comes: those of one client in their order.
    pub fn take(&self, format: PayloadFormat, message: &Message) -> Decoded {
        match format {
            #[cfg(feature = "sparkplug")]
            PayloadFormat::SparkplugB => self.nodes.take(message),
            _ => decode::decode(format, message.payload.as_slice(), Origin::of(message)),
        }
    }

    /// Reads a payload once more, later: it changes nothing of what is known, and gives readings and faults only. Without a topic it
    /// is read as `auto`.
    pub fn read_again(&self, payload: &[u8], origin: Origin<'_>) -> Decoded {
        let format = origin.topic.map(|topic| self.topics.format(topic));
        match format.unwrap_or_default() {
            #[cfg(feature = "sparkplug")]
            PayloadFormat::SparkplugB => self.nodes.read(payload, origin),
            format => decode::decode(format, payload, origin),
        }
    }
}
