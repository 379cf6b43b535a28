//! Readings in JSON: an object with `value`, an object of several numbers, an array of objects.

use std::{borrow::Cow, fmt, fmt::Write};

use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{Decoded, Fault, Faults, Origin, finite, shown, timestamp, topic_sensor, whole};
use crate::domain::{
    reading::{Attributes, Reading},
    sensor::SensorId,
    timestamp::Timestamp,
};

/// Reads an object or an array; of an array the bad elements are faults alone.
pub(super) fn decode(text: &str, origin: Origin<'_>) -> Decoded {
    if text.starts_with('{') {
        return match decode_object(text, origin, &mut 0) {
            Ok(readings) => Decoded {
                readings,
                ..Decoded::default()
            },
            Err(fault) => whole(fault),
        };
    }
    let elements = match serde_json::from_str::<Vec<&RawValue>>(text) {
        Ok(elements) => elements,
        Err(error) => return whole(Fault::NotJson(error.to_string())),
    };
    if elements.is_empty() {
        return whole(Fault::EmptyArray);
    }
    let mut readings = Vec::new();
    let (mut copied, mut faults) = (0, Faults::default());
    for element in elements {
        match decode_element(element.get(), origin, &mut copied) {
            Ok(decoded) => readings.extend(decoded),
            Err(fault) => faults.add(fault, || element.get().into()),
        }
    }
    Decoded {
        readings,
        faults: faults.told(),
        ..Decoded::default()
    }
}

/// Why a request's body is not taken: nothing of it is.
#[derive(Debug, PartialEq)]
pub enum RequestFault {
    /// It is no JSON.
    NotJson(String),
    /// A reading of it is bad: its place in the array, and why.
    Bad { index: usize, fault: Fault },
}

/// Reads an object or an array of them, all or nothing; each must name its sensor.
pub fn decode_request(body: &[u8], now: Timestamp) -> Result<Vec<Reading>, RequestFault> {
    let not_json = |error: serde_json::Error| RequestFault::NotJson(error.to_string());
    let whole: &RawValue = serde_json::from_slice(body).map_err(not_json)?;
    let origin = Origin { topic: None, now };
    let mut copied = 0;
    let bad = |index| move |fault| RequestFault::Bad { index, fault };
    if !whole.get().starts_with('[') {
        return decode_element(whole.get(), origin, &mut copied).map_err(bad(0));
    }
    let elements: Vec<&RawValue> = serde_json::from_str(whole.get()).map_err(not_json)?;
    if elements.is_empty() {
        return Err(bad(0)(Fault::EmptyArray));
    }
    let mut readings = Vec::with_capacity(elements.len());
    for (index, element) in elements.iter().enumerate() {
        readings.extend(decode_element(element.get(), origin, &mut copied).map_err(bad(index))?);
    }
    Ok(readings)
}

/// Reads an object on each line, all or nothing; each must name its sensor. Blank lines are nothing.
pub fn decode_lines(body: &[u8], now: Timestamp) -> Result<Vec<Reading>, RequestFault> {
    let text =
        std::str::from_utf8(body).map_err(|error| RequestFault::NotJson(error.to_string()))?;
    let origin = Origin { topic: None, now };
    let (mut readings, mut copied) = (Vec::new(), 0);
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let element: &RawValue = serde_json::from_str(line).map_err(|error| {
            let (line, text) = (index + 1, error.to_string());
            let (what, column) = (text.split(" at line ").next(), error.column());
            let what = what.unwrap_or_default();
            RequestFault::NotJson(format!("{what} at line {line} column {column}"))
        })?;
        let decoded = decode_element(element.get(), origin, &mut copied);
        readings.extend(decoded.map_err(|fault| RequestFault::Bad { index, fault })?);
    }
    if readings.is_empty() {
        return Err(RequestFault::Bad {
            index: 0,
            fault: Fault::Empty,
        });
    }
    Ok(readings)
}

/// The `status` of a JSON object.
pub(super) fn status_of(text: &str) -> Result<String, Fault> {
    #[derive(Deserialize)]
    struct Status {
        status: String,
    }
    serde_json::from_str::<Status>(text)
        .map(|parsed| parsed.status)
        .map_err(|error| Fault::BadStatus(error.to_string()))
}

/// `copied` counts the bytes of attributes that several readings share, over the whole payload.
fn decode_element(
    text: &str,
    origin: Origin<'_>,
    copied: &mut usize,
) -> Result<Vec<Reading>, Fault> {
    match text.as_bytes().first() {
        Some(b'{') => decode_object(text, origin, copied),
        Some(b'[') => Err(Fault::WrongShape("an array in an array")),
        Some(b'"') => Err(Fault::WrongShape("a text")),
        Some(b't' | b'f') => Err(Fault::WrongShape("a bool")),
        Some(b'n') => Err(Fault::WrongShape("null")),
        _ => Err(Fault::WrongShape("a number")),
    }
}

fn decode_object(
    text: &str,
    origin: Origin<'_>,
    copied: &mut usize,
) -> Result<Vec<Reading>, Fault> {
    let members: Members<'_> =
        serde_json::from_str(text).map_err(|error| Fault::NotJson(error.to_string()))?;
    let mut known = Known::default();
    for (name, json) in &members.0 {
        if is_too_deep(json) {
            return Err(Fault::TooDeep);
        }
        let slot = match &**name {
            "value" => &mut known.value,
            "sensor_id" => &mut known.sensor_id,
            "id" => &mut known.id,
            "ts" => &mut known.ts,
            _ if is_readable(json) => continue,
            _ => return Err(Fault::Unreadable(shown(json))),
        };
        if slot.replace(json).is_some() {
            return Err(Fault::Twice(known_name(name)));
        }
    }
    let ts = match known.ts {
        None => origin.now,
        Some(json) => timestamp::parse_json(json).ok_or_else(|| Fault::BadTime(shown(json)))?,
    };
    let sensor_name = known.sensor_name()?;
    match known.value {
        Some(json) => decode_single(&members, &known, json, sensor_name.as_deref(), ts, origin),
        None => {
            let several = decode_several(&members, &known, sensor_name.as_deref(), ts, origin)?;
            let attributes = several.iter().map(|reading| reading.attributes.stored());
            *copied += attributes.flatten().map(str::len).sum::<usize>();
            if MAX_COPIED_BYTES < *copied {
                return Err(Fault::TooManyCopies);
            }
            Ok(several)
        }
    }
}

fn decode_single(
    members: &Members<'_>,
    known: &Known<'_>,
    value: &str,
    sensor_name: Option<&str>,
    ts: Timestamp,
    origin: Origin<'_>,
) -> Result<Vec<Reading>, Fault> {
    let value = finite(value).ok_or_else(|| Fault::BadValue {
        name: "value".to_owned(),
        found: shown(value),
    })?;
    let sensor_id = match sensor_name {
        Some(name) => SensorId::new(name)?,
        None => topic_sensor(origin)?,
    };
    let attributes = members.attributes(|name, _| name != "value" && !known.is_consumed(name));
    Ok(vec![Reading {
        sensor_id,
        value,
        ts,
        received_at: origin.now,
        attributes,
        topic: origin.topic.cloned(),
    }])
}

/// Attributes are stored with each reading of an object: beyond so many bytes in all that is no use but an attack.
const MAX_COPIED_BYTES: usize = 256 << 10;

/// Numbers in an object without `value`: each makes a sensor.
const MAX_NUMBERS: usize = 256;

/// One reading for each number; what is no number goes along as attributes.
fn decode_several(
    members: &Members<'_>,
    known: &Known<'_>,
    sensor_name: Option<&str>,
    ts: Timestamp,
    origin: Origin<'_>,
) -> Result<Vec<Reading>, Fault> {
    let is_number = |json: &str| json.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    let base = match (sensor_name, origin.topic) {
        (Some(name), _) => name,
        (None, Some(topic)) => topic.last_level(),
        (None, None) => return Err(Fault::NoSensor),
    };
    let attributes = members.attributes(|name, json| !known.is_consumed(name) && !is_number(json));
    let mut readings = Vec::new();
    for (name, json) in &members.0 {
        if known.is_consumed(name) || !is_number(json) {
            continue;
        }
        if MAX_NUMBERS <= readings.len() {
            return Err(Fault::TooManyNumbers);
        }
        readings.push(Reading {
            sensor_id: SensorId::new(&format!("{base}/{name}"))?,
            value: finite(json).ok_or_else(|| Fault::BadValue {
                name: name.to_string(),
                found: shown(json),
            })?,
            ts,
            received_at: origin.now,
            attributes: attributes.clone(),
            topic: origin.topic.cloned(),
        });
    }
    if readings.is_empty() {
        return Err(Fault::NoValue);
    }
    Ok(readings)
}

/// The members that have a meaning of their own, as JSON text.
#[derive(Default)]
struct Known<'j> {
    value: Option<&'j str>,
    sensor_id: Option<&'j str>,
    id: Option<&'j str>,
    ts: Option<&'j str>,
}

impl<'j> Known<'j> {
    /// `sensor_id`, else `id` as text; a number is taken as its decimal text.
    fn sensor_name(&self) -> Result<Option<Cow<'j, str>>, Fault> {
        let named = [("sensor_id", self.sensor_id), ("id", self.id)];
        let Some((name, json)) = named
            .into_iter()
            .find_map(|(name, json)| Some((name, json?)))
        else {
            return Ok(None);
        };
        if json.starts_with('"') {
            return match serde_json::from_str::<Text<'j>>(json) {
                Ok(Text(text)) => Ok(Some(text)),
                Err(error) => Err(Fault::NotJson(error.to_string())),
            };
        }
        if finite(json).is_some() {
            return Ok(Some(Cow::Borrowed(json)));
        }
        Err(Fault::BadSensorType {
            name,
            found: shown(json),
        })
    }

    /// Whether the member names the sensor or the time; `id` beside `sensor_id` is an attribute.
    fn is_consumed(&self, name: &str) -> bool {
        matches!(name, "sensor_id" | "ts") || (name == "id" && self.sensor_id.is_none())
    }
}

/// Attributes travel on as they are, and readers behind the gateway must be able to read them.
fn is_too_deep(json: &str) -> bool {
    const MAX_DEPTH: usize = 32;
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    json.starts_with(['[', '{'])
        && json.bytes().any(|byte| {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = is_text,
                b'"' => is_text = !is_text,
                b'[' | b'{' if !is_text => depth += 1,
                b']' | b'}' if !is_text => depth = depth.saturating_sub(1),
                _ => {}
            }
            MAX_DEPTH < depth
        })
}

/// Raw JSON lets through texts with half a surrogate pair and numbers beyond the range of a float, which readers behind
/// the gateway refuse together with all that stands around them.
fn is_readable(json: &str) -> bool {
    const LONG_NUMBER: usize = 300;
    let is_plain = !json.contains(['\\', 'e', 'E']) && json.len() < LONG_NUMBER;
    is_plain || serde_json::from_str::<serde_json::Value>(json).is_ok()
}

fn known_name(name: &str) -> &'static str {
    match name {
        "value" => "value",
        "sensor_id" => "sensor_id",
        "id" => "id",
        _ => "ts",
    }
}

/// The members of an object in their order, each value as its JSON text, so that attributes travel as they came.
struct Members<'j>(Vec<(Cow<'j, str>, &'j str)>);

impl Members<'_> {
    fn attributes(&self, is_wanted: impl Fn(&str, &str) -> bool) -> Attributes {
        let mut object = String::new();
        for (name, json) in &self.0 {
            if !is_wanted(name, json) {
                continue;
            }
            object.push(if object.is_empty() { '{' } else { ',' });
            let plain = !name.contains(['"', '\\']) && !name.chars().any(char::is_control);
            if plain {
                write!(object, "\"{name}\":{json}").ok();
            } else {
                let quoted = serde_json::Value::from(name.as_ref());
                write!(object, "{quoted}:{json}").ok();
            }
        }
        if object.is_empty() {
            return Attributes::default();
        }
        object.push('}');
        Attributes::from_json(object)
    }
}

/// A text that borrows from its JSON where it has no escapes.
#[derive(Deserialize)]
struct Text<'j>(#[serde(borrow)] Cow<'j, str>);

impl<'de: 'j, 'j> Deserialize<'de> for Members<'j> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(4);
                while let Some((Text(name), json)) = map.next_entry::<Text<'de>, &RawValue>()? {
                    members.push((name, json.get()));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}
