//! `GET /api/v1/readings`: stored readings, newest first; a page at a time, or all of them as a stream.

mod rows;

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use url::form_urlencoded;

pub use self::rows::Format;
use super::openapi::shapes;
use super::parameters::{DEFAULT_LIMIT, Pairs, moment, number, sensor, take_each};
use super::series::Part;
use super::{Shared, problem::Problem};
use crate::domain::reading::ReadingId;
use crate::store::{Reader, ReadingQuery};

const MAX_LIMIT: usize = 10_000;

/// A page ends early when it has so many bytes; `next` goes on from there.
const MAX_PAGE_BYTES: usize = 8 * 1024 * 1024;

/// A page also ends early when so many readings were looked through: who asks for rare ones is not kept waiting.
const MAX_LOOKED_THROUGH: usize = 2_000_000;

/// So many readings are taken from the store at once, each in a short transaction.
const CHUNK: usize = 100;

/// The same of a stream, which is as much as waits for who reads slowly.
const STREAM_CHUNK: usize = 1000;
const STREAM_BYTES: usize = 256 * 1024;

/// What was asked for.
#[derive(Debug)]
struct Wanted {
    query: ReadingQuery,
    format: Format,
    /// `None`: all of them as a stream, where the format has no end that a page would need.
    limit: Option<usize>,
}

/// An answer's body and where the next page begins.
#[derive(Debug)]
struct Page {
    body: Vec<u8>,
    next: Option<ReadingId>,
}

/// A page of readings, or a stream of all.
#[utoipa::path(
    get, path = "/api/v1/readings", tag = "readings",
    description = "Newest first. Without `limit` csv and ndjson are streamed to the last.",
    params(
        ("sensor" = Option<String>, Query, pattern = r"^[^+#$/\x00-\x1f\x7f-\x9f][^+#/\x00-\x1f\x7f-\x9f]*(/[^+#/\x00-\x1f\x7f-\x9f]+)*$", max_length = 256),
        ("from" = Option<i64>, Query, minimum = 0, maximum = 7_258_118_399_999_i64),
        ("to" = Option<i64>, Query, minimum = 0, maximum = 7_258_118_399_999_i64),
        ("limit" = Option<i64>, Query, description = "Items of a page; 100 if not given", minimum = 1, maximum = 10000),
        ("after" = Option<i64>, Query, description = "`next` of the page before", minimum = 1),
        ("format" = Option<Format>, Query),
    ),
    responses(
        (status = 200, description = "A page", content(
            (shapes::ReadingPage = "application/json"),
            (String = "text/csv"),
            (String = "application/x-ndjson"),
        )),
        (status = 400, description = "A parameter is bad"),
    ),
)]
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Query(pairs): Query<Pairs>,
) -> Result<Response, Problem> {
    let Wanted {
        mut query,
        format,
        limit,
    } = parse(&pairs)?;
    let mut headers = HeaderMap::new();
    let content_type = HeaderValue::from_static(format.content_type());
    headers.insert(header::CONTENT_TYPE, content_type);
    let limit = match limit {
        None if format != Format::Json => {
            return Ok((headers, stream_all(shared, query, format)).into_response());
        }
        limit => limit.unwrap_or(DEFAULT_LIMIT),
    };
    query.limit = limit;
    let page = shared
        .look(move |reader| read_page(reader, query, format))
        .await?;
    if let Some(next) = page.next {
        headers.insert(header::LINK, link_to(&pairs, next)?);
    }
    Ok((headers, page.body).into_response())
}

fn parse(pairs: &[(String, String)]) -> Result<Wanted, Problem> {
    let mut wanted = Wanted {
        query: ReadingQuery {
            max_bytes: MAX_PAGE_BYTES,
            max_looked_through: MAX_LOOKED_THROUGH,
            ..ReadingQuery::newest(DEFAULT_LIMIT)
        },
        format: Format::Json,
        limit: None,
    };
    take_each(pairs, |name, value| {
        let query = &mut wanted.query;
        match name {
            "sensor" => query.sensor_id = Some(sensor(value)?),
            "from" => query.from = Some(moment(value)?),
            "to" => query.to = Some(moment(value)?),
            "limit" => wanted.limit = Some(number(value, MAX_LIMIT as i64)? as usize),
            "after" => query.before = Some(ReadingId(number(value, i64::MAX)?)),
            "format" => wanted.format = Format::named(value)?,
            _ => {
                let known = "unknown; there are sensor, from, to, limit, after and format";
                return Err(known.to_owned());
            }
        }
        Ok(())
    })?;
    Ok(wanted)
}

/// Blocks. Readings never change and newer ones are not asked for, so the chunks make one picture.
fn read_page(reader: &Reader, mut query: ReadingQuery, format: Format) -> Result<Page, Problem> {
    let mut left = query.limit;
    let mut body = format.head().to_vec();
    let start = body.len();
    let next = loop {
        query.limit = left.min(CHUNK);
        query.max_bytes = MAX_PAGE_BYTES.saturating_sub(body.len()).max(1);
        let chunk = reader.readings(&query)?;
        for reading in &chunk.readings {
            if format == Format::Json && start < body.len() {
                body.push(b',');
            }
            format.write(&mut body, reading)?;
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
        let thinned = reader.thinned(query.from, query.to)?;
        if !thinned.is_empty() {
            let parts: Vec<Part> = thinned.into_iter().map(Part::from).collect();
            body.extend_from_slice(b",\"thinned\":");
            serde_json::to_writer(&mut body, &parts)?;
        }
        body.push(b'}');
    }
    Ok(Page { body, next })
}

/// All that are asked for, a chunk in memory at a time. An error breaks the answer off, so that it is not taken for whole.
fn stream_all(shared: Arc<Shared>, mut query: ReadingQuery, format: Format) -> Body {
    query.limit = STREAM_CHUNK;
    query.max_bytes = STREAM_BYTES;
    let begin = Some((query, Bytes::from_static(format.head())));
    let chunks = stream::try_unfold(begin, move |state| {
        let shared = Arc::clone(&shared);
        async move {
            let Some((mut query, head)) = state else {
                return Ok::<_, Problem>(None);
            };
            let asked = query.clone();
            let read = move |reader: &Reader| {
                let page = reader.readings(&asked)?;
                let mut body = head.to_vec();
                for reading in &page.readings {
                    format.write(&mut body, reading)?;
                }
                Ok((body, page.next))
            };
            let (body, next) = shared.look(read).await?;
            query.before = next;
            let rest = next.map(|_| (query, Bytes::new()));
            Ok(Some((Bytes::from(body), rest)))
        }
    });
    Body::from_stream(chunks)
}

/// The next page (RFC 8288), for formats that have no place for it in the body.
fn link_to(pairs: &[(String, String)], next: ReadingId) -> Result<HeaderValue, Problem> {
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs.iter().filter(|(name, _)| name != "after"))
        .append_pair("after", &next.to_string())
        .finish();
    HeaderValue::try_from(format!("<?{query}>; rel=\"next\"")).map_err(Problem::internal)
}
