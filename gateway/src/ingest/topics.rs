//! What a message is, which its topic says.

use crate::config::Ingest;
use crate::domain::topic::{TopicFilter, TopicName};

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Reading,
    Status,
    /// Between the clients.
    Ordinary,
}

/// On which topics readings and statuses come.
#[derive(Clone, Debug)]
pub struct Topics {
    readings: Vec<TopicFilter>,
    statuses: Vec<TopicFilter>,
}

impl Topics {
    /// As the configuration has them.
    pub fn new(config: &Ingest) -> Self {
        Self {
            readings: config.readings.clone(),
            statuses: config.statuses.clone(),
        }
    }

    /// What is published there. A topic of both is one of readings.
    pub fn kind(&self, topic: &TopicName) -> Kind {
        let is_one_of =
            |filters: &[TopicFilter]| filters.iter().any(|filter| filter.matches(topic));
        if is_one_of(&self.readings) {
            Kind::Reading
        } else if is_one_of(&self.statuses) {
            Kind::Status
        } else {
            Kind::Ordinary
        }
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
