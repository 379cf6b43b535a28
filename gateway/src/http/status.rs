//! `/status`: what devices say of themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::openapi::shapes;
use super::{Shared, body, done, problem::Problem};
use crate::clock;
use crate::ingest::{Submission, decode};

/// A device's word, in the query or in the body.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Word {
    device_id: Option<String>,
    status: Option<String>,
}

impl Word {
    /// What `self` does not say, `other` may.
    fn or(self, other: Self) -> Self {
        Self {
            device_id: self.device_id.or(other.device_id),
            status: self.status.or(other.status),
        }
    }
}

/// Takes a device's word; answers when it is on disk. The body counts only for what the query does not say.
#[utoipa::path(
    post, path = "/status", tag = "devices",
    description = "What the query does not say may stand in a body, `{\"device_id\":…,\"status\":…}`.",
    params(
        ("device_id" = String, Query, pattern = "^[A-Za-z0-9._-]{1,64}$"),
        ("status" = String, Query, pattern = "^[A-Za-z0-9._-]{1,64}$"),
    ),
    responses(
        (status = 200, description = "On disk", body = shapes::Done),
        (status = 422, description = "One of them is missing or bad"),
    ),
)]
pub(super) async fn take(
    State(shared): State<Arc<Shared>>,
    Query(pairs): Query<Vec<(String, String)>>,
    request: Request,
) -> Result<Response, Problem> {
    let mut word = Word::default();
    for (name, value) in pairs {
        match name.as_str() {
            "device_id" => word.device_id = Some(value),
            "status" => word.status = Some(value),
            _ => {}
        }
    }
    if word.device_id.is_none() || word.status.is_none() {
        word = word.or(read(request).await?);
    }
    let (Some(device_id), Some(status)) = (word.device_id, word.status) else {
        let message = "`device_id` and `status` are both needed, in the query or in a JSON body";
        return Err(Problem::BadStatus(message.to_owned()));
    };
    let status = decode::new_status(&device_id, &status, clock::now())
        .map_err(|fault| Problem::BadStatus(fault.to_string()))?;
    let mut submission = Submission::default();
    submission.statuses.push(status);
    let committed = shared.commit(submission).await?;
    Ok(done(committed))
}

async fn read(request: Request) -> Result<Word, Problem> {
    let body = body::read_json(request).await?;
    if body.is_empty() {
        return Ok(Word::default());
    }
    serde_json::from_slice(&body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Problem::BadStatus(error.to_string()),
        _ => Problem::NotJson(error.to_string()),
    })
}

/// The latest word of each device.
#[utoipa::path(
    get, path = "/status", tag = "devices",
    responses((status = 200, description = "The latest word of each device", body = HashMap<String, String>)),
)]
pub(super) async fn show(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    let statuses = shared.look(|reader| Ok(reader.statuses()?)).await?;
    Ok(Json(BTreeMap::from_iter(statuses)).into_response())
}
