//! `GET /metrics`: what the gateway counts, for Prometheus. What nobody counts on the way is looked up first.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::{Shared, health, outbox, problem::Problem};
use crate::clock;
use crate::metrics::Metrics;
use crate::store::{Forsaken, Reader, outbox::UplinkKey};

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The text format. What the store does not tell stays as it was.
#[utoipa::path(
    get, path = "/metrics", tag = "gateway",
    responses((status = 200, description = "For Prometheus", body = String, content_type = "text/plain")),
)]
pub(super) async fn show(State(shared): State<Arc<Shared>>) -> Response {
    let metrics = &*shared.metrics;
    shared.submissions.observe(&shared.metrics);
    shared.process.observe(metrics);
    // Of the one place that all ask: as `/api/v1/gateway` shows it.
    let is_trusted = clock::standing().trust.is_trusted();
    metrics.clock_trusted.set(is_trusted.into());
    let uplinks = shared.uplink_statuses();
    let keys: Vec<UplinkKey> = uplinks.iter().map(|(key, _)| *key).collect();
    let look = move |reader: &Reader| Found::look(reader, &keys);
    if let Ok(found) = shared.glance(look).await {
        found.show(metrics);
        for ((_, status), oldest_seconds) in uplinks.iter().zip(found.oldest_seconds) {
            let oldest = &metrics.uplink_oldest_seconds;
            oldest
                .with_label_values(&[&*status.name])
                .set(oldest_seconds.unwrap_or(0.0));
        }
    }
    let pending = |key| shared.reader.outbox_pending(key) as i64;
    metrics.outbox_pending.set(pending(None));
    for (key, status) in uplinks {
        let name = [&*status.name];
        let of_uplink = metrics.uplink_pending.with_label_values(&name);
        of_uplink.set(pending(Some(key)));
        let held = i64::from(status.held.is_some());
        metrics.uplink_held.with_label_values(&name).set(held);
    }
    for check in health::checks(&shared).await {
        let ready = metrics.ready.with_label_values(&[&*check.name]);
        ready.set(i64::from(check.ok));
    }
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics.render()).into_response()
}

/// What the store tells.
struct Found {
    bytes_on_disk: u64,
    free_bytes: Option<u64>,
    dead_letters: u64,
    oldest_of_all_seconds: Option<f64>,
    /// Of each uplink.
    oldest_seconds: Vec<Option<f64>>,
    forsaken: Vec<Forsaken>,
}

impl Found {
    fn look(reader: &Reader, uplinks: &[UplinkKey]) -> Result<Self, Problem> {
        let now = clock::now();
        let oldest = uplinks
            .iter()
            .map(|key| outbox::oldest_seconds(reader, *key, now));
        Ok(Self {
            bytes_on_disk: reader.bytes_on_disk(),
            free_bytes: reader.free_bytes(),
            dead_letters: reader.dead_letter_count()?,
            oldest_of_all_seconds: outbox::oldest_of_all(reader, now)?,
            oldest_seconds: oldest.collect::<Result<_, _>>()?,
            forsaken: reader.forsaken()?.to_vec(),
        })
    }

    fn show(&self, metrics: &Metrics) {
        metrics.store_bytes.set(self.bytes_on_disk as i64);
        if let Some(free) = self.free_bytes {
            metrics.store_free_bytes.set(free as i64);
        }
        metrics.dead_letters.set(self.dead_letters as i64);
        let oldest = self.oldest_of_all_seconds.unwrap_or(0.0);
        metrics.outbox_oldest_seconds.set(oldest);
        for uplink in &self.forsaken {
            let pending = metrics.uplink_pending.with_label_values(&[&*uplink.name]);
            pending.set(uplink.pending as i64);
        }
    }
}
