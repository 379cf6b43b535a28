//! Files that are packed into the binary.

use std::io::Read as _;

use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use flate2::read::GzDecoder;

use super::problem::Problem;

/// One of them.
struct File {
    path: &'static str,
    media_type: &'static str,
    /// By gzip.
    packed: &'static [u8],
}

/// Made by `build.rs`.
const FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/packed.rs"));

/// Answers with one of them.
pub(super) fn serve(path: &str, uri: &Uri, headers: &HeaderMap) -> Result<Response, Problem> {
    let file = FILES.iter().find(|file| file.path == path);
    let file = file.ok_or_else(|| Problem::no_such_path(uri))?;
    let mut response = if accepts_gzip(headers) {
        let encoding = [(header::CONTENT_ENCODING, "gzip")];
        (encoding, file.packed).into_response()
    } else {
        let mut plain = Vec::new();
        let unpacked = GzDecoder::new(file.packed).read_to_end(&mut plain);
        unpacked.map_err(Problem::internal)?;
        plain.into_response()
    };
    let answer = response.headers_mut();
    let media_type = HeaderValue::from_static(file.media_type);
    answer.insert(header::CONTENT_TYPE, media_type);
    answer.insert(header::ETAG, file.tag()?);
    answer.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    Ok(response)
}

impl File {
    /// Check sum and length, which gzip has at its end (RFC 1952, section 2.3.1). Weak, since the encoding may differ.
    fn tag(&self) -> Result<HeaderValue, Problem> {
        let end = self.packed.last_chunk().copied().unwrap_or_default();
        let tag = format!("W/\"{:016x}\"", u64::from_le_bytes(end));
        HeaderValue::try_from(tag).map_err(Problem::internal)
    }
}

/// Clients that want none of it say so with a weight of zero (RFC 9110, section 12.5.3).
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(header::ACCEPT_ENCODING).iter();
    let words = lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','));
    words.map(str::trim).any(|word| {
        let (name, weight) = word.split_once(';').unwrap_or((word, "q=1"));
        let weight = weight.trim().trim_start_matches("q=").parse::<f32>();
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_ok_and(|weight| 0.0 < weight)
    })
}
