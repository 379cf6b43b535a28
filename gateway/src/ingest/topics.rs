//! What a message is, which its topic says.

use std::cmp::Reverse;

use crate::config::{Ingest, PayloadFormat};
use crate::domain::topic::{TopicFilter, TopicName};

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Reading(PayloadFormat),
    Status,
    /// Between the clients.
    Ordinary,
}

/// On which topics readings and statuses come.
#[derive(Clone, Debug)]
pub struct Topics {
    readings: Vec<TopicFilter>,
    format: PayloadFormat,
    /// The longest filter first.
    formats: Vec<(TopicFilter, PayloadFormat)>,
    statuses: Vec<TopicFilter>,
}

impl Topics {
    /// As the configuration has them.
    pub fn new(config: &Ingest) -> Self {
        let mut formats = config.formats.clone();
        formats.sort_by_key(|(filter, _)| Reverse(filter.as_str().len()));
        let own = formats.iter().map(|(filter, _)| filter);
        Self {
            readings: config.readings.iter().chain(own).cloned().collect(),
            format: config.format,
            formats,
            statuses: config.statuses.clone(),
        }
    }

    /// What is published there. A topic of both is one of readings.
    pub fn kind(&self, topic: &TopicName) -> Kind {
        let matches = |filter: &TopicFilter| filter.matches(topic);
        if self.readings.iter().any(matches) {
            Kind::Reading(self.format(topic))
        } else if self.statuses.iter().any(matches) {
            Kind::Status
        } else {
            Kind::Ordinary
        }
    }

    /// How readings are written there.
    pub fn format(&self, topic: &TopicName) -> PayloadFormat {
        let mut formats = self.formats.iter();
        let own = formats.find(|(filter, _)| filter.matches(topic));
        own.map_or(self.format, |(_, format)| *format)
    }

    /// The filters of readings.
    pub fn readings(&self) -> &[TopicFilter] {
        &self.readings
    }

    /// The filters of statuses.
    pub fn statuses(&self) -> &[TopicFilter] {
        &self.statuses
    }
}
