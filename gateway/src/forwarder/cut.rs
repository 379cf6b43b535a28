//! Which readings go together. Pure.

use super::payload;
use crate::config::{Cloud, Format};
use crate::domain::reading::{ReadingId, StoredReading};

/// What is to be recorded.
#[derive(Debug, Default)]
pub(super) struct Cut {
    pub(super) batches: Vec<Vec<ReadingId>>,
    /// Nothing is gained by waiting for more readings.
    pub(super) is_full: bool,
}

/// Cuts readings, oldest first, into what is to be recorded: one batch within the limits of size and count, or a batch
/// for each reading where the receiver wants them one by one. A reading that is larger than the limit goes alone.
/// `envelope` is the size of a batch without readings.
pub(super) fn cut(readings: &[StoredReading], envelope: usize, config: &Cloud) -> Cut {
    let ids = readings.iter().map(|reading| reading.id);
    let is_full = config.batch_max_readings <= readings.len();
    match config.format {
        Format::Single => Cut {
            batches: ids.map(|id| vec![id]).collect(),
            is_full,
        },
        Format::Batch => {
            let mut bytes = envelope;
            let fitting = readings.iter().take_while(|reading| {
                bytes += payload::size_of(reading);
                bytes <= config.batch_max_bytes
            });
            let count = fitting.count().clamp(1, config.batch_max_readings);
            let batch: Vec<ReadingId> = ids.take(count).collect();
            Cut {
                is_full: is_full || config.batch_max_bytes < bytes,
                batches: Vec::from_iter((!batch.is_empty()).then_some(batch)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::config::Config;
    use crate::domain::sensor::SensorId;
    use crate::domain::timestamp::Timestamp;

    fn cloud(format: &str, bytes: &str) -> Cloud {
        let settings = [
            ("URL", "https://cloud.example.com/"),
            ("FORMAT", format),
            ("BATCH_MAX_BYTES", bytes),
            ("BATCH_MAX_READINGS", "100"),
        ];
        let environment = settings
            .map(|(key, value)| (format!("EDGE_GATEWAY_CLOUD__{key}"), value.to_owned()))
            .into_iter();
        Config::load(None, environment).unwrap().cloud.unwrap()
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

    #[test]
    fn a_body_is_never_larger_than_its_limit() {
        let sender = payload::Sender {
            gateway_id: "edge-1",
            store_id: "0123456789abcdef",
        };
        let envelope = payload::envelope_size(sender);
        for most in [1024, 1100, 1500, 2048] {
            let stored = readings(90);
            let cut = cut(&stored, envelope, &cloud("batch", &format!("{most}B")));
            let batch = &stored[..cut.batches[0].len()];
            let body = payload::encode(sender, i64::MAX, "batch", "none", batch).unwrap();
            assert!(body.bytes.len() <= most, "{} of {most}", body.bytes.len());
            assert!(cut.is_full);
        }
    }

    #[test]
    fn a_batch_is_full_by_count_or_by_bytes() {
        let check = |count: i64, bytes: &str, batches: usize, is_full: bool| {
            let cut = cut(&readings(count), 100, &cloud("batch", bytes));
            assert_eq!((cut.batches.len(), cut.is_full), (batches, is_full));
        };
        check(0, "1MiB", 0, false);
        check(99, "1MiB", 1, false);
        check(100, "1MiB", 1, true);
        check(1, "1KiB", 1, false);
        check(50, "1KiB", 1, true);
        let single = cut(&readings(3), 100, &cloud("single", "1KiB"));
        assert_eq!(single.batches.len(), 3);
    }
}
