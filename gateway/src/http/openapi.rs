//! `GET /openapi.json`: what the API takes and gives, for programs. It is `gateway/openapi.json`, as checked in: making it takes
//! more room in a binary than all of the broker. A test makes it anew, and another asks the API itself whether it is true.

#[cfg(test)]
pub(in crate::http) mod description;
pub(super) mod shapes;

use axum::http::{HeaderMap, Uri};
use axum::response::Response;

use super::{packed, problem::Problem};

/// The description.
pub(super) async fn show(uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    packed::serve("/openapi.json", &uri, &headers)
}
