//! Readings that a claim has read, until their batch is sent for the first time.

use std::collections::HashMap;

use crate::domain::reading::StoredReading;

/// What it holds at most, in bytes. Batches behind that are read again when they go: they wait for a receiver that is away or slow.
const MOST_BYTES: usize = 2 << 20;

/// Of a reading, beside its texts.
const OTHER_BYTES: usize = 128;

/// By the numbers of their batches.
#[derive(Debug, Default)]
pub(super) struct Kept {
    batches: HashMap<i64, Vec<StoredReading>>,
    bytes: usize,
}

impl Kept {
    /// Keeps the readings of a batch if there is room.
    pub(super) fn keep(&mut self, batch: i64, readings: Vec<StoredReading>) {
        let bytes = bytes_of(&readings);
        if self.bytes + bytes <= MOST_BYTES {
            self.bytes += bytes;
            self.batches.insert(batch, readings);
        }
    }

    /// Gives the readings of a batch back, if they were kept.
    pub(super) fn take(&mut self, batch: i64) -> Option<Vec<StoredReading>> {
        let readings = self.batches.remove(&batch)?;
        self.bytes -= bytes_of(&readings);
        Some(readings)
    }
}

fn bytes_of(readings: &[StoredReading]) -> usize {
    let texts = |one: &StoredReading| {
        one.sensor_id.as_str().len() + one.tags.get().len() + one.attributes.get().len()
    };
    readings.iter().map(|one| texts(one) + OTHER_BYTES).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::domain::reading::ReadingId;
    use crate::domain::sensor::SensorId;
    use crate::domain::timestamp::Timestamp;

    fn reading(attribute_bytes: usize) -> StoredReading {
        let attributes = format!("{{\"a\":\"{}\"}}", ".".repeat(attribute_bytes));
        StoredReading {
            id: ReadingId(1),
            sensor_id: SensorId::new("s1").unwrap(),
            value: 80.0,
            ts: Timestamp::from_millis(1),
            received_at: Timestamp::from_millis(1),
            tags: RawValue::from_string("[]".to_owned()).unwrap(),
            attributes: RawValue::from_string(attributes).unwrap(),
        }
    }

    #[test]
    fn a_batch_is_given_back_once_and_makes_room() {
        let mut kept = Kept::default();
        let most = || vec![reading(MOST_BYTES / 2)];
        kept.keep(1, most());
        kept.keep(2, most());
        assert!(kept.take(2).is_none(), "there was no room");
        assert_eq!(kept.take(1).map(|readings| readings.len()), Some(1));
        assert!(kept.take(1).is_none());
        assert_eq!(kept.bytes, 0);
        kept.keep(2, most());
        assert!(kept.take(2).is_some());
    }
}
