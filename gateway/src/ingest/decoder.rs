//! What a message is and what it says: its topic has a format, and some formats need what was said before.

#[cfg(feature = "sparkplug")]
use std::sync::{Mutex, MutexGuard, PoisonError};

#[cfg(feature = "sparkplug")]
use super::decode::sparkplug::Births;
use super::decode::{self, Decoded, Origin};
use super::topics::Topics;
use crate::config::{Ingest, PayloadFormat};

/// Reads messages.
#[derive(Debug)]
pub struct Decoder {
    topics: Topics,
    #[cfg(feature = "sparkplug")]
    births: Mutex<Births>,
}

impl Decoder {
    /// As the configuration has it.
    pub fn new(config: &Ingest) -> Self {
        Self {
            topics: Topics::new(config),
            #[cfg(feature = "sparkplug")]
            births: Mutex::default(),
        }
    }

    /// What is published where.
    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    /// Reads a payload when it comes: those of one client in their order.
    pub fn take(&self, format: PayloadFormat, payload: &[u8], origin: Origin<'_>) -> Decoded {
        match format {
            #[cfg(feature = "sparkplug")]
            PayloadFormat::SparkplugB => self.births().take(payload, origin),
            _ => decode::decode(format, payload, origin),
        }
    }

    /// Reads a payload once more, later: it changes nothing of what is known, and gives readings and faults only. Without a topic it
    /// is read as `auto`.
    pub fn read_again(&self, payload: &[u8], origin: Origin<'_>) -> Decoded {
        let format = origin.topic.map(|topic| self.topics.format(topic));
        match format.unwrap_or_default() {
            #[cfg(feature = "sparkplug")]
            PayloadFormat::SparkplugB => self.births().read(payload, origin),
            format => decode::decode(format, payload, origin),
        }
    }

    #[cfg(feature = "sparkplug")]
    fn births(&self) -> MutexGuard<'_, Births> {
        self.births.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
