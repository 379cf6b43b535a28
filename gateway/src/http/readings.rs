//! `GET /api/v1/readings`: stored readings, newest first, a page at a time.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use url::form_urlencoded;

use super::parameters::{Pairs, number, sensor, take_each};
use super::{Shared, problem::Problem};
use crate::domain::reading::ReadingId;
use crate::store::{Reader, ReadingQuery};

const MAX_LIMIT: usize = 10_000;
const DEFAULT_LIMIT: usize = 100;

/// A page ends early when it has so many bytes; `next` goes on from there.
const MAX_PAGE_BYTES: usize = 8 * 1024 * 1024;

/// So many readings are taken from the store at once, each in a short transaction.
const CHUNK: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    Ndjson,
}

/// What was asked for.
#[derive(Debug)]
struct Wanted {
    query: ReadingQuery,
    format: Format,
}

/// An answer's body and where the next page begins.
#[derive(Debug)]
struct Page {
    body: Vec<u8>,
    next: Option<ReadingId>,
}

/// A page of readings.
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Query(pairs): Query<Pairs>,
) -> Result<Response, Problem> {
    let Wanted { query, format } = parse(&pairs)?;
    let page = shared
        .look(move |reader| read_page(reader, query, format))
        .await?;
    let content_type = match format {
        Format::Json => HeaderValue::from_static("application/json"),
        Format::Ndjson => HeaderValue::from_static("application/x-ndjson"),
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, content_type);
    if let Some(next) = page.next {
        headers.insert(header::LINK, link_to(&pairs, next)?);
    }
    Ok((headers, page.body).into_response())
}

fn parse(pairs: &[(String, String)]) -> Result<Wanted, Problem> {
    let mut wanted = Wanted {
        query: ReadingQuery {
            sensor_id: None,
            before: None,
            limit: DEFAULT_LIMIT,
            max_bytes: MAX_PAGE_BYTES,
        },
        format: Format::Json,
    };
    let query = &mut wanted.query;
    take_each(pairs, |name, value| {
        match name {
            "sensor" => query.sensor_id = Some(sensor(value)?),
            "limit" => query.limit = number(value, MAX_LIMIT as i64)? as usize,
            "after" => query.before = Some(ReadingId(number(value, i64::MAX)?)),
            "format" => wanted.format = format(value)?,
            "from" | "to" => return Err("not yet supported by this version".to_owned()),
            _ => return Err("unknown; there are sensor, limit, after and format".to_owned()),
        }
        Ok(())
    })?;
    Ok(wanted)
}

fn format(text: &str) -> Result<Format, String> {
    match text {
        "json" => Ok(Format::Json),
        "ndjson" => Ok(Format::Ndjson),
        "csv" => Err("csv is not yet supported by this version: expected json or ndjson".into()),
        _ => Err("expected json or ndjson".into()),
    }
}

/// Blocks. Readings never change and newer ones are not asked for, so the chunks make one picture.
fn read_page(reader: &Reader, mut query: ReadingQuery, format: Format) -> Result<Page, Problem> {
    let mut left = query.limit;
    let mut body = Vec::new();
    if format == Format::Json {
        body.extend_from_slice(b"{\"items\":[");
    }
    let start = body.len();
    let next = loop {
        query.limit = left.min(CHUNK);
        query.max_bytes = MAX_PAGE_BYTES.saturating_sub(body.len()).max(1);
        let chunk = reader.readings(&query)?;
        for reading in &chunk.readings {
            if format == Format::Json && start < body.len() {
                body.push(b',');
            }
            let begin = body.len();
            serde_json::to_writer(&mut body, reading)?;
            if format == Format::Ndjson {
                unbreak(&mut body[begin..]);
                body.push(b'\n');
            }
        }
        left -= chunk.readings.len();
        let is_cut_short = chunk.readings.len() < query.limit;
        if chunk.next.is_none() || left == 0 || is_cut_short || MAX_PAGE_BYTES <= body.len() {
            break chunk.next;
        }
        query.before = chunk.next;
    };
    if format == Format::Json {
        body.extend_from_slice(b"],\"next\":");
        serde_json::to_writer(&mut body, &next)?;
        body.push(b'}');
    }
    Ok(Page { body, next })
}

/// Puts a JSON text on one line. In texts line breaks are escaped: those that stand there are only white space, in
/// attributes as they were sent.
fn unbreak(json: &mut [u8]) {
    for byte in json {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

/// The next page (RFC 8288), for formats that have no place for it in the body.
fn link_to(pairs: &[(String, String)], next: ReadingId) -> Result<HeaderValue, Problem> {
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs.iter().filter(|(name, _)| name != "after"))
        .append_pair("after", &next.to_string())
        .finish();
    HeaderValue::try_from(format!("<?{query}>; rel=\"next\"")).map_err(Problem::internal)
}
