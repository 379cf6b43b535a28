//! `/api/v1/rules`: the rules as they are; replaced after they are checked.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::value::RawValue;

use super::body;
use super::{Shared, problem::Problem};

#[derive(Serialize)]
struct Page<'r> {
    items: Vec<&'r RawValue>,
    next: Option<()>,
}

/// All of them, in their order, with the keys of the configuration.
pub(super) async fn show(State(shared): State<Arc<Shared>>) -> Response {
    let rules = shared.rule_book.current();
    let items = rules.iter().map(|rule| &*rule.written).collect();
    Json(Page { items, next: None }).into_response()
}

/// Replaces all of them: TOML as in the configuration, or JSON as [`show`] has it.
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
