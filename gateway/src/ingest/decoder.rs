//! What a message is and what it says: its topic has a format, and some formats need what was said before.

#[cfg(feature = "sparkplug")]
use super::decode::sparkplug::Nodes;
use super::decode::{self, Decoded, Origin};
use super::topics::Topics;
use crate::config::{Ingest, PayloadFormat};
use crate::domain::message::Message;
use crate::store::{Reader, StoreError};

/// Reads messages.
#[derive(Debug)]
pub struct Decoder {
    topics: Topics,
    #[cfg(feature = "sparkplug")]
    nodes: Nodes,
}

impl Decoder {
    /// As the configuration has it, with what was said before the gateway was started.
    ///
    /// # Errors
    /// If that cannot be read.
    #[cfg_attr(
        not(feature = "sparkplug"),
        expect(unused_variables, reason = "no other format needs it")
    )]
    pub fn open(config: &Ingest, reader: &Reader) -> Result<Self, StoreError> {
        let decoder = Self::new(config);
        #[cfg(feature = "sparkplug")]
        if decoder.topics.have(PayloadFormat::SparkplugB) {
            decoder.nodes.recall(reader.statuses()?);
        }
        Ok(decoder)
    }

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
