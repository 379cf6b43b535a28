//! `GET /metrics`: what the gateway counts, for Prometheus. What nobody counts on the way is looked up first.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::{Shared, outbox};
use crate::clock;

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The text format. What the store does not tell stays as it was.
#[utoipa::path(
    get, path = "/metrics", tag = "gateway",
    responses((status = 200, description = "For Prometheus", body = String, content_type = "text/plain")),
)]
pub(super) async fn show(State(shared): State<Arc<Shared>>) -> Response {
    shared.submissions.observe(&shared.metrics);
    let metrics = &shared.metrics;
    metrics
        .outbox_pending
        .set(shared.reader.outbox_pending(None) as i64);
    let found = shared
        .glance(|reader| {
            let oldest_seconds = outbox::oldest_of_all(reader, clock::now())?;
            let dead_letters = reader.dead_letter_count()?;
            let forsaken = reader.forsaken()?.to_vec();
            Ok((
                reader.bytes_on_disk(),
                oldest_seconds,
                dead_letters,
                forsaken,
            ))
        })
        .await;
    if let Ok((bytes_on_disk, oldest_seconds, dead_letters, forsaken)) = found {
        metrics.store_bytes.set(bytes_on_disk as i64);
        metrics
            .outbox_oldest_seconds
            .set(oldest_seconds.unwrap_or(0.0));
        metrics.dead_letters.set(dead_letters as i64);
        for uplink in forsaken {
            let pending = metrics.uplink_pending.with_label_values(&[&*uplink.name]);
            pending.set(uplink.pending as i64);
        }
    }
    for (key, status) in shared.uplink_statuses() {
        let name = [&*status.name];
        let pending = shared.reader.outbox_pending(Some(key)) as i64;
        metrics.uplink_pending.with_label_values(&name).set(pending);
        let held = i64::from(status.held.is_some());
        metrics.uplink_held.with_label_values(&name).set(held);
    }
    metrics.store_written_bytes.inc_by(shared.written.advance());
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics.render()).into_response()
}
