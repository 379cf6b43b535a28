//! `GET /api/v1/gateway`: the whole at a glance, for people who look at it.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::health::{Check, checks};
use super::{Shared, problem::Problem};
use crate::clock;
use crate::domain::timestamp::Timestamp;
use crate::domain::topic::TopicFilter;
use crate::metrics::sum;

#[derive(Serialize, ToSchema)]
struct Gateway<'s> {
    gateway_id: &'s str,
    version: &'static str,
    uptime_seconds: f64,
    #[schema(value_type = i64)]
    now: Timestamp,
    clock: Clock,
    topics: Topics<'s>,
    mqtt: Mqtt,
    store: Store,
    readings: Readings,
    /// The damaged store of which rows are taken over, null if there is none.
    salvage: Option<SalvageState>,
    checks: Vec<Check>,
}

#[derive(Serialize, ToSchema)]
struct SalvageState {
    /// Where the damaged files lie, beside the store.
    #[schema(value_type = String)]
    folder: Arc<str>,
    #[schema(value_type = String)]
    reason: Arc<str>,
    /// What is taken over now: outbox, dead letters, alerts, readings, rejects.
    stage: &'static str,
    saved: u64,
    unreadable: u64,
}

/// The wall clock.
#[derive(Serialize, ToSchema)]
struct Clock {
    /// If not, the times of readings are put right when it is.
    trusted: bool,
    /// Why: `plausible`, `synchronised`, `rtc`, `set`; or why not: `not_set`, `behind`, `ahead`, `unsynchronised`.
    trust: &'static str,
}

/// Filters of the topics on which they come.
#[derive(Serialize, ToSchema)]
struct Topics<'s> {
    readings: Vec<&'s str>,
    statuses: Vec<&'s str>,
}

#[derive(Serialize, ToSchema)]
struct Mqtt {
    connections: i64,
    /// Where sensors publish.
    #[schema(value_type = String)]
    address: SocketAddr,
}

#[derive(Serialize, ToSchema)]
struct Store {
    bytes: u64,
    /// Free on its disk, null if that is not known.
    free_bytes: Option<u64>,
    /// What it may take.
    max_bytes: u64,
}

/// Since the start.
#[derive(Serialize, ToSchema)]
struct Readings {
    received: u64,
    committed: u64,
    rejected: u64,
    lost: u64,
}

/// What there is to say in a few lines.
#[utoipa::path(
    get, path = "/api/v1/gateway", tag = "gateway",
    responses((status = 200, description = "The whole at a glance", body = Gateway<'static>)),
)]
pub(super) async fn show(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    let checks = checks(&shared).await;
    let found = shared.glance(|reader| Ok((reader.bytes_on_disk(), reader.free_bytes())));
    let (bytes, free_bytes) = found.await?;
    let metrics = &shared.metrics;
    let trust = clock::standing().trust;
    let gateway = Gateway {
        gateway_id: &shared.gateway_id,
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: shared.started.elapsed().as_secs_f64(),
        now: clock::now(),
        clock: Clock {
            trusted: trust.is_trusted(),
            trust: trust.as_str(),
        },
        topics: Topics {
            readings: shared
                .decoder
                .topics()
                .readings()
                .iter()
                .map(TopicFilter::as_str)
                .collect(),
            statuses: shared
                .decoder
                .topics()
                .statuses()
                .iter()
                .map(TopicFilter::as_str)
                .collect(),
        },
        mqtt: Mqtt {
            connections: metrics.mqtt_connections.get(),
            address: shared.mqtt,
        },
        store: Store {
            bytes,
            free_bytes,
            max_bytes: shared.max_bytes,
        },
        readings: Readings {
            received: sum(&metrics.readings_received),
            committed: metrics.readings_committed.get(),
            rejected: sum(&metrics.readings_rejected),
            lost: sum(&metrics.readings_lost),
        },
        salvage: shared.health.salvage().map(|progress| SalvageState {
            stage: progress.stage(),
            folder: progress.folder,
            reason: progress.reason,
            saved: progress.saved,
            unreadable: progress.unreadable,
        }),
        checks,
    };
    Ok(Json(gateway).into_response())
}
