//! `/api/v1/log-filter`: what is logged, until the next start or for a while.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body;
use super::{Shared, problem::Problem};
use crate::config::parse_duration;
use crate::logging::BadFilter;

/// The longest while.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    filter: String,
    /// After it the filter of now comes back; 7 days at the most.
    #[schema(required = false, nullable = false, pattern = "^[1-9][0-9]?[smh]$")]
    r#for: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct Shown {
    filter: String,
    /// What comes after it; absent if it stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    then: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    seconds_left: Option<f64>,
}

/// The filter of now.
#[utoipa::path(
    get, path = "/api/v1/log-filter", tag = "gateway",
    responses((status = 200, description = "What is logged", body = Shown)),
)]
pub(super) async fn show(State(shared): State<Arc<Shared>>) -> Response {
    let current = shared.log_filter.current();
    let (then, left) = current.then.unzip();
    let shown = Shown {
        filter: current.filter,
        then,
        seconds_left: left.map(|left| left.as_secs_f64()),
    };
    Json(shown).into_response()
}

/// Another one, in the syntax of `RUST_LOG`; `for` a while if that is said.
#[utoipa::path(
    put, path = "/api/v1/log-filter", tag = "gateway", request_body = Wanted,
    responses(
        (status = 200, description = "What is logged now", body = Shown),
        (status = 422, description = "There is no such filter"),
    ),
)]
pub(super) async fn replace(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, Problem> {
    let body = body::read_json(request).await?;
    let wanted: Wanted = serde_json::from_slice(&body).map_err(|error| {
        if error.is_data() {
            Problem::NoLogFilter(error.to_string())
        } else {
            Problem::NotJson(error.to_string())
        }
    })?;
    let time = wanted.r#for.as_deref().map(read_time).transpose()?;
    let set = shared.log_filter.set(&wanted.filter, time);
    set.map_err(|fault| match fault {
        BadFilter::Other(error) => Problem::internal(error),
        fault => Problem::NoLogFilter(fault.to_string()),
    })?;
    Ok(show(State(shared)).await)
}

fn read_time(text: &str) -> Result<Duration, Problem> {
    let time = parse_duration(text);
    let time = time.filter(|time| !time.is_zero() && *time <= LONGEST);
    time.ok_or_else(|| {
        Problem::NoLogFilter(format!(
            "`for`: expected a time such as \"10m\", 7d at the most, found {text:?}"
        ))
    })
}
