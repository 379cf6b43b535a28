//! `/healthz`: whether the gateway lives. `/readyz`: whether it also gets its work done. Both are open to everybody.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::openapi::shapes;
use super::{
    Shared, outbox,
    problem::{NOT_READY, Problem},
};
use crate::clock;

/// Process, committer and store; the cloud does not matter.
#[utoipa::path(
    get, path = "/healthz", tag = "gateway",
    responses((status = 200, description = "It lives", body = shapes::Done), (status = 503, description = "It does not")),
)]
pub(super) async fn live(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Live {
        status: &'static str,
    }
    let checks = [committer(&shared), store(&shared).await];
    match checks.into_iter().find_map(|check| check.detail) {
        None => Ok(Json(Live { status: "ok" }).into_response()),
        Some(trouble) => Err(Problem::unwell(trouble)),
    }
}

/// Every check by name.
#[utoipa::path(
    get, path = "/readyz", tag = "gateway",
    responses(
        (status = 200, description = "It gets its work done", body = Readiness),
        (status = 503, description = "It does not", body = Readiness),
    ),
)]
pub(super) async fn ready(State(shared): State<Arc<Shared>>) -> (StatusCode, Json<Readiness>) {
    let checks = checks(&shared).await;
    let (code, status) = if checks.iter().all(|check| check.ok) {
        (StatusCode::OK, "ready")
    } else {
        (NOT_READY, "not ready")
    };
    (code, Json(Readiness { status, checks }))
}

/// All of them.
pub(super) async fn checks(shared: &Shared) -> Vec<Check> {
    let mut checks = vec![committer(shared), store(shared).await];
    for (_, uplink) in shared.uplink_statuses() {
        checks.push(Check::new(format!("uplink:{}", uplink.name), uplink.held));
    }
    checks
}

#[derive(Serialize, ToSchema)]
pub(super) struct Readiness {
    status: &'static str,
    checks: Vec<Check>,
}

/// Something that has to work.
#[derive(Serialize, ToSchema)]
pub(super) struct Check {
    pub(super) name: String,
    pub(super) ok: bool,
    /// What is wrong.
    detail: Option<String>,
}

impl Check {
    fn new(name: impl Into<String>, trouble: Option<String>) -> Self {
        Self {
            name: name.into(),
            ok: trouble.is_none(),
            detail: trouble,
        }
    }
}

fn committer(shared: &Shared) -> Check {
    Check::new("committer", shared.health.trouble())
}

async fn store(shared: &Shared) -> Check {
    let answer = shared
        .glance(|reader| outbox::oldest_of_all(reader, clock::now()))
        .await;
    Check::new("store", answer.err().map(|problem| problem.to_string()))
}
