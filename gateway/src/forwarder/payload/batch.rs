//! `batch`: one JSON object with all readings and who sends them.

use serde::Serialize;

use super::Sender;
use crate::domain::reading::StoredReading;

#[derive(Serialize)]
struct Batch<'b> {
    gateway_id: &'b str,
    store_id: &'b str,
    batch_id: &'b str,
    readings: &'b [StoredReading],
}

pub(super) fn encode(
    sender: Sender<'_>,
    batch_id: i64,
    readings: &[StoredReading],
) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Batch {
        gateway_id: sender.gateway_id,
        store_id: sender.store_id,
        batch_id: &batch_id.to_string(),
        readings,
    })
}
