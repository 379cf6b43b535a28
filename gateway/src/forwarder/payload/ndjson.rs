//! `ndjson`: a JSON object on each line, a reading with who sends it (<https://github.com/ndjson/ndjson-spec>).

use serde::Serialize;
use serde_json::value::RawValue;

use super::Sender;
use crate::domain::reading::{ReadingId, StoredReading};
use crate::domain::sensor::SensorId;
use crate::domain::timestamp::Timestamp;

pub(super) const CONTENT_TYPE: &str = "application/x-ndjson";

#[derive(Serialize)]
struct Line<'l> {
    gateway_id: &'l str,
    store_id: &'l str,
    id: ReadingId,
    sensor_id: &'l SensorId,
    value: f64,
    ts: Timestamp,
    received_at: Timestamp,
    tags: &'l RawValue,
    attributes: &'l RawValue,
}

pub(super) fn encode(
    sender: Sender<'_>,
    readings: &[StoredReading],
) -> serde_json::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for reading in readings {
        let line = Line {
            gateway_id: sender.gateway_id,
            store_id: sender.store_id,
            id: reading.id,
            sensor_id: &reading.sensor_id,
            value: reading.value,
            ts: reading.ts,
            received_at: reading.received_at,
            tags: &reading.tags,
            attributes: &reading.attributes,
        };
        serde_json::to_writer(&mut lines, &line)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use crate::forwarder::payload::tests::{SENDER, plain, reading};

    #[test]
    fn each_line_is_a_reading_with_who_sends_it() {
        let text = plain("ndjson", &[reading(345), reading(346)]);
        let line = |id| {
            format!(
                r#"{{"gateway_id":"edge-1","store_id":"{}","id":{id},"sensor_id":"s1","value":80.0,"ts":1764000000000,"received_at":1764000000003,"tags":["high"],"attributes":{{"seq":7}}}}"#,
                SENDER.store_id
            )
        };
        assert_eq!(text, format!("{}\n{}\n", line(345), line(346)));
    }
}
