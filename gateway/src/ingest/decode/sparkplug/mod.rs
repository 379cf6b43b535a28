//! Sparkplug B (Sparkplug 3.0.0): what nodes and devices publish of themselves, in the words of the gateway. A metric with a number
//! is a reading of the sensor `<group>/<node>[/<device>]/<metric>`; births and deaths are statuses. Texts, times, bytes, data sets and
//! templates are passed over, as are nulls and what nodes have for control.
//!
//! `payload` is made from `payload.proto` (a test makes it again), `topic` and `value` know what stands where, `place` reads a message,
//! `births` remembers.

mod births;
#[rustfmt::skip]
#[allow(clippy::all, clippy::pedantic, unreachable_pub, reason = "made by prost")]
mod payload;
mod place;
mod topic;
mod value;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prost::Message as _;
use prost::bytes::Bytes;

use self::births::{Births, Full, Metrics};
use self::payload::{Metric, Payload, metric};
use self::place::{Birth, Place, decode_metric, name, not_sparkplug, number};
use self::topic::{Kind, Subject};
use super::{Decoded, Fault, Origin, new_status, whole};
use crate::domain::message::{Message, Qos};
use crate::domain::status::DeviceStatus;
use crate::domain::topic::TopicName;

/// How a node's session is numbered, in its birth and its death.
const SESSION: &str = "bdSeq";

/// What a node is asked by (section 6.4.23).
const REBIRTH: &str = "Node Control/Rebirth";

/// The `uuid` of a payload that is packed, by convention of Sparkplug's first libraries.
const COMPRESSED: &str = "SPBV1.0_COMPRESSED";

const ONLINE: &str = "online";
const OFFLINE: &str = "offline";

/// Whether what is published there is for others than the gateway.
pub(in crate::ingest) fn is_for_others(topic: &TopicName) -> bool {
    topic::is_for_others(topic.as_str())
}

/// Nodes: what they say is read with what they said before.
#[derive(Debug, Default)]
pub(in crate::ingest) struct Nodes(Mutex<Births>);

impl Nodes {
    /// From before the gateway was started, the devices and what was their last word: without it a death would not reach them.
    pub(in crate::ingest) fn recall(&self, statuses: Vec<(String, String)>) {
        let online = statuses.into_iter().filter(|(_, said)| said == ONLINE);
        self.births()
            .recall(online.map(|(device, _)| device.into()));
    }

    /// Reads a message when it comes, those of one client in their order.
    pub(in crate::ingest) fn take(&self, message: &Message) -> Decoded {
        let decoded = self.taken(message).unwrap_or_else(whole);
        Decoded {
            // Others may make of it what the gateway cannot.
            is_for_others: true,
            ..decoded
        }
    }

    /// Reads a message once more, later: it says nothing new of its node.
    pub(in crate::ingest) fn read(&self, payload: &[u8], origin: Origin<'_>) -> Decoded {
        let read = || {
            let (kind, place) = Place::of(origin)?;
            let payload = unpack(kind, payload)?;
            match kind {
                Kind::Birth => place.birth(&payload).map(|birth| birth.decoded),
                Kind::Data => {
                    let metrics = self.births().metrics(&place.node, place.subject.device);
                    // Another birth may have had other aliases.
                    let metrics = metrics.filter(|metrics| metrics.explain(origin.now));
                    place.data(&payload, metrics.as_deref())
                }
                Kind::Death => Ok(Decoded::default()),
            }
        };
        read().unwrap_or_else(whole)
    }

    fn taken(&self, message: &Message) -> Result<Decoded, Fault> {
        let (kind, place) = Place::of(Origin::of(message))?;
        let payload = unpack(kind, message.payload.as_slice())?;
        match (kind, place.subject.device) {
            (Kind::Birth, None) => self.node_is_born(&place, &payload, message),
            (Kind::Birth, Some(device)) => self.device_is_born(&place, device, &payload),
            (Kind::Data, _) => Ok(self.data(&place, &payload)),
            (Kind::Death, Some(device)) => {
                let mut births = self.births();
                let seen = births.see(&place.node, None, payload.seq);
                births.device_is_dead(&place.node, device);
                drop(births);
                let dead = place.with_status(Decoded::default(), OFFLINE)?;
                Ok(self.asking(&place, dead, seen.has_gap))
            }
            (Kind::Death, None) => {
                let (session, publisher) = (session(&payload), &message.publisher);
                let gone = self.births().node_is_dead(&place.node, session, publisher);
                let Some(devices) = gone else {
                    return Ok(Decoded::default());
                };
                let dead = place.with_status(Decoded::default(), OFFLINE)?;
                place.with_offline(dead, &devices)
            }
        }
    }

    fn node_is_born(
        &self,
        place: &Place<'_>,
        payload: &Payload,
        message: &Message,
    ) -> Result<Decoded, Fault> {
        let read = place.birth(payload);
        let session = births::Session {
            number: read.as_ref().ok().and_then(|birth| birth.session),
            next: payload.seq.map(births::after),
            publisher: Arc::clone(&message.publisher),
            at: place.origin.now,
        };
        let (metrics, decoded) = apart(read);
        let (gone, born) = self.births().node_is_born(&place.node, session, metrics);
        let online = place.with_status(kept(born, decoded), ONLINE)?;
        place.with_offline(online, &gone)
    }

    fn device_is_born(
        &self,
        place: &Place<'_>,
        device: &str,
        payload: &Payload,
    ) -> Result<Decoded, Fault> {
        let (metrics, decoded) = apart(place.birth(payload));
        let (seen, born) = {
            let mut births = self.births();
            let seen = births.see(&place.node, None, payload.seq);
            let now = place.origin.now;
            (
                seen,
                births.device_is_born(&place.node, device, metrics, now),
            )
        };
        let online = place.with_status(kept(born, decoded), ONLINE)?;
        Ok(self.asking(place, online, seen.has_gap))
    }

    fn data(&self, place: &Place<'_>, payload: &Payload) -> Decoded {
        let device = place.subject.device;
        let seen = self.births().see(&place.node, device, payload.seq);
        let data = place.data(payload, seen.metrics.as_deref());
        let is_needed = seen.has_gap || seen.metrics.is_none() || data.is_err();
        let decoded = data.unwrap_or_else(|fault| match fault {
            Fault::NoBirth if seen.is_refused => whole(Fault::TooManyMetrics),
            fault => whole(fault),
        });
        self.asking(place, decoded, is_needed)
    }

    /// With the request for its births, if a node has to be asked.
    fn asking(&self, place: &Place<'_>, decoded: Decoded, is_needed: bool) -> Decoded {
        let may = is_needed && self.births().may_ask(&place.node, place.origin.now);
        Decoded {
            request: may.then(|| place.request()).flatten(),
            ..decoded
        }
    }

    fn births(&self) -> MutexGuard<'_, Births> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn apart(birth: Result<Birth, Fault>) -> (Result<Metrics, Full>, Decoded) {
    match birth {
        Ok(birth) => (Ok(birth.metrics), birth.decoded),
        Err(fault) => (Err(Full), whole(fault)),
    }
}

/// What came out of a birth, unless there was no room for it.
fn kept(born: Result<(), Full>, decoded: Decoded) -> Decoded {
    born.map_or_else(|Full| whole(Fault::TooManyMetrics), |()| decoded)
}

impl Place<'_> {
    fn with_status(&self, mut decoded: Decoded, status: &str) -> Result<Decoded, Fault> {
        decoded.statuses.push(self.status(&self.subject, status)?);
        Ok(decoded)
    }

    /// With the word that devices of the node are gone.
    fn with_offline(&self, mut decoded: Decoded, devices: &[Box<str>]) -> Result<Decoded, Fault> {
        for device in devices {
            let subject = Subject {
                device: Some(device),
                ..self.subject
            };
            decoded.statuses.push(self.status(&subject, OFFLINE)?);
        }
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

fn unpack(kind: Kind, payload: &[u8]) -> Result<Payload, Fault> {
    // Some wills are: they have nothing to say but that it is over.
    if payload.is_empty() && kind != Kind::Death {
        return Err(Fault::Empty);
    }
    let payload = Payload::decode(Bytes::copy_from_slice(payload)).map_err(not_sparkplug)?;
    if payload.uuid.as_deref() == Some(COMPRESSED) {
        let compressed = "it is compressed, which the specification does not know: switch that off";
        return Err(Fault::NotSparkplug(compressed.to_owned()));
    }
    Ok(payload)
}

/// The number of the session that ends with a node's death.
fn session(death: &Payload) -> Option<u8> {
    let metrics = death.metrics.iter();
    let mut metrics = metrics.filter_map(|bytes| decode_metric(bytes).ok());
    number(&metrics.find(|metric| name(metric) == Some(SESSION))?)
}

#[cfg(test)]
mod tests;
