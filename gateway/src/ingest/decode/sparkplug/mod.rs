//! Sparkplug B (Sparkplug 3.0.0): what nodes and devices publish of themselves, in the words of the gateway. A metric with a number
//! is a reading of the sensor `<group>/<node>[/<device>]/<metric>`; births and deaths are statuses. Texts, times, bytes, data sets and
//! templates are passed over, as are nulls and what nodes have for control.
//!
//! `payload` is made from `payload.proto` (a test makes it again), `topic` and `value` know what stands where, `births` remembers.

mod births;
#[rustfmt::skip]
#[allow(clippy::all, clippy::pedantic, unreachable_pub, reason = "made by prost")]
mod payload;
mod topic;
mod value;

use prost::Message as _;
use prost::bytes::Bytes;
use serde_json::{Map, Value as Json};

use self::births::{Full, Known, Metrics};
use self::payload::{Metric, Payload, metric};
use self::topic::{Kind, Subject};
use self::value::DataType;
use super::{Decoded, Fault, Faults, Origin, new_status, whole};
use crate::domain::message::{Message, Qos};
use crate::domain::reading::{Attributes, Reading};
use crate::domain::sensor::SensorId;
use crate::domain::status::DeviceStatus;
use crate::domain::timestamp::Timestamp;
use crate::domain::topic::TopicName;

pub(in crate::ingest) use self::births::Births;

/// How a node's session is numbered, in its birth and its death.
const SESSION: &str = "bdSeq";

/// What a node is asked by (section 6.4.23).
const REBIRTH: &str = "Node Control/Rebirth";

/// Folders of metrics that are there for control.
const CONTROL: [&str; 2] = ["Node Control/", "Device Control/"];

/// The `uuid` of a payload that is packed, by convention of Sparkplug's first libraries.
const COMPRESSED: &str = "SPBV1.0_COMPRESSED";

/// Whether what is published there is for others than the gateway.
pub(in crate::ingest) fn is_for_others(topic: &TopicName) -> bool {
    topic::is_for_others(topic.as_str())
}

impl Births {
    /// Reads a message when it comes, each node's in their order.
    pub(in crate::ingest) fn take(&mut self, payload: &[u8], origin: Origin<'_>) -> Decoded {
        self.taken(payload, origin).unwrap_or_else(whole)
    }

    /// Reads a message once more, later: it says nothing new of its node.
    pub(in crate::ingest) fn read(&self, payload: &[u8], origin: Origin<'_>) -> Decoded {
        let read = || {
            let (kind, place) = Place::of(origin)?;
            let payload = unpack(payload)?;
            match kind {
                Kind::Birth => Ok(place.birth(&payload).1),
                Kind::Data => place.data(&payload, self.metrics(&place.subject)),
                Kind::Death => Ok(Decoded::default()),
            }
        };
        read().unwrap_or_else(whole)
    }

    fn taken(&mut self, payload: &[u8], origin: Origin<'_>) -> Result<Decoded, Fault> {
        let (kind, place) = Place::of(origin)?;
        let payload = unpack(payload)?;
        let subject = &place.subject;
        match (kind, subject.device) {
            (Kind::Birth, None) => {
                let (metrics, decoded) = place.birth(&payload);
                let session = session(&payload);
                let born = self.node_is_born(subject, metrics, session, payload.seq);
                born.map_err(|Full| Fault::TooManyMetrics)?;
                place.with_status(decoded, "online")
            }
            (Kind::Birth, Some(device)) => {
                let misses = self.misses(subject, payload.seq);
                let (metrics, decoded) = place.birth(&payload);
                let born = self.device_is_born(subject, device, metrics);
                born.map_err(|Full| Fault::TooManyMetrics)?;
                let decoded = place.with_status(decoded, "online")?;
                Ok(self.asking(&place, decoded, misses))
            }
            (Kind::Data, _) => {
                let misses = self.misses(subject, payload.seq);
                let data = place.data(&payload, self.metrics(subject));
                let is_in_the_dark = matches!(data, Err(Fault::NoBirth));
                let decoded = data.unwrap_or_else(whole);
                Ok(self.asking(&place, decoded, misses || is_in_the_dark))
            }
            (Kind::Death, Some(device)) => {
                let misses = self.misses(subject, payload.seq);
                self.device_is_dead(subject, device);
                let decoded = place.with_status(Decoded::default(), "offline")?;
                Ok(self.asking(&place, decoded, misses))
            }
            (Kind::Death, None) => {
                let Some(devices) = self.node_is_dead(subject, session(&payload)) else {
                    return Ok(Decoded::default());
                };
                let mut decoded = place.with_status(Decoded::default(), "offline")?;
                for device in devices {
                    let device = Some(&*device);
                    let subject = Subject { device, ..*subject };
                    decoded.statuses.push(place.status(&subject, "offline")?);
                }
                Ok(decoded)
            }
        }
    }

    /// With the request for its births, if a node has to be asked.
    fn asking(&mut self, place: &Place<'_>, decoded: Decoded, is_needed: bool) -> Decoded {
        let may = is_needed && self.may_ask(&place.subject, place.origin.now);
        Decoded {
            request: may.then(|| place.request()).flatten(),
            ..decoded
        }
    }
}

/// Where a message came from, and whose it is.
struct Place<'o> {
    origin: Origin<'o>,
    subject: Subject<'o>,
}

impl<'o> Place<'o> {
    fn of(origin: Origin<'o>) -> Result<(Kind, Self), Fault> {
        let topic = origin.topic.map_or("", TopicName::as_str);
        let (kind, subject) = topic::parse(topic).ok_or(Fault::NotSparkplugTopic)?;
        Ok((kind, Self { origin, subject }))
    }

    /// The metrics of a birth, and its readings.
    fn birth(&self, payload: &Payload) -> (Metrics, Decoded) {
        let mut metrics = Metrics::default();
        let decoded = self.readings(payload, |metric| {
            let name = metric.name.as_deref().ok_or(Fault::NoMetricName)?;
            // Without a type, which it must have, an integer is taken as it stands.
            let said = self.by_name(metric, name, None);
            let known = said.unwrap_or_else(|| self.known(name, DataType::Plain));
            metrics.add(metric.alias, known.clone());
            Ok(known)
        });
        (metrics, decoded.unwrap_or_else(whole))
    }

    /// The readings behind a birth.
    ///
    /// # Errors
    /// If they cannot be told without a birth that was not seen.
    fn data(&self, payload: &Payload, metrics: Option<&Metrics>) -> Result<Decoded, Fault> {
        self.readings(payload, |metric| {
            let by_alias = metric.alias.and_then(|alias| metrics?.by_alias(alias));
            match (by_alias, metric.name.as_deref()) {
                (Some(known), _) => Ok(known.clone()),
                (None, Some(name)) => self.by_name(metric, name, metrics).ok_or(Fault::NoBirth),
                (None, None) if metric.alias.is_some() => Err(Fault::NoBirth),
                (None, None) => Err(Fault::NoMetricName),
            }
        })
    }

    /// `None`: neither the metric nor what is known of others says of which type it is.
    fn by_name(&self, metric: &Metric, name: &str, metrics: Option<&Metrics>) -> Option<Known> {
        let said = metric.datatype.and_then(DataType::of);
        let shown = said.or_else(|| DataType::shown_by(metric.value.as_ref()));
        match shown {
            Some(data_type) => Some(self.known(name, data_type)),
            None => {
                let mut known = self.known(name, DataType::Other);
                known.data_type = metrics?.data_type(known.sensor.as_ref().ok()?)?;
                Some(known)
            }
        }
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
                Err(Fault::NoBirth) => return Err(Fault::NoBirth),
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

    fn with_status(&self, mut decoded: Decoded, status: &str) -> Result<Decoded, Fault> {
        decoded.statuses.push(self.status(&self.subject, status)?);
        Ok(decoded)
    }

    fn status(&self, subject: &Subject<'_>, status: &str) -> Result<DeviceStatus, Fault> {
        let status = new_status(&subject.device_id(), status, self.origin.now)?;
        Ok(DeviceStatus {
            topic: self.origin.topic.cloned(),
            ..status
        })
    }

    /// The command to a node to say all of its births again (section 6.4.23): never retained, of QoS 0.
    fn request(&self) -> Option<Message> {
        let now = self.origin.now;
        let timestamp = u64::try_from(now.millis()).ok();
        let rebirth = Metric {
            name: Some(REBIRTH.to_owned()),
            timestamp,
            datatype: Some(value::BOOLEAN),
            value: Some(metric::Value::BooleanValue(true)),
            ..Metric::default()
        };
        let payload = Payload {
            timestamp,
            metrics: vec![rebirth.encode_to_vec().into()],
            ..Payload::default()
        };
        Some(Message {
            topic: TopicName::new(&self.subject.commands()).ok()?,
            payload: payload.encode_to_vec().into(),
            qos: Qos::AtMostOnce,
            retain: false,
            received_at: now,
            publisher: "".into(),
            properties: None,
        })
    }
}

fn unpack(payload: &[u8]) -> Result<Payload, Fault> {
    if payload.is_empty() {
        return Err(Fault::Empty);
    }
    let payload = Payload::decode(Bytes::copy_from_slice(payload)).map_err(not_sparkplug)?;
    if payload.uuid.as_deref() == Some(COMPRESSED) {
        let compressed =
            "it is compressed, which the specification does not know: switch that off".to_owned();
        return Err(Fault::NotSparkplug(compressed));
    }
    Ok(payload)
}

fn decode_metric(bytes: &Bytes) -> Result<Metric, Fault> {
    Metric::decode(bytes.clone()).map_err(not_sparkplug)
}

#[expect(clippy::needless_pass_by_value, reason = "as errors are mapped")]
fn not_sparkplug(error: prost::DecodeError) -> Fault {
    Fault::NotSparkplug(error.to_string())
}

/// The number of the session that a node's birth or death is of.
fn session(payload: &Payload) -> Option<u64> {
    let metrics = payload
        .metrics
        .iter()
        .filter_map(|bytes| decode_metric(bytes).ok());
    let session = metrics
        .filter(|metric| metric.name.as_deref() == Some(SESSION))
        .last()?;
    match session.value? {
        metric::Value::IntValue(number) => Some(number.into()),
        metric::Value::LongValue(number) => Some(number),
        _ => None,
    }
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

/// The properties of a metric, and whether it tells what is over.
fn attributes(metric: &Metric) -> Attributes {
    let mut attributes = Map::new();
    if let Some(properties) = &metric.properties {
        value::add_properties(properties, &mut attributes);
    }
    if metric.is_historical == Some(true) {
        attributes.insert("historical".to_owned(), Json::Bool(true));
    }
    if attributes.is_empty() {
        return Attributes::default();
    }
    Attributes::from_json(Json::Object(attributes).to_string())
}

#[cfg(test)]
mod tests;
