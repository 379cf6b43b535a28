//! `GET /api/v1/readings/{id}`: the whole way of one reading, as far as it is stored or remembered.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::openapi::shapes;
use super::parameters;
use super::{Shared, problem::Problem};
use crate::domain::alert::Alert;
use crate::domain::reading::{ReadingId, StoredReading};
use crate::domain::timestamp::Timestamp;
use crate::ingest::Source;
use crate::store::outbox::UplinkKey;
use crate::store::{ClockMark, OutboxPlace, Reader, ReadingLife};

#[derive(Serialize, ToSchema)]
struct Life {
    /// Its tags are the rules with an alert or a tag that it met.
    #[schema(value_type = shapes::Reading)]
    reading: StoredReading,
    /// Who brought it, null if that is not remembered: the newest are.
    #[schema(value_type = Option<shapes::Source>)]
    source: Option<Source>,
    /// What the clock was, null if it was trusted.
    clock: Option<Clock>,
    #[schema(value_type = Option<i64>)]
    committed_at: Option<Timestamp>,
    /// The events that it set off.
    #[schema(value_type = Vec<shapes::Alert>)]
    alerts: Vec<Alert>,
    uplinks: Vec<OnUplink>,
}

/// What the gateway's clock was for a reading that came while it was not trusted.
#[derive(Serialize, ToSchema)]
struct Clock {
    state: ClockState,
    /// What it said then.
    #[schema(value_type = i64)]
    ts: Timestamp,
    #[schema(value_type = i64)]
    received_at: Timestamp,
}

#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum ClockState {
    /// Its times are put right when the clock is trusted.
    Unsynced,
    PutRight,
    /// It keeps its times: it was in a batch, or the machine was started anew, before the clock was trusted.
    Left,
}

/// How it stands with one uplink.
#[derive(Serialize, ToSchema)]
struct OnUplink {
    #[schema(value_type = String)]
    name: Arc<str>,
    state: Standing,
    batch: Option<i64>,
    /// How often batches that it is part of were refused.
    tries: Option<u32>,
    dead_letter: Option<i64>,
    /// Of the receiver's refusal.
    status: Option<u16>,
    /// The last word of the receiver on a batch with it, newest first, as far as remembered.
    verdicts: Vec<Verdict>,
}

#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum Standing {
    Waiting,
    Batched,
    Delivered,
    DeadLetter,
    /// It does not wait: it was delivered longer ago than is remembered, or was never meant for it.
    None,
}

#[derive(Serialize, ToSchema)]
struct Verdict {
    batch: i64,
    verdict: &'static str,
    #[schema(value_type = i64)]
    at: Timestamp,
}

/// Tells it.
#[utoipa::path(
    get, path = "/api/v1/readings/{id}", tag = "readings",
    params(("id" = i64, Path, minimum = 1)),
    responses((status = 200, description = "Its whole way", body = Life), (status = 404, description = "There is none")),
)]
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let id = ReadingId(parameters::id(&id, &uri)?);
    let gateway_id = Arc::clone(&shared.gateway_id);
    let look = move |reader: &Reader| Ok(reader.life(id, &gateway_id)?);
    let life = shared
        .look(look)
        .await?
        .ok_or_else(|| Problem::no_such_path(&uri))?;
    let statuses = shared.uplink_statuses();
    let uplinks = statuses.into_iter().map(|(key, status)| {
        let name = status.name.as_ref().into();
        on_uplink(&shared, id, &life, key, name)
    });
    let uplinks = uplinks.collect();
    let arrival = shared.traces.arrival(id);
    let clock = life.clock.map(|mark| {
        let (ts, received_at) = mark.times_of_then(&life.reading);
        let state = match mark {
            ClockMark::Waits => ClockState::Unsynced,
            ClockMark::PutRight(_) => ClockState::PutRight,
            ClockMark::Left => ClockState::Left,
        };
        Clock {
            state,
            ts,
            received_at,
        }
    });
    Ok(Json(Life {
        reading: life.reading,
        committed_at: arrival.as_ref().map(|arrival| arrival.committed_at),
        source: arrival.map(|arrival| arrival.source),
        clock,
        alerts: life.alerts,
        uplinks,
    })
    .into_response())
}

fn on_uplink(
    shared: &Shared,
    id: ReadingId,
    life: &ReadingLife,
    key: UplinkKey,
    name: Arc<str>,
) -> OnUplink {
    let verdicts = shared.traces.verdicts(id).into_iter();
    let verdicts: Vec<Verdict> = verdicts
        .filter(|judged| judged.uplink == key)
        .map(|judged| Verdict {
            batch: judged.batch,
            verdict: judged.verdict,
            at: judged.at,
        })
        .collect();
    let place = life.places.iter().find(|(uplink, _)| *uplink == key);
    let last = verdicts.first();
    let is_delivered = last.is_some_and(|last| last.verdict == "delivered");
    let mut on = OnUplink {
        name,
        state: if is_delivered {
            Standing::Delivered
        } else {
            Standing::None
        },
        batch: last.map(|last| last.batch),
        tries: None,
        dead_letter: None,
        status: None,
        verdicts,
    };
    match place.map(|(_, place)| place) {
        None => {}
        Some(OutboxPlace::Waiting) => (on.state, on.batch) = (Standing::Waiting, None),
        // A confirmation is written down a little later.
        Some(OutboxPlace::Batched { batch, tries }) => {
            if !is_delivered {
                on.state = Standing::Batched;
            }
            (on.batch, on.tries) = (Some(*batch), Some(*tries));
        }
        Some(OutboxPlace::DeadLetter { letter, status, .. }) => {
            on.state = Standing::DeadLetter;
            (on.dead_letter, on.status) = (Some(*letter), Some(*status));
        }
    }
    on
}
