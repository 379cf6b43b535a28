//! What a message is, which its topic says.

use std::cmp::Reverse;

#[cfg(feature = "sparkplug")]
use super::decode::sparkplug;
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
    pub(super) fn new(config: &Ingest) -> Self {
        let mut formats = config.formats.clone();
        formats.sort_by_key(|(filter, _)| {
            (
                Reverse(filter.as_str().len()),
                filter.as_str().contains('#'),
            )
        });
        let own = formats.iter().map(|(filter, _)| filter);
        Self {
            readings: config.readings.iter().chain(own).cloned().collect(),
            format: config.format,
            formats,
            statuses: config.statuses.clone(),
        }
    }

    /// Whether anything comes in a format.
    #[cfg(feature = "sparkplug")]
    pub(super) fn have(&self, format: PayloadFormat) -> bool {
        let mut own = self.formats.iter().map(|(_, format)| *format);
        self.format == format || own.any(|own| own == format)
    }

    /// What is published there. A topic of both is one of readings.
    pub fn kind(&self, topic: &TopicName) -> Kind {
        let matches = |filter: &TopicFilter| filter.matches(topic);
        if self.readings.iter().any(matches) {
            match self.format(topic) {
                #[cfg(feature = "sparkplug")]
                PayloadFormat::SparkplugB if sparkplug::is_for_others(topic) => Kind::Ordinary,
                format => Kind::Reading(format),
            }
        } else if self.statuses.iter().any(matches) {
            Kind::Status
        } else {
            Kind::Ordinary
        }
    }

    /// How readings are written there.
    pub(super) fn format(&self, topic: &TopicName) -> PayloadFormat {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_filter_has_its_say_and_of_equals_the_one_without_a_hash() {
        let formats = [
            ("a/#", PayloadFormat::Json),
            ("a/+", PayloadFormat::Number),
            ("a/b/#", PayloadFormat::SenmlJson),
        ];
        let formats = formats.map(|(filter, format)| (TopicFilter::new(filter).unwrap(), format));
        let topics = Topics::new(&Ingest {
            readings: vec![TopicFilter::new("x/#").unwrap()],
            statuses: Vec::new(),
            format: PayloadFormat::Auto,
            formats: formats.to_vec(),
        });
        let check = |topic: &str, expected: Kind| {
            assert_eq!(
                topics.kind(&TopicName::new(topic).unwrap()),
                expected,
                "{topic}"
            );
        };
        check("x/y", Kind::Reading(PayloadFormat::Auto));
        check("a/c", Kind::Reading(PayloadFormat::Number));
        check("a/c/d", Kind::Reading(PayloadFormat::Json));
        check("a/b/d", Kind::Reading(PayloadFormat::SenmlJson));
        check("b", Kind::Ordinary);
    }
}
