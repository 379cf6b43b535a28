//! `thingsboard`: telemetry of a gateway's devices (<https://thingsboard.io/docs/reference/gateway-mqtt-api/>), a sensor each:
//! `{"s1":[{"ts":…,"values":{"value":…,"reading_id":…,…}}]}`. Attributes become values of their names.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Value};

use crate::domain::reading::{ReadingId, StoredReading};
use crate::domain::timestamp::Timestamp;

#[derive(Serialize)]
struct Point {
    ts: Timestamp,
    values: Values,
}

#[derive(Serialize)]
struct Values {
    value: f64,
    reading_id: ReadingId,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(flatten)]
    attributes: Map<String, Value>,
}

/// Sensors in the order of their first readings.
struct Devices<'r>(Vec<(&'r str, Vec<Point>)>);

impl Serialize for Devices<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, points) in &self.0 {
            map.serialize_entry(name, points)?;
        }
        map.end()
    }
}

pub(super) fn encode(readings: &[StoredReading]) -> serde_json::Result<Vec<u8>> {
    let mut devices = Devices(Vec::new());
    let mut places = std::collections::HashMap::new();
    for reading in readings {
        let name = reading.sensor_id.as_str();
        let place = *places.entry(name).or_insert_with(|| {
            devices.0.push((name, Vec::new()));
            devices.0.len() - 1
        });
        devices.0[place].1.push(point(reading)?);
    }
    serde_json::to_vec(&devices)
}

fn point(reading: &StoredReading) -> serde_json::Result<Point> {
    let mut attributes: Map<String, Value> = serde_json::from_str(reading.attributes.get())?;
    for own in ["value", "reading_id", "tags"] {
        attributes.remove(own);
    }
    Ok(Point {
        ts: reading.ts,
        values: Values {
            value: reading.value,
            reading_id: reading.id,
            tags: serde_json::from_str(reading.tags.get())?,
            attributes,
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;
    use serde_json::{Value, json};

    use crate::domain::sensor::SensorId;
    use crate::forwarder::payload::tests::{plain, reading};

    #[test]
    fn each_sensor_is_a_device_with_its_points() {
        let mut other = reading(346);
        other.sensor_id = SensorId::new("hall/temperature").unwrap();
        other.tags = RawValue::from_string("[]".to_owned()).unwrap();
        other.attributes =
            RawValue::from_string(r#"{"room":"b1","deep":{"a":[1]},"value":"x"}"#.to_owned())
                .unwrap();
        let text = plain("thingsboard", &[reading(345), other, reading(347)]);
        let found: Value = serde_json::from_str(&text).unwrap();
        let high = |id| json!({"ts": 1_764_000_000_000_i64, "values": {"value": 80.0, "reading_id": id, "tags": ["high"], "seq": 7}});
        let expected = json!({
            "s1": [high(345), high(347)],
            "hall/temperature": [{
                "ts": 1_764_000_000_000_i64,
                "values": {"value": 80.0, "reading_id": 346, "room": "b1", "deep": {"a": [1]}},
            }],
        });
        assert_eq!(found, expected);
        assert!(text.starts_with("{\"s1\":"), "{text}");
    }
}
