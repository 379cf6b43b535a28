//! `GET /api/v1/outbox`: what waits for the cloud, and how it goes with the uplinks.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::openapi::shapes;
use super::{Shared, problem::Problem};
use crate::clock;
use crate::domain::timestamp::Timestamp;
use crate::domain::uplink::UplinkStatus;
use crate::store::{self, Reader, outbox::UplinkKey};

#[derive(Serialize, ToSchema)]
struct Outbox<'s> {
    #[serde(flatten)]
    waiting: Waiting,
    last_verdict: Option<&'s str>,
    next_attempt_seconds: Option<f64>,
    drain_seconds: Option<f64>,
    uplinks: Vec<Uplink<'s>>,
    /// For these readings wait as well, but there are no sections of their names. Absent if it is empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    forsaken: Vec<Forsaken>,
}

#[derive(Serialize, ToSchema)]
struct Forsaken {
    name: Box<str>,
    #[serde(flatten)]
    waiting: Waiting,
}

#[derive(Serialize, ToSchema)]
struct Uplink<'s> {
    #[serde(flatten)]
    #[schema(value_type = shapes::UplinkStatus)]
    status: &'s UplinkStatus,
    #[serde(flatten)]
    waiting: Waiting,
}

#[derive(Clone, Copy, Serialize, ToSchema)]
struct Waiting {
    pending: u64,
    oldest_seconds: Option<f64>,
}

/// The outbox; what is said of the first uplink stands at the top as well.
#[utoipa::path(
    get, path = "/api/v1/outbox", tag = "uplinks",
    responses((status = 200, description = "What waits, and how it goes", body = Outbox<'static>)),
)]
pub(super) async fn show(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    let statuses = shared.uplink_statuses();
    let keys: Vec<UplinkKey> = statuses.iter().map(|(key, _)| *key).collect();
    let now = clock::now();
    let look = move |reader: &Reader| {
        let waiting = |key: UplinkKey| -> Result<Waiting, Problem> {
            Ok(Waiting {
                pending: reader.outbox_pending(Some(key)),
                oldest_seconds: oldest_seconds(reader, key, now)?,
            })
        };
        let each: Result<Vec<Waiting>, Problem> = keys.into_iter().map(waiting).collect();
        let all = Waiting {
            pending: reader.outbox_pending(None),
            oldest_seconds: oldest_of_all(reader, now)?,
        };
        Ok((all, each?, forsaken(reader, now)?))
    };
    let (waiting, each, forsaken) = shared.look(look).await?;
    let first = statuses.first().map(|(_, status)| status);
    let outbox = Outbox {
        waiting,
        last_verdict: first.and_then(|status| status.last_verdict.as_deref()),
        next_attempt_seconds: first.and_then(|status| status.next_attempt_seconds),
        drain_seconds: first.and_then(|status| status.drain_seconds),
        uplinks: statuses
            .iter()
            .zip(each)
            .map(|((_, status), waiting)| Uplink { status, waiting })
            .collect(),
        forsaken,
    };
    Ok(Json(outbox).into_response())
}

fn forsaken(reader: &Reader, now: Timestamp) -> Result<Vec<Forsaken>, Problem> {
    let of = |uplink: &store::Forsaken| {
        Ok(Forsaken {
            name: uplink.name.clone(),
            waiting: Waiting {
                pending: uplink.pending,
                oldest_seconds: oldest_seconds(reader, uplink.key, now)?,
            },
        })
    };
    reader.forsaken()?.iter().map(of).collect()
}

/// How long the oldest reading has waited until `now`, of all uplinks; `None` if none waits. Blocks.
pub(super) fn oldest_of_all(reader: &Reader, now: Timestamp) -> Result<Option<f64>, Problem> {
    let mut oldest: Option<f64> = None;
    for key in reader.uplinks() {
        let seconds = oldest_seconds(reader, key, now)?;
        let is_older = |than: f64| seconds.is_some_and(|seconds| than < seconds);
        if oldest.is_none_or(is_older) {
            oldest = seconds.or(oldest);
        }
    }
    Ok(oldest)
}

pub(super) fn oldest_seconds(
    reader: &Reader,
    uplink: UplinkKey,
    now: Timestamp,
) -> Result<Option<f64>, Problem> {
    let oldest = reader.outbox_oldest(uplink)?;
    Ok(oldest.map(|since| (now - since).as_secs_f64()))
}
