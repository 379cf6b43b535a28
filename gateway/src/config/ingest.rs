//! The section `[ingest]`: which messages are readings and which are a device's status.

use crate::config::kinds::{choice, unexpected};
use crate::config::section::Section;
use crate::config::value::Value;
use crate::domain::topic::TopicFilter;

/// Which topics the gateway reads itself. All others are ordinary MQTT between the clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingest {
    /// Filters of readings. Empty: readings come by HTTP only. Default: `sensors/#`.
    pub readings: Vec<TopicFilter>,
    /// Filters of device statuses. Empty: statuses come by HTTP only. Default: `status/+`.
    pub statuses: Vec<TopicFilter>,
    /// Of readings on topics that `formats` has nothing for. Default: [`PayloadFormat::Auto`].
    pub format: PayloadFormat,
    /// Further filters of readings, each with a format of its own; the longest that matches counts.
    pub formats: Vec<(TopicFilter, PayloadFormat)>,
}

/// How a payload is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PayloadFormat {
    /// JSON objects, arrays of them, bare numbers.
    #[default]
    Auto,
    /// JSON objects and arrays of them.
    Json,
    /// A decimal number.
    Number,
    /// RFC 8428, section 5.
    SenmlJson,
    /// RFC 8428, section 6.
    SenmlCbor,
    /// Sparkplug 3.0.0, section 6.4.
    #[cfg(feature = "sparkplug")]
    SparkplugB,
}

const FORMATS: &[(&str, PayloadFormat)] = &[
    ("auto", PayloadFormat::Auto),
    ("json", PayloadFormat::Json),
    ("number", PayloadFormat::Number),
    ("senml-json", PayloadFormat::SenmlJson),
    ("senml-cbor", PayloadFormat::SenmlCbor),
    #[cfg(feature = "sparkplug")]
    ("sparkplug-b", PayloadFormat::SparkplugB),
];

/// First levels that no filter may name, and why.
const REFUSED_LEVELS: &[(&str, &str)] = &[
    (
        "alerts",
        "clients may not publish there: it is where the gateway publishes alerts",
    ),
    (
        "$SYS",
        "clients may not publish there: it is where the gateway says how it is",
    ),
    (
        "$share",
        "shared subscriptions are for clients: write the filter after the share's name",
    ),
];
/// Formats that this build was made without.
const ABSENT_FORMATS: &[&str] = if cfg!(feature = "sparkplug") {
    &[]
} else {
    &["sparkplug-b"]
};

impl Ingest {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let readings = section.list("readings", filter);
        let statuses = section.list("statuses", filter);
        let format = choice(FORMATS, ABSENT_FORMATS);
        let whole = section.setting("format", PayloadFormat::Auto, &format);
        let formats = section.section_or_empty("formats").named(|key, value| {
            let filter = filter(&Value::Text(key.to_owned()))?;
            Ok((filter, format(value)?))
        });
        section.finish();
        Self {
            readings: readings.unwrap_or_else(|| default_filter("sensors/#")),
            statuses: statuses.unwrap_or_else(|| default_filter("status/+")),
            format: whole.value,
            formats,
        }
    }
}

fn default_filter(text: &str) -> Vec<TopicFilter> {
    TopicFilter::new(text).into_iter().collect()
}

pub(super) fn filter(value: &Value) -> Result<TopicFilter, String> {
    let expected = "a topic filter, such as \"sensors/#\"";
    let (Value::Text(text) | Value::Raw(text)) = value else {
        return Err(unexpected(expected, value));
    };
    let filter = TopicFilter::new(text).map_err(|error| {
        let message = unexpected(expected, value);
        format!("{message}, which {error}")
    })?;
    let first = text.split_once('/').map(|(first, _)| first);
    match REFUSED_LEVELS
        .iter()
        .find(|(level, _)| Some(*level) == first)
    {
        Some((_, reason)) => Err(format!("{value} is refused: {reason}")),
        None => Ok(filter),
    }
}
