//! Which readings go together. Pure.

use super::payload;
use crate::config::{Cloud, Format};
use crate::domain::reading::{ReadingId, StoredReading};

/// Cuts readings, oldest first, into what is to be recorded: one batch within the limits of size and count, or a batch
/// for each reading where the receiver wants them one by one. A reading that is larger than the limit goes alone.
pub(super) fn cut(readings: &[StoredReading], config: &Cloud) -> Vec<Vec<ReadingId>> {
    let ids = readings.iter().map(|reading| reading.id);
    match config.format {
        Format::Single => ids.map(|id| vec![id]).collect(),
        Format::Batch => {
            let mut bytes = 0;
            let fitting = readings.iter().take_while(|reading| {
                bytes += payload::size_of(reading);
                bytes <= config.batch_max_bytes
            });
            let count = fitting.count().clamp(1, config.batch_max_readings);
            let batch: Vec<ReadingId> = ids.take(count).collect();
            if batch.is_empty() {
                Vec::new()
            } else {
                vec![batch]
            }
        }
    }
}
