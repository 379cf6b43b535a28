//! `GET /api/v1/outbox`: what waits for the cloud, and how it goes with the uplinks.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::{Shared, problem::Problem};
use crate::clock;
use crate::domain::uplink::UplinkStatus;
use crate::store::Reader;

#[derive(Serialize)]
struct Outbox<'s> {
    #[serde(flatten)]
    waiting: Waiting,
    last_verdict: Option<&'s str>,
    next_attempt_seconds: Option<f64>,
    drain_seconds: Option<f64>,
    uplinks: Vec<Uplink<'s>>,
}

#[derive(Serialize)]
struct Uplink<'s> {
    #[serde(flatten)]
    status: &'s UplinkStatus,
    #[serde(flatten)]
    waiting: Waiting,
}

#[derive(Clone, Copy, Serialize)]
struct Waiting {
    pending: u64,
    oldest_seconds: Option<f64>,
}

/// The outbox; what is said of the first uplink stands at the top as well.
pub(super) async fn show(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    let oldest_seconds = shared.look(oldest_seconds).await?;
    let waiting = Waiting {
        pending: shared.reader.outbox_pending(),
        oldest_seconds,
    };
    let statuses = shared.uplink_statuses();
    let first = statuses.first();
    let outbox = Outbox {
        waiting,
        last_verdict: first.and_then(|status| status.last_verdict.as_deref()),
        next_attempt_seconds: first.and_then(|status| status.next_attempt_seconds),
        drain_seconds: first.and_then(|status| status.drain_seconds),
        uplinks: statuses
            .iter()
            .map(|status| Uplink { status, waiting })
            .collect(),
    };
    Ok(Json(outbox).into_response())
}

/// How long the oldest reading has waited; `None` if none waits. Blocks.
pub(super) fn oldest_seconds(reader: &Reader) -> Result<Option<f64>, Problem> {
    let oldest = reader.outbox_oldest()?;
    Ok(oldest.map(|since| (clock::now() - since).as_secs_f64()))
}
