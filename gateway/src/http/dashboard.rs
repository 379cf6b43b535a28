//! `/` and `/dashboard/…`: the page and what belongs to it, out of the binary. Everybody may have it: it shows nothing but what
//! it asks the API for.

use axum::extract::Path;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;

use super::{packed, problem::Problem, security};

const INDEX: &str = "index.html";

/// The page.
pub(super) async fn page(uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    show(INDEX, &uri, &headers)
}

/// What belongs to it.
pub(super) async fn part(
    Path(path): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    show(&path, &uri, &headers)
}

fn show(path: &str, uri: &Uri, headers: &HeaderMap) -> Result<Response, Problem> {
    let mut response = packed::serve(path, uri, headers)?;
    security::protect_page(response.headers_mut());
    Ok(response)
}
