//! `/api/v1/rejects`: what could not be read; to be read again, or to be thrown away.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

use super::openapi::shapes;
use super::parameters::{self, Pairs, after_and_limit};
use super::{Page, Shared, done, problem::Problem};
use crate::domain::{timestamp::Timestamp, topic::TopicName};
use crate::ingest::{Decoder, Kind, Submission, decode};
use crate::store::{Reader, Reject};

/// A page ends early when its payloads have so many bytes; `next` goes on from there.
const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;

#[derive(Serialize, ToSchema)]
#[schema(as = Reject)]
pub(super) struct Item {
    id: i64,
    /// Empty if it came by HTTP.
    #[schema(value_type = String)]
    topic: Box<str>,
    /// As text; what is no UTF-8 is replaced.
    payload: String,
    /// All of it, where it is no UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    payload_base64: Option<String>,
    #[schema(value_type = String)]
    reason: Box<str>,
    #[schema(value_type = i64)]
    received_at: Timestamp,
}

impl From<Reject> for Item {
    fn from(reject: Reject) -> Self {
        let (payload, payload_base64) = match String::from_utf8(reject.payload.into()) {
            Ok(text) => (text, None),
            Err(error) => {
                let bytes = error.as_bytes();
                let replaced = String::from_utf8_lossy(bytes).into_owned();
                (replaced, Some(STANDARD.encode(bytes)))
            }
        };
        Self {
            id: reject.id,
            topic: reject.topic,
            payload,
            payload_base64,
            reason: reject.reason,
            received_at: reject.received_at,
        }
    }
}

/// A page of them, oldest first.
#[utoipa::path(
    get, path = "/api/v1/rejects", tag = "rejects",
    params(("limit" = Option<i64>, Query, description = "Items of a page; 100 if not given", minimum = 1, maximum = 1000), ("after" = Option<i64>, Query, description = "`next` of the page before", minimum = 1)),
    responses((status = 200, description = "A page, oldest first", body = Page<Item>), (status = 400, description = "A parameter is bad")),
)]
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Query(pairs): Query<Pairs>,
) -> Result<Response, Problem> {
    let (after, limit) = after_and_limit(&pairs)?;
    let look = move |reader: &Reader| {
        let (rejects, may_be_more) = reader.rejects(after, limit, MAX_PAGE_BYTES)?;
        let last = rejects.last().map(|reject| reject.id);
        Ok(Page {
            next: last.filter(|_| may_be_more),
            items: rejects.into_iter().map(Item::from).collect(),
        })
    };
    Ok(Json(shared.look(look).await?).into_response())
}

/// Reads it once more, as if it had come when it came. All of it or nothing: if it still cannot be read, it stays.
#[utoipa::path(
    post, path = "/api/v1/rejects/{id}/retry", tag = "rejects",
    params(("id" = i64, Path, minimum = 1)),
    responses((status = 200, description = "On disk", body = shapes::Done), (status = 404, description = "There is none"), (status = 422, description = "It still cannot be read")),
)]
pub(super) async fn retry(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let reject = find(&shared, &id, &uri).await?;
    let submission = read_again(&reject, &shared.decoder)?;
    Ok(done(shared.commit(submission).await?))
}

fn read_again(reject: &Reject, decoder: &Decoder) -> Result<Submission, Problem> {
    let topic = TopicName::new(&reject.topic).ok();
    let origin = decode::Origin {
        topic: topic.as_ref(),
        now: reject.received_at,
    };
    let mut submission = Submission::of_reject(reject.id);
    if topic.as_ref().map(|topic| decoder.topics().kind(topic)) == Some(Kind::Status) {
        let status = decode::decode_status(&reject.payload, origin);
        let status = status.map_err(|fault| Problem::StillUnreadable(fault.to_string()))?;
        submission.statuses.push(status);
    } else {
        let decoded = decoder.read_again(&reject.payload, origin);
        if let Some((fault, _)) = decoded.faults.first() {
            return Err(Problem::StillUnreadable(fault.to_string()));
        }
        submission.readings = decoded.readings;
    }
    Ok(submission)
}

/// Throws it away.
#[utoipa::path(
    delete, path = "/api/v1/rejects/{id}", tag = "rejects",
    params(("id" = i64, Path, minimum = 1)),
    responses((status = 200, description = "On disk", body = shapes::Done), (status = 404, description = "There is none")),
)]
pub(super) async fn drop(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let submission = Submission::of_reject(find(&shared, &id, &uri).await?.id);
    Ok(done(shared.commit(submission).await?))
}

async fn find(shared: &Shared, id: &str, uri: &Uri) -> Result<Reject, Problem> {
    let number = parameters::id(id, uri)?;
    let find = move |reader: &Reader| Ok(reader.reject(number)?);
    shared
        .look(find)
        .await?
        .ok_or_else(|| Problem::no_such_path(uri))
}
