//! `/api/v1/alerts`: what happened, what is open; and somebody has seen one.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use utoipa::ToSchema;

use super::openapi::shapes;
use super::parameters::{self, DEFAULT_LIMIT, MAX_LIMIT, Pairs, moment, number, sensor, take_each};
use super::{Page, Shared, done, problem::Problem};
use crate::config::is_name;
use crate::domain::alert::AlertState;
use crate::ingest::Submission;
use crate::store::{AlertQuery, Reader};

/// A page ends early when it has so many bytes; `next` goes on from there.
const MAX_PAGE_BYTES: usize = 8 * 1024 * 1024;

/// A page also ends early when so many events were looked through: who asks for rare ones is not kept waiting.
const MAX_EVENTS: usize = 200_000;

/// The same of open alerts, of which each is looked up by itself.
const MAX_OPEN: usize = 10_000;

/// What `state` takes.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "for the description")]
pub(super) enum Asked {
    Open,
    Raised,
    Acknowledged,
    Cleared,
}

/// What was asked for.
#[derive(Debug)]
struct Wanted {
    query: AlertQuery,
    /// Only the newest event of each alert that is not over.
    is_open: bool,
}

/// A page of events, newest first.
#[utoipa::path(
    get, path = "/api/v1/alerts", tag = "alerts",
    params(
        ("state" = Option<Asked>, Query, description = "`open`: of each alert that is not over the newest event"),
        ("sensor" = Option<String>, Query, pattern = r"^[^+#$/\x00-\x1f\x7f-\x9f][^+#/\x00-\x1f\x7f-\x9f]*(/[^+#/\x00-\x1f\x7f-\x9f]+)*$", max_length = 256),
        ("rule" = Option<String>, Query, pattern = "^[A-Za-z0-9._-]{1,64}$"),
        ("from" = Option<i64>, Query, minimum = 0, maximum = 7_258_118_399_999_i64),
        ("to" = Option<i64>, Query, minimum = 0, maximum = 7_258_118_399_999_i64),
        ("limit" = Option<i64>, Query, description = "Items of a page; 100 if not given", minimum = 1, maximum = 1000),
        ("after" = Option<i64>, Query, description = "`next` of the page before", minimum = 1),
    ),
    responses(
        (status = 200, description = "A page, newest first", body = Page<shapes::Alert>),
        (status = 400, description = "A parameter is bad"),
    ),
)]
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Query(pairs): Query<Pairs>,
) -> Result<Response, Problem> {
    let Wanted { query, is_open } = parse(&pairs)?;
    let gateway_id = Arc::clone(&shared.gateway_id);
    let look = move |reader: &Reader| {
        let page = if is_open {
            reader.open_alerts(&query, &gateway_id)?
        } else {
            reader.alerts(&query, &gateway_id)?
        };
        Ok(Page {
            items: page.alerts,
            next: page.next,
        })
    };
    Ok(Json(shared.look(look).await?).into_response())
}

fn parse(pairs: &[(String, String)]) -> Result<Wanted, Problem> {
    let mut is_open = false;
    let mut query = AlertQuery {
        max_bytes: MAX_PAGE_BYTES,
        max_looked_through: MAX_EVENTS,
        ..AlertQuery::newest(DEFAULT_LIMIT)
    };
    take_each(pairs, |name, value| {
        match name {
            "state" if value == "open" => is_open = true,
            "state" => query.state = Some(state(value)?),
            "sensor" => query.sensor_id = Some(sensor(value)?),
            "rule" => query.rule = Some(rule(value)?),
            "from" => query.from = Some(moment(value)?),
            "to" => query.to = Some(moment(value)?),
            "limit" => query.limit = number(value, MAX_LIMIT)? as usize,
            "after" => query.after = Some(number(value, i64::MAX)?),
            _ => {
                let known = "unknown; there are state, sensor, rule, from, to, limit and after";
                return Err(known.to_owned());
            }
        }
        Ok(())
    })?;
    if is_open {
        query.max_looked_through = MAX_OPEN;
    }
    Ok(Wanted { query, is_open })
}

fn state(text: &str) -> Result<AlertState, String> {
    AlertState::from_stored(text)
        .ok_or_else(|| "expected open, raised, acknowledged or cleared".to_owned())
}

fn rule(text: &str) -> Result<Box<str>, String> {
    if is_name(text) {
        Ok(text.into())
    } else {
        Err("expected a rule's name".to_owned())
    }
}

/// Acknowledges the alert of which `id` is any event. One that is over, or was seen before, stays as it is.
#[utoipa::path(
    post, path = "/api/v1/alerts/{id}/ack", tag = "alerts",
    params(("id" = i64, Path, minimum = 1)),
    responses((status = 200, description = "On disk", body = shapes::Done), (status = 404, description = "There is none")),
)]
pub(super) async fn acknowledge(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let id = parameters::id(&id, &uri)?;
    if !shared.look(move |reader| Ok(reader.has_alert(id)?)).await? {
        return Err(Problem::no_such_path(&uri));
    }
    let mut submission = Submission::default();
    submission.acknowledged.push(id);
    Ok(done(shared.commit(submission).await?))
}
