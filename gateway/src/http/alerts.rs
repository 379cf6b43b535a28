//! `/api/v1/alerts`: somebody has seen one.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;

use super::parameters::number;
use super::{Shared, done, problem::Problem};
use crate::ingest::Submission;

/// Acknowledges the alert of which `id` is any event. One that is over, or was seen before, stays as it is.
pub(super) async fn acknowledge(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let nothing = || Problem::NoSuchPath(uri.path().to_owned());
    let id = number(&id, i64::MAX).map_err(|_| nothing())?;
    if !shared.look(move |reader| Ok(reader.has_alert(id)?)).await? {
        return Err(nothing());
    }
    let mut submission = Submission::default();
    submission.acknowledged.push(id);
    Ok(done(shared.commit(submission).await?))
}
