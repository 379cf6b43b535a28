//! A reading: what one sensor measured at one time. Before its commit it has no id; after it, it never changes.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer, ser::Error};
use serde_json::value::RawValue;

use crate::domain::{sensor::SensorId, timestamp::Timestamp, topic::TopicName};

/// The number of a reading. It comes from a stored counter and only grows within one store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ReadingId(pub i64);

impl fmt::Display for ReadingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A reading on its way to the store.
#[derive(Clone, Debug)]
pub struct Reading {
    pub sensor_id: SensorId,
    /// Finite.
    pub value: f64,
    /// When it was measured, as the sensor says, else when it arrived.
    pub ts: Timestamp,
    pub received_at: Timestamp,
    pub attributes: Attributes,
    /// Where it was published; `None` if it came by HTTP.
    pub topic: Option<TopicName>,
}

/// What a payload says beside the value: the text of a JSON object, shared by the readings of one payload; nothing is
/// kept for an empty one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes(Option<Arc<str>>);

impl Attributes {
    /// Takes the text of a JSON object; `{}` becomes nothing.
    pub fn from_json(object: String) -> Self {
        Self((object != "{}").then(|| object.into()))
    }

    /// The JSON object's text, if it is not empty.
    pub fn stored(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// The JSON object's text.
    pub fn as_json(&self) -> &str {
        self.stored().unwrap_or("{}")
    }
}

impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let object: &RawValue = serde_json::from_str(self.as_json()).map_err(Error::custom)?;
        object.serialize(serializer)
    }
}

/// A reading as the store gives it back, in the shape that API and uplink share.
#[derive(Clone, Debug, Serialize)]
pub struct StoredReading {
    pub id: ReadingId,
    pub sensor_id: SensorId,
    pub value: f64,
    pub ts: Timestamp,
    pub received_at: Timestamp,
    /// A JSON array of texts.
    pub tags: Box<RawValue>,
    /// A JSON object.
    pub attributes: Box<RawValue>,
}
