//! `/api/v1/dead-letters`: readings that a receiver refused for good; to be sent again or given up.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use tokio::sync::oneshot;

use super::openapi::shapes;
use super::parameters::{self, Pairs, after_and_limit};
use super::{Page, Shared, done, problem::Problem};
use crate::ingest::OutboxRequest;
use crate::store::{Committed, DeadLetter, Reader};

/// A page of them, oldest first.
#[utoipa::path(
    get, path = "/api/v1/dead-letters", tag = "uplinks",
    params(("limit" = Option<i64>, Query, description = "Items of a page; 100 if not given", minimum = 1, maximum = 1000), ("after" = Option<i64>, Query, description = "`next` of the page before", minimum = 1)),
    responses((status = 200, description = "A page, oldest first", body = Page<shapes::DeadLetter>), (status = 400, description = "A parameter is bad")),
)]
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Query(pairs): Query<Pairs>,
) -> Result<Response, Problem> {
    let (after, limit) = after_and_limit(&pairs)?;
    let look = move |reader: &Reader| {
        let (items, may_be_more) = reader.dead_letters(after, None, limit)?;
        let last = items.last().map(|letter| letter.id);
        Ok(Page {
            next: last.filter(|_| may_be_more),
            items,
        })
    };
    Ok(Json(shared.look(look).await?).into_response())
}

/// Has one sent again, in a batch of its own number.
#[utoipa::path(
    post, path = "/api/v1/dead-letters/{id}/retry", tag = "uplinks",
    params(("id" = i64, Path, minimum = 1)),
    responses((status = 200, description = "On disk", body = shapes::Done), (status = 404, description = "There is none"), (status = 409, description = "There is no such uplink any more")),
)]
pub(super) async fn retry(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let letter = find(&shared, &id, &uri).await?;
    let statuses = shared.uplink_statuses();
    if !statuses
        .iter()
        .any(|(_, status)| *status.name == *letter.uplink)
    {
        // It would wait where nobody sends it, and be no dead letter any more.
        return Err(Problem::NoUplink(letter.uplink.to_string()));
    }
    let letter = letter.id;
    change(&shared, |done| OutboxRequest::Retry { letter, done }).await
}

/// Gives one up.
#[utoipa::path(
    delete, path = "/api/v1/dead-letters/{id}", tag = "uplinks",
    params(("id" = i64, Path, minimum = 1)),
    responses((status = 200, description = "On disk", body = shapes::Done), (status = 404, description = "There is none")),
)]
pub(super) async fn drop(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let letter = find(&shared, &id, &uri).await?.id;
    change(&shared, |done| OutboxRequest::Drop { letter, done }).await
}

async fn find(shared: &Shared, id: &str, uri: &Uri) -> Result<DeadLetter, Problem> {
    let number = parameters::id(id, uri)?;
    let find = move |reader: &Reader| Ok(reader.dead_letters(0, Some(number), 1)?.0);
    shared
        .look(find)
        .await?
        .pop()
        .ok_or_else(|| Problem::no_such_path(uri))
}

async fn change(
    shared: &Shared,
    request: impl FnOnce(oneshot::Sender<Committed>) -> OutboxRequest,
) -> Result<Response, Problem> {
    if let Some(trouble) = shared.health.trouble() {
        return Err(Problem::unwell(trouble));
    }
    let (receipt, committed) = oneshot::channel();
    let asked = shared.submissions.request(request(receipt)).await;
    asked.map_err(|_| Problem::Stopping)?;
    let committed = committed.await.map_err(|_| Problem::Stopping)?;
    Ok(done(committed))
}
