//! What a publish says: a reading, or a device's status. It knows neither broker nor store.

use std::{
    str,
    time::{SystemTime, UNIX_EPOCH},
};

use rumqttd::protocol::Publish;
use serde::{Deserialize, Serialize};

const ALERT_ABOVE: f64 = 75.0;
const FORWARD_ABOVE: f64 = 50.0;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reading {
    pub(crate) sensor_id: String,
    pub(crate) value: f64,
    /// The only attribute that the fleet sends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seq: Option<i64>,
}

impl Reading {
    pub(crate) fn raises_alert(&self) -> bool {
        ALERT_ABOVE < self.value
    }

    pub(crate) fn is_forwarded(&self) -> bool {
        FORWARD_ABOVE < self.value
    }
}

#[derive(Debug, PartialEq)]
pub(crate) enum Arrived {
    Reading(Reading),
    Status { device_id: String, status: String },
}

/// `None` for what is neither.
pub(crate) fn decode(publish: &Publish) -> Option<Arrived> {
    decode_parts(str::from_utf8(&publish.topic).ok()?, &publish.payload)
}

fn decode_parts(topic: &str, payload: &[u8]) -> Option<Arrived> {
    if let Some(device_id) = topic.strip_prefix("status/") {
        #[derive(Deserialize)]
        struct Object {
            status: String,
        }
        let status = match serde_json::from_slice(payload) {
            Ok(Object { status }) => status,
            Err(_) => str::from_utf8(payload).ok()?.to_owned(),
        };
        return Some(Arrived::Status {
            device_id: device_id.to_owned(),
            status,
        });
    }
    serde_json::from_slice(payload).ok().map(Arrived::Reading)
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_and_statuses_are_told_apart_by_their_topic() {
        let reading = br#"{"sensor_id":"s1","value":80.0,"seq":7}"#;
        let Some(Arrived::Reading(reading)) = decode_parts("sensors/s1", reading) else {
            panic!("no reading");
        };
        assert_eq!((reading.value, reading.seq), (80.0, Some(7)));
        assert!(reading.raises_alert() && reading.is_forwarded());
        for payload in [&b"online"[..], br#"{"status":"online"}"#] {
            let (device_id, status) = ("d1".to_owned(), "online".to_owned());
            assert_eq!(
                decode_parts("status/d1", payload),
                Some(Arrived::Status { device_id, status })
            );
        }
        assert_eq!(decode_parts("sensors/s1", b"{"), None);
    }
}
