//! The metrics of one message, as readings.

use prost::Message as _;
use prost::bytes::Bytes;
use serde_json::{Map, Value as Json};

use super::births::{Full, Known, Metrics};
use super::payload::{Metric, Payload, metric};
use super::topic::{self, Kind, Subject};
use super::value::{self, DataType};
use super::{SESSION, births};
use crate::domain::reading::{Attributes, Reading};
use crate::domain::sensor::SensorId;
use crate::domain::timestamp::Timestamp;
use crate::domain::topic::TopicName;
use crate::ingest::decode::{Decoded, Fault, Faults, Origin};

/// Folders of metrics that are there for control.
const CONTROL: [&str; 2] = ["Node Control/", "Device Control/"];

/// What a birth says.
pub(super) struct Birth {
    pub(super) metrics: Metrics,
    /// Of the node, if it says so.
    pub(super) session: Option<u8>,
    pub(super) decoded: Decoded,
}

/// Where a message came from, and whose it is.
pub(super) struct Place<'o> {
    pub(super) origin: Origin<'o>,
    pub(super) subject: Subject<'o>,
    /// Of the subject, among all nodes.
    pub(super) node: String,
}

impl<'o> Place<'o> {
    pub(super) fn of(origin: Origin<'o>) -> Result<(Kind, Self), Fault> {
        let topic = origin.topic.map_or("", TopicName::as_str);
        let (kind, subject) = topic::parse(topic).ok_or(Fault::NotSparkplugTopic)?;
        let node = subject.whole_node();
        let place = Self {
            origin,
            subject,
            node,
        };
        Ok((kind, place))
    }

    /// # Errors
    /// If it has more metrics than can be remembered.
    pub(super) fn birth(&self, payload: &Payload) -> Result<Birth, Fault> {
        let (mut metrics, mut session) = (Metrics::default(), None);
        let decoded = self.readings(payload, |metric| {
            let name = name(metric).ok_or(Fault::NoMetricName)?;
            if name == SESSION {
                session = number(metric);
            }
            // Without a type, which it must have, an integer is taken as it stands.
            let said = self.by_name(metric, name, None);
            let known = said.unwrap_or_else(|| self.known(name, DataType::Plain));
            let added = metrics.add(metric.alias, known.clone());
            added.map_err(|Full| Fault::TooManyMetrics)?;
            Ok(known)
        })?;
        Ok(Birth {
            metrics,
            session,
            decoded,
        })
    }

    /// The readings behind a birth.
    ///
    /// # Errors
    /// If they cannot be told without a birth that was not seen.
    pub(super) fn data(
        &self,
        payload: &Payload,
        metrics: Option<&Metrics>,
    ) -> Result<Decoded, Fault> {
        self.readings(payload, |metric| {
            let by_alias = || metrics?.by_alias(metric.alias?).cloned();
            let by_name = name(metric).map(|name| self.by_name(metric, name, metrics));
            match by_name {
                Some(known) => known.or_else(by_alias).ok_or(Fault::NoBirth),
                None if metric.alias.is_some() => by_alias().ok_or(Fault::NoBirth),
                None => Err(Fault::NoMetricName),
            }
        })
    }

    /// `None`: neither the metric nor what is known of others says of which type it is.
    fn by_name(&self, metric: &Metric, name: &str, metrics: Option<&Metrics>) -> Option<Known> {
        let said = metric.datatype.and_then(DataType::of);
        let shown = said.or_else(|| DataType::shown_by(metric.value.as_ref()));
        if let Some(data_type) = shown {
            return Some(self.known(name, data_type));
        }
        let known = self.known(name, DataType::Other);
        let data_type = metrics?.data_type(known.sensor.as_ref().ok()?)?;
        Some(Known { data_type, ..known })
    }

    fn known(&self, name: &str, data_type: DataType) -> Known {
        let is_for_control =
            name == SESSION || CONTROL.iter().any(|folder| name.starts_with(folder));
        Known {
            sensor: SensorId::new(&self.subject.sensor(name)),
            data_type: if is_for_control {
                DataType::Other
            } else {
                data_type
            },
        }
    }

    /// The readings of all metrics that have one.
    ///
    /// # Errors
    /// If nothing of it can be told.
    fn readings(
        &self,
        payload: &Payload,
        mut know: impl FnMut(&Metric) -> Result<Known, Fault>,
    ) -> Result<Decoded, Fault> {
        let (mut readings, mut faults) = (Vec::new(), Faults::default());
        for bytes in &payload.metrics {
            let reading = decode_metric(bytes).and_then(|metric| {
                let known = know(&metric)?;
                self.reading(&metric, known, payload.timestamp)
            });
            match reading {
                Ok(reading) => readings.extend(reading),
                Err(fault @ (Fault::NoBirth | Fault::TooManyMetrics)) => return Err(fault),
                Err(fault) => faults.add(fault, || part(payload, bytes)),
            }
        }
        Ok(Decoded {
            readings,
            faults: faults.told(),
            ..Decoded::default()
        })
    }

    /// `None`: it has no number.
    fn reading(
        &self,
        metric: &Metric,
        known: Known,
        sent: Option<u64>,
    ) -> Result<Option<Reading>, Fault> {
        let value = metric
            .value
            .as_ref()
            .filter(|_| metric.is_null != Some(true));
        let Some(value) = value.and_then(|value| known.data_type.number(value)) else {
            return Ok(None);
        };
        let sensor_id = known.sensor?;
        if !value.is_finite() {
            return Err(Fault::BadValue {
                name: sensor_id.to_string(),
                found: value.to_string(),
            });
        }
        Ok(Some(Reading {
            sensor_id,
            value,
            ts: metric
                .timestamp
                .or(sent)
                .map_or(Ok(self.origin.now), time)?,
            received_at: self.origin.now,
            attributes: attributes(metric),
            topic: self.origin.topic.cloned(),
        }))
    }
}

pub(super) fn decode_metric(bytes: &Bytes) -> Result<Metric, Fault> {
    Metric::decode(bytes.clone()).map_err(not_sparkplug)
}

#[expect(clippy::needless_pass_by_value, reason = "as errors are mapped")]
pub(super) fn not_sparkplug(error: prost::DecodeError) -> Fault {
    Fault::NotSparkplug(error.to_string())
}

/// The number of a session, modulo 256.
pub(super) fn number(session: &Metric) -> Option<u8> {
    match session.value? {
        metric::Value::IntValue(number) => Some(births::modulo_256(number.into())),
        metric::Value::LongValue(number) => Some(births::modulo_256(number)),
        _ => None,
    }
}

/// Its name, if it is not empty.
pub(super) fn name(metric: &Metric) -> Option<&str> {
    metric.name.as_deref().filter(|name| !name.is_empty())
}

/// A payload of one metric.
fn part(payload: &Payload, metric: &Bytes) -> Vec<u8> {
    let part = Payload {
        timestamp: payload.timestamp,
        metrics: vec![metric.clone()],
        ..Payload::default()
    };
    part.encode_to_vec()
}

fn time(millis: u64) -> Result<Timestamp, Fault> {
    let time = i64::try_from(millis).ok().map(Timestamp::from_millis);
    time.filter(|time| time.is_plausible())
        .ok_or_else(|| Fault::BadTime(millis.to_string()))
}

/// The properties of a metric, and whether it tells what is over, or what need not be kept.
fn attributes(metric: &Metric) -> Attributes {
    let mut attributes = Map::new();
    if let Some(properties) = &metric.properties {
        value::add_properties(properties, &mut attributes);
    }
    let marks = [
        ("historical", metric.is_historical),
        ("transient", metric.is_transient),
    ];
    for (mark, _) in marks.iter().filter(|(_, is)| *is == Some(true)) {
        attributes.insert((*mark).to_owned(), Json::Bool(true));
    }
    if attributes.is_empty() {
        return Attributes::default();
    }
    Attributes::from_json(Json::Object(attributes).to_string())
}
