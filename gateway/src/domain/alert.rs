//! An alert: one event in the life of an episode that a rule opened for a sensor, and its message.

use std::sync::Arc;

use serde::Serialize;

use crate::domain::{
    message::{Message, Qos},
    reading::{Attributes, ReadingId},
    rule::Severity,
    sensor::SensorId,
    timestamp::Timestamp,
    topic::TopicName,
};

/// What happened to the episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// It is open.
    Raised,
    /// It is open, and somebody has seen it.
    Acknowledged,
    /// It is over.
    Cleared,
}

impl AlertState {
    /// The word for it in topics, API, metrics and the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Acknowledged => "acknowledged",
            Self::Cleared => "cleared",
        }
    }

    /// The state of this name.
    pub fn from_stored(name: &str) -> Option<Self> {
        let all = [Self::Raised, Self::Acknowledged, Self::Cleared];
        all.into_iter().find(|state| state.as_str() == name)
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
    /// Those of the reading.
    pub attributes: Attributes,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// What the rule says of it to people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Box<str>>,
    /// What the readings have in common that the rule looks at together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Arc<str>>,
}

/// An event of the past, as far as it tells what is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastAlert {
    pub episode: i64,
    pub rule: Arc<str>,
    /// Whom the rule looked at: a sensor, a device, or what readings have in common.
    pub subject: Arc<str>,
    pub state: AlertState,
    pub ts: Timestamp,
}

impl Alert {
    /// What it tells of what is open.
    pub fn past(&self) -> PastAlert {
        let subject = self.group.as_ref().unwrap_or(self.sensor_id.shared());
        PastAlert {
            episode: self.episode,
            rule: Arc::clone(&self.rule),
            subject: Arc::clone(subject),
            state: self.state,
            ts: self.ts,
        }
    }

    /// The alert as it goes to dashboards: QoS 1, retained.
    pub fn message(&self) -> Option<Message> {
        let topic = TopicName::new(&format!("alerts/{}", self.sensor_id)).ok()?;
        let payload = serde_json::to_vec(self).ok()?;
        Some(Message {
            topic,
            payload: payload.into(),
            qos: Qos::AtLeastOnce,
            retain: true,
            received_at: self.ts,
            publisher: "".into(),
            properties: None,
        })
    }
}
