//! From payload bytes to readings and statuses. Pure: one file a format, time comes in as `now`.

mod json;
mod senml;
#[cfg(feature = "sparkplug")]
pub(super) mod sparkplug;
mod timestamp;

use crate::config::PayloadFormat;
use crate::domain::{
    message::Message,
    reading::{Attributes, Reading},
    sensor::{SensorId, SensorIdError},
    status::{DeviceId, DeviceStatus},
    timestamp::Timestamp,
    topic::TopicName,
};

pub use json::{RequestFault, decode_lines, decode_request};
pub use timestamp::parse_timestamp;

/// Why a payload, or one element of it, is no reading. The label is for metrics, the text for people.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Fault {
    #[error("the payload is empty")]
    Empty,
    #[error("the payload is not UTF-8")]
    NotUtf8,
    #[error("the payload is neither JSON nor a number: {0}")]
    NotJson(String),
    #[error("expected a number, an object or an array of objects, found {0}")]
    WrongShape(&'static str),
    #[error("the payload is no SenML: {0}")]
    NotSenml(String),
    #[error("the payload is no Sparkplug B: {0}")]
    NotSparkplug(String),
    #[error(
        "Sparkplug nodes and devices say nothing of themselves on this topic: expected spBv1.0/<group>/<type>/<node>[/<device>]"
    )]
    NotSparkplugTopic,
    #[error("a metric has neither name nor alias")]
    NoMetricName,
    #[error(
        "what it is about was said in a birth that has not been seen: the node is asked for it"
    )]
    NoBirth,
    #[error("nodes have more metrics than the gateway can remember")]
    TooManyMetrics,
    #[error("the array is empty")]
    EmptyArray,
    #[error("an attribute is nested too deeply")]
    TooDeep,
    #[error("an attribute cannot be read: {0}")]
    Unreadable(String),
    #[error("objects have too many numbers for so long attributes")]
    TooManyCopies,
    #[error("the object has more than 256 numbers")]
    TooManyNumbers,
    #[error("{count} elements of the array are bad, the first: {first}")]
    Many { count: usize, first: String },
    #[error("`value` is missing and there is no other number")]
    NoValue,
    #[error("`{name}`: expected a finite number, found {found}")]
    BadValue { name: String, found: String },
    #[error("`{0}` stands there twice")]
    Twice(&'static str),
    #[error("`{name}`: expected a text, found {found}")]
    BadSensorType { name: &'static str, found: String },
    #[error("`sensor_id` is missing")]
    NoSensor,
    #[error(transparent)]
    BadSensor(#[from] SensorIdError),
    #[error("`ts`: expected milliseconds since 1970 or RFC 3339, between 1970 and 2200, found {0}")]
    BadTime(String),
    #[error("{0}")]
    BadStatus(String),
}

impl Fault {
    /// A short word out of a small set.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Empty | Self::EmptyArray => "empty",
            Self::NotUtf8 => "encoding",
            Self::Many { .. } | Self::Unreadable(_) | Self::TooManyNumbers => "syntax",
            Self::NotJson(_)
            | Self::NotSenml(_)
            | Self::NotSparkplug(_)
            | Self::NoMetricName
            | Self::WrongShape(_)
            | Self::Twice(_)
            | Self::TooDeep
            | Self::TooManyCopies => "syntax",
            Self::NoValue | Self::BadValue { .. } => "value",
            Self::NotSparkplugTopic => "topic",
            Self::NoBirth | Self::TooManyMetrics => "birth",
            Self::NoSensor | Self::BadSensorType { .. } | Self::BadSensor(_) => "sensor",
            Self::BadTime(_) => "time",
            Self::BadStatus(_) => "status",
        }
    }
}

/// What came out of one payload.
#[derive(Debug, Default)]
pub struct Decoded {
    pub readings: Vec<Reading>,
    /// Each with the part of the payload that it is about, or nothing for the whole.
    pub faults: Vec<(Fault, Option<Vec<u8>>)>,
    /// Of who sent it.
    pub statuses: Vec<DeviceStatus>,
    /// Whether others get it even if the gateway can make nothing of it.
    pub is_for_others: bool,
    /// To be published: what has to be asked of who sent it.
    pub request: Option<Message>,
}

/// Where a payload came from, for what it does not say itself.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'t> {
    /// `None` if it did not come by MQTT: then the payload must name the sensor.
    pub topic: Option<&'t TopicName>,
    pub now: Timestamp,
}

impl<'t> Origin<'t> {
    /// Of a message.
    pub fn of(message: &'t Message) -> Self {
        Self {
            topic: Some(&message.topic),
            now: message.received_at,
        }
    }
}

/// Reads a payload in the format that its topic has.
pub fn decode(format: PayloadFormat, payload: &[u8], origin: Origin<'_>) -> Decoded {
    match format {
        PayloadFormat::Auto => decode_auto(payload, origin),
        PayloadFormat::Json => decode_text(payload, origin, json::decode),
        PayloadFormat::Number => decode_text(payload, origin, number),
        PayloadFormat::SenmlJson => decode_text(payload, origin, senml::decode_json),
        PayloadFormat::SenmlCbor => senml::decode_cbor(payload, origin),
        #[cfg(feature = "sparkplug")]
        PayloadFormat::SparkplugB => sparkplug::Nodes::default().read(payload, origin),
    }
}

/// Reads a payload in any of the spellings that `auto` understands: a bare number, a JSON object, an array of them.
/// Of an array the bad elements are faults alone.
fn decode_auto(payload: &[u8], origin: Origin<'_>) -> Decoded {
    decode_text(payload, origin, |text, origin| {
        if text.starts_with(['{', '[']) {
            json::decode(text, origin)
        } else {
            number(text, origin)
        }
    })
}

/// Reads a payload that is text, without what stands around it.
fn decode_text(
    payload: &[u8],
    origin: Origin<'_>,
    decode: impl FnOnce(&str, Origin<'_>) -> Decoded,
) -> Decoded {
    let Ok(text) = std::str::from_utf8(payload) else {
        return whole(Fault::NotUtf8);
    };
    match text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\u{feff}') {
        "" => whole(Fault::Empty),
        text => decode(text, origin),
    }
}

/// Reads a device's status: plain text, or a JSON object with `status`.
pub fn decode_status(payload: &[u8], origin: Origin<'_>) -> Result<DeviceStatus, Fault> {
    let device = origin.topic.map_or("", TopicName::last_level);
    let text = std::str::from_utf8(payload)
        .map_err(|_| Fault::NotUtf8)?
        .trim();
    let status = if text.starts_with('{') {
        json::status_of(text)?
    } else {
        text.to_owned()
    };
    let status = new_status(device, &status, origin.now)?;
    Ok(DeviceStatus {
        topic: origin.topic.cloned(),
        ..status
    })
}

/// Checks a status that came in parts.
pub fn new_status(device: &str, status: &str, now: Timestamp) -> Result<DeviceStatus, Fault> {
    DeviceId::new(device)
        .and_then(|device| DeviceStatus::new(device, status, now))
        .map_err(|error| Fault::BadStatus(error.to_string()))
}

/// Bad elements of a payload, each with what a payload of it alone would be.
#[derive(Default)]
struct Faults {
    listed: Vec<(Fault, Option<Vec<u8>>)>,
    unlisted: usize,
}

impl Faults {
    /// Of those that are rejected one by one; beyond, the payload is rejected once.
    const MOST: usize = 100;

    fn add(&mut self, fault: Fault, part: impl FnOnce() -> Vec<u8>) {
        if self.listed.len() < Self::MOST {
            self.listed.push((fault, Some(part())));
        } else {
            self.unlisted += 1;
        }
    }

    fn told(mut self) -> Vec<(Fault, Option<Vec<u8>>)> {
        if 0 < self.unlisted {
            let count = self.listed.len() + self.unlisted;
            let first = self.listed.swap_remove(0).0.to_string();
            self.listed = vec![(Fault::Many { count, first }, None)];
        }
        self.listed
    }
}

fn whole(fault: Fault) -> Decoded {
    Decoded {
        faults: vec![(fault, None)],
        ..Decoded::default()
    }
}

fn number(text: &str, origin: Origin<'_>) -> Decoded {
    match decode_number(text, origin) {
        Ok(reading) => Decoded {
            readings: vec![reading],
            ..Decoded::default()
        },
        Err(fault) => whole(fault),
    }
}

fn decode_number(text: &str, origin: Origin<'_>) -> Result<Reading, Fault> {
    let value = finite(text).ok_or_else(|| Fault::BadValue {
        name: "payload".to_owned(),
        found: shown(text),
    })?;
    Ok(Reading {
        sensor_id: topic_sensor(origin)?,
        value,
        ts: origin.now,
        received_at: origin.now,
        attributes: Attributes::default(),
        topic: origin.topic.cloned(),
    })
}

fn topic_sensor(origin: Origin<'_>) -> Result<SensorId, Fault> {
    let topic = origin.topic.ok_or(Fault::NoSensor)?;
    Ok(SensorId::new(topic.last_level())?)
}

/// A decimal number that is finite: not `inf`, `nan`, or one beyond 1.8e308.
fn finite(text: &str) -> Option<f64> {
    let is_spelled_in_digits = text
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    let value: f64 = is_spelled_in_digits.then(|| text.parse().ok())??;
    value.is_finite().then_some(value)
}

/// The beginning of a text, for error messages.
fn shown(text: &str) -> String {
    const LIMIT: usize = 40;
    let mut shown: String = text.chars().take(LIMIT).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests;
