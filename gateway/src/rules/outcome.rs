//! What the rules make of what happens.

use std::sync::Arc;

use super::window::Closed;
use crate::domain::alert::AlertState;
use crate::domain::reading::{Attributes, ReadingId};
use crate::domain::rule::Severity;
use crate::domain::sensor::SensorId;
use crate::domain::timestamp::Timestamp;
use crate::domain::topic::TopicName;
use crate::domain::uplink::UplinkSet;

/// What becomes of a reading, and what else follows.
#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    /// Names for the reading: in the order of the rules, none twice.
    pub tags: Vec<Arc<str>>,
    /// The uplinks that are to get the reading.
    pub forward: UplinkSet,
    pub fate: Fate,
    /// Where the reading is to be published.
    pub publishes: Vec<TopicName>,
    pub effects: Effects,
}

/// Whether a reading is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    #[default]
    Stored,
    /// Only in what comes of its window.
    Thinned,
    /// Not at all.
    Dropped,
}

/// What follows without being about the reading itself, in its order.
#[derive(Debug, Default, PartialEq)]
pub struct Effects {
    pub events: Vec<AlertEvent>,
    pub aggregates: Vec<AggregateReading>,
    /// Rules that could not be evaluated, and why. They count as not asked.
    pub failures: Vec<(Arc<str>, String)>,
    /// Rules for which a reading came too late.
    pub late: Vec<Arc<str>>,
}

/// An event in the life of an alert.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertEvent {
    pub id: i64,
    /// The id of the first event of the same alert.
    pub episode: i64,
    pub rule: Arc<str>,
    pub state: AlertState,
    pub severity: Option<Severity>,
    pub message: Option<Box<str>>,
    /// What the readings have in common that the rule looks at together.
    pub group: Option<Arc<str>>,
    /// The sensor, or the device.
    pub sensor_id: SensorId,
    pub value: f64,
    pub ts: Timestamp,
    /// Zero if there is none in the store.
    pub reading_id: ReadingId,
    /// Those of the reading; `None`: as they are stored.
    pub attributes: Option<Attributes>,
}

/// A window as a reading of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct AggregateReading {
    pub sensor_id: SensorId,
    /// The mean.
    pub value: f64,
    /// The start of the window.
    pub ts: Timestamp,
    pub attributes: Attributes,
    pub tag: Arc<str>,
    pub forward: UplinkSet,
    pub publishes: Vec<TopicName>,
}

impl AggregateReading {
    pub(super) fn new(
        sensor_id: SensorId,
        tag: Arc<str>,
        group: Option<&str>,
        closed: &Closed,
    ) -> Self {
        let seen = &closed.seen;
        let mut attributes = serde_json::json!({
            "window_start": closed.start,
            "window_end": closed.end,
            "count": seen.count,
            "min": seen.min,
            "avg": seen.avg(),
            "max": seen.max,
        });
        if let Some(group) = group {
            attributes["group"] = group.into();
        }
        Self {
            sensor_id,
            value: seen.avg(),
            ts: Timestamp::from_millis(closed.start),
            attributes: Attributes::from_json(attributes.to_string()),
            tag,
            forward: UplinkSet::NONE,
            publishes: Vec::new(),
        }
    }
}
