//! Which readings go together. Pure.

use super::payload::{self, Sender};
use crate::background::give_way_at;
use crate::config::{self, Format};
use crate::domain::reading::{ReadingId, StoredReading};

/// What is to be recorded.
#[derive(Debug, Default)]
pub(super) struct Cut {
    pub(super) batches: Vec<Vec<ReadingId>>,
    /// It gains nothing by waiting for more readings.
    pub(super) is_full: bool,
    /// Of all of them, before compression.
    pub(super) bytes: usize,
}

/// Cuts a batch off readings, oldest first, within the limits of size and count. Where the receiver wants readings one by one,
/// each is a batch of its own. A reading that is larger than the limit goes alone.
pub(super) fn cut(
    readings: &[StoredReading],
    sender: Sender<'_>,
    max_bytes: usize,
    config: &config::Uplink,
) -> Cut {
    let sizes = readings.iter().enumerate().map(|(number, reading)| {
        give_way_at(number);
        payload::size_of(sender, config.format, reading)
    });
    if config.format == Format::Single {
        return Cut {
            batches: readings.iter().map(|reading| vec![reading.id]).collect(),
            is_full: config.batch_max_readings <= readings.len(),
            bytes: sizes.sum(),
        };
    }
    let mut batch = Vec::new();
    let mut bytes = payload::envelope_size(sender, config.format);
    let mut is_full = false;
    for (reading, size) in readings.iter().zip(sizes) {
        is_full = !batch.is_empty() && max_bytes < bytes + size;
        if is_full {
            break;
        }
        batch.push(reading.id);
        bytes += size;
        is_full = config.batch_max_readings <= batch.len() || max_bytes <= bytes;
        if is_full {
            break;
        }
    }
    Cut {
        batches: if batch.is_empty() {
            Vec::new()
        } else {
            vec![batch]
        },
        is_full,
        bytes,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::config::{Config, Uplink};
    use crate::domain::sensor::SensorId;
    use crate::domain::timestamp::Timestamp;

    fn cloud(format: &str, bytes: &str) -> Uplink {
        let settings = [
            ("URL", "https://cloud.example.com/"),
            ("FORMAT", format),
            ("BATCH_MAX_BYTES", bytes),
            ("BATCH_MAX_READINGS", "100"),
        ];
        let environment = settings
            .map(|(key, value)| (format!("EDGE_GATEWAY_CLOUD__{key}"), value.to_owned()))
            .into_iter();
        let config = Config::load(None, environment).unwrap();
        config.uplinks[0].clone()
    }

    fn readings(count: i64) -> Vec<StoredReading> {
        let reading = |id| StoredReading {
            id: ReadingId(id),
            sensor_id: SensorId::new("s1").unwrap(),
            value: 80.0,
            ts: Timestamp::from_millis(1_764_000_000_000),
            received_at: Timestamp::from_millis(1_764_000_000_003),
            tags: RawValue::from_string("[]".to_owned()).unwrap(),
            attributes: RawValue::from_string("{}".to_owned()).unwrap(),
        };
        (1..=count).map(reading).collect()
    }

    const SENDER: Sender<'_> = Sender {
        gateway_id: "edge-1",
        store_id: "0123456789abcdef",
    };

    #[test]
    fn a_body_is_never_larger_than_its_limit() {
        for most in [1024, 1100, 1500, 2048] {
            for format in ["batch", "ndjson", "influx", "thingsboard"] {
                let stored = readings(90);
                let cut = cut(&stored, SENDER, most, &cloud(format, "1KiB"));
                let batch = &stored[..cut.batches[0].len()];
                let body = payload::encode(SENDER, i64::MAX, format, "none", batch).unwrap();
                assert!(body.bytes.len() <= most, "{} of {most}", body.bytes.len());
                assert!(cut.is_full);
            }
        }
    }

    #[test]
    fn a_batch_is_full_by_count_or_by_bytes() {
        let cloud = |format| cloud(format, "1MiB");
        let check = |count: i64, bytes: usize, sizes: &[usize], is_full: bool| {
            let cut = cut(&readings(count), SENDER, bytes, &cloud("batch"));
            let found: Vec<usize> = cut.batches.iter().map(Vec::len).collect();
            assert_eq!((&*found, cut.is_full), (sizes, is_full), "{count} {bytes}");
        };
        check(0, 1 << 20, &[], false);
        check(99, 1 << 20, &[99], false);
        check(100, 1 << 20, &[100], true);
        check(250, 1 << 20, &[100], true);
        check(1, 1024, &[1], false);
        check(8, 1024, &[8], false);
        check(9, 1024, &[8], true);
        check(3, 10, &[1], true);
        let single = cut(&readings(3), SENDER, 1024, &cloud("single"));
        assert_eq!((single.batches.len(), single.is_full), (3, false));
    }
}
