//! `/api/v1/rules`: the rules as they are; replaced after they are checked; checked, and tried against the stored past, without
//! being replaced.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::body;
use super::openapi::shapes;
use super::parameters::{Pairs, sensor, take_each};
use super::{Shared, problem::Problem};
use crate::clock;
use crate::config::parse_duration;
use crate::domain::sensor::SensorId;
use crate::domain::timestamp::Timestamp;
use crate::ingest::replay::{Question, ReplayError, RuleAnswer, replay};
use crate::store::Reader;

/// How far back a test looks if nobody says.
const DEFAULT_SINCE: Duration = Duration::from_secs(24 * 60 * 60);

/// A test that takes so long is given up: its answer says how far it came.
const TEST_PATIENCE: Duration = Duration::from_secs(20);

#[derive(Serialize)]
struct Page<'r> {
    items: Vec<&'r RawValue>,
    next: Option<()>,
}

/// All of them, in their order, with the keys of the configuration.
#[utoipa::path(
    get, path = "/api/v1/rules", tag = "rules",
    responses((status = 200, description = "All of them", body = shapes::Rules)),
)]
pub(super) async fn show(State(shared): State<Arc<Shared>>) -> Response {
    let rules = shared.rule_book.current();
    let items = rules.iter().map(|rule| &*rule.written).collect();
    Json(Page { items, next: None }).into_response()
}

/// Replaces all of them: TOML as in the configuration, or JSON as [`show`] has it.
#[utoipa::path(
    put, path = "/api/v1/rules", tag = "rules",
    request_body(content(
        (shapes::SentRules = "application/json"),
        (String = "application/toml"),
    )),
    responses(
        (status = 200, description = "The rules as they are now", body = shapes::Rules),
        (status = 409, description = "The configuration names no rules_file"),
        (status = 422, description = "`errors` says what is wrong with them"),
    ),
)]
pub(super) async fn replace(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, Problem> {
    let sent = body::read_rules(request).await?;
    if let Some(trouble) = shared.health.trouble() {
        return Err(Problem::unwell(trouble));
    }
    shared.rule_book.replace(sent).await?;
    Ok(show(State(shared)).await)
}

/// Says what is wrong with rules.
#[utoipa::path(
    post, path = "/api/v1/rules/check", tag = "rules",
    request_body(content(
        (shapes::SentRules = "application/json"),
        (String = "application/toml"),
    )),
    responses((status = 200, description = "There is no fault in them", body = shapes::Done), (status = 422, description = "`errors` says what is wrong with them")),
)]
pub(super) async fn check(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Fine {
        status: &'static str,
    }
    let sent = body::read_rules(request).await?;
    shared.rule_book.check(sent).await?;
    Ok(Json(Fine { status: "success" }).into_response())
}

/// What rules would have made of the stored past.
#[derive(Serialize, ToSchema)]
struct Tested {
    #[schema(value_type = i64)]
    from: Timestamp,
    /// Up to where it was looked.
    #[schema(value_type = i64)]
    to: Timestamp,
    readings: u64,
    /// False if there was no time for all of it.
    complete: bool,
    #[schema(value_type = Vec<shapes::RuleAnswer>)]
    rules: Vec<RuleAnswer>,
}

/// Tries rules against the stored past; one at a time, since that takes a core.
#[utoipa::path(
    post, path = "/api/v1/rules/test", tag = "rules",
    params(
        ("since" = Option<String>, Query, pattern = "^[1-9][0-9]{0,3}[smhd]$"),
        ("sensor" = Option<String>, Query, pattern = r"^[^+#$/\x00-\x1f\x7f-\x9f][^+#/\x00-\x1f\x7f-\x9f]*(/[^+#/\x00-\x1f\x7f-\x9f]+)*$", max_length = 256),
    ),
    request_body(content(
        (shapes::SentRules = "application/json"),
        (String = "application/toml"),
    )),
    responses(
        (status = 200, description = "What they would have done", body = Tested),
        (status = 422, description = "`errors` says what is wrong with them"),
        (status = 503, description = "Another test is under way"),
    ),
)]
pub(super) async fn test(
    State(shared): State<Arc<Shared>>,
    Query(pairs): Query<Pairs>,
    request: Request,
) -> Result<Response, Problem> {
    let (mut since, mut wanted) = (DEFAULT_SINCE, None::<SensorId>);
    take_each(&pairs, |name, value| {
        match name {
            "since" => {
                let time = parse_duration(value).filter(|time| !time.is_zero());
                since = time.ok_or("expected a duration, such as 1h or 7d")?;
            }
            "sensor" => wanted = Some(sensor(value)?),
            _ => return Err("unknown; there are since and sensor".to_owned()),
        }
        Ok(())
    })?;
    let sent = body::read_rules(request).await?;
    let set = shared.rule_book.check(sent).await?;
    let alone = Arc::clone(&shared.replays).try_acquire_owned();
    let alone = alone.map_err(|_| Problem::Busy)?;
    let look = move |reader: &Reader| {
        let _alone = alone;
        let now = clock::now();
        let millis = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        let question = Question {
            since: Timestamp::from_millis(now.millis() - millis.min(now.millis())),
            now,
            sensor: wanted.as_ref(),
        };
        let until = Instant::now() + TEST_PATIENCE;
        let replayed = replay(reader.history()?, vec![set], &question, &mut |_, _| {
            if until < Instant::now() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        Ok(Tested {
            from: question.since,
            to: replayed.to,
            readings: replayed.readings,
            complete: replayed.is_complete,
            rules: replayed.answers(&question).pop().unwrap_or_default(),
        })
    };
    Ok(Json(shared.look(look).await?).into_response())
}

impl From<ReplayError> for Problem {
    fn from(error: ReplayError) -> Self {
        Self::internal(error)
    }
}
