//! An alert: one event in the life of an episode that a rule opened for a sensor.

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::domain::{reading::ReadingId, sensor::SensorId, timestamp::Timestamp};

/// What happened to the episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    Raised,
}

impl AlertState {
    /// The word for it in topics, API, metrics and the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raised => "raised",
        }
    }
}

/// One event, in the shape of its message on `alerts/<sensor_id>`.
#[derive(Clone, Debug, Serialize)]
pub struct Alert {
    pub gateway_id: Arc<str>,
    pub alert_id: i64,
    /// Joins the events of one alert: the id of the first.
    pub episode: i64,
    pub rule: Arc<str>,
    pub state: AlertState,
    pub sensor_id: SensorId,
    pub value: f64,
    pub ts: Timestamp,
    pub reading_id: ReadingId,
    /// A JSON object: those of the reading.
    pub attributes: Box<RawValue>,
}
