//! Answers that a client has already (RFC 9110, section 13.1.2): who asks every few seconds gets nothing new for nothing.

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ring::digest::{SHA256, digest};

use super::problem::Problem;

/// Answers that are longer are not looked at, nor are those that are streamed.
const MAX_BYTES: u64 = 1024 * 1024;

/// What a client has already.
pub(super) struct Known {
    is_get: bool,
    tags: Vec<HeaderValue>,
}

impl Known {
    pub(super) fn by(request: &Request) -> Self {
        let tags = request.headers().get_all(header::IF_NONE_MATCH);
        Self {
            is_get: request.method() == Method::GET,
            tags: tags.iter().cloned().collect(),
        }
    }
}

/// Names what is answered, and leaves it out where the client has named it.
pub(super) async fn tag(known: Known, response: Response) -> Result<Response, Problem> {
    if !known.is_get || response.status() != StatusCode::OK {
        return Ok(response);
    }
    let length = response.body().size_hint().exact();
    let is_short = length.is_some_and(|length| length <= MAX_BYTES);
    let (mut parts, body) = response.into_parts();
    if let Some(tag) = parts.headers.get(header::ETAG) {
        return Ok(if names(&known.tags, tag) {
            not_modified(parts.headers)
        } else {
            Response::from_parts(parts, body)
        });
    }
    if !is_short {
        return Ok(Response::from_parts(parts, body));
    }
    let body = to_bytes(body, MAX_BYTES as usize).await;
    let body = body.map_err(Problem::internal)?;
    let tag = tag_of(&body)?;
    let is_known = names(&known.tags, &tag);
    parts.headers.insert(header::ETAG, tag);
    let no_cache = HeaderValue::from_static("private, no-cache");
    parts.headers.insert(header::CACHE_CONTROL, no_cache);
    if is_known {
        return Ok(not_modified(parts.headers));
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn not_modified(mut headers: HeaderMap) -> Response {
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::CONTENT_TYPE);
    headers.remove(header::CONTENT_ENCODING);
    (StatusCode::NOT_MODIFIED, headers).into_response()
}

/// Weak, since it may be compressed on its way.
fn tag_of(body: &[u8]) -> Result<HeaderValue, Problem> {
    let hash = digest(&SHA256, body);
    let start = hash.as_ref().first_chunk().copied().unwrap_or_default();
    let tag = format!("W/\"{:016x}\"", u64::from_be_bytes(start));
    HeaderValue::try_from(tag).map_err(Problem::internal)
}

/// Weak comparison (RFC 9110, section 8.8.3.2).
fn names(known: &[HeaderValue], tag: &HeaderValue) -> bool {
    let weakly = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let tag = tag.to_str().map(weakly).unwrap_or_default();
    let lists = known.iter().filter_map(|list| list.to_str().ok());
    lists
        .flat_map(|list| list.split(','))
        .any(|one| one.trim() == "*" || weakly(one) == tag)
}
