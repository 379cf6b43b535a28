//! Taking in a request's body: JSON of a bounded size within a bounded time.

use std::{future::poll_fn, pin::Pin, time::Duration};

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use tokio::time;

use super::problem::Problem;
use crate::config::SentRules;

/// The largest body that is taken.
pub(super) const MAX_BYTES: usize = 1024 * 1024;

/// Of a larger one so much is read and thrown away: a client that is still writing would not see the answer.
const MAX_DISCARDED_BYTES: usize = 16 * MAX_BYTES;

/// How long a client may take to send a body.
const PATIENCE: Duration = Duration::from_secs(30);

/// The body of a request that says it is JSON, or does not say what it is.
pub(super) async fn read_json(request: Request) -> Result<Vec<u8>, Problem> {
    let (bytes, headers) = read(request).await?;
    match essence(&headers) {
        Some(essence) if !is_json(&essence) => Err(Problem::WrongType(essence)),
        _ => Ok(bytes),
    }
}

/// How a body is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One JSON text.
    Json,
    /// One on each line (<https://github.com/ndjson/ndjson-spec>).
    Lines,
}

/// Media types of JSON texts on lines.
const LINES: [&str; 4] = [
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonlines",
];

/// The body of a request that brings readings: JSON if it does not say that there is one on each line.
pub(super) async fn read_readings(request: Request) -> Result<(Vec<u8>, Shape), Problem> {
    let (bytes, headers) = read(request).await?;
    match essence(&headers) {
        Some(essence)
            if LINES
                .iter()
                .any(|known| essence.eq_ignore_ascii_case(known)) =>
        {
            Ok((bytes, Shape::Lines))
        }
        Some(essence) if !is_json(&essence) => Err(Problem::WrongType(essence)),
        _ => Ok((bytes, Shape::Json)),
    }
}

/// The body of a request that brings rules: JSON if it does not say that it is TOML.
pub(super) async fn read_rules(request: Request) -> Result<SentRules, Problem> {
    let (bytes, headers) = read(request).await?;
    match essence(&headers) {
        Some(essence) if essence.eq_ignore_ascii_case("application/toml") => {
            let text = String::from_utf8(bytes);
            text.map(SentRules::from_toml)
                .map_err(|_| Problem::NoRules("the text is not UTF-8".to_owned()))
        }
        Some(essence) if !is_json(&essence) => Err(Problem::WrongType(essence)),
        _ => {
            let json = serde_json::from_slice(&bytes);
            let json = json.map_err(|error| Problem::NotJson(error.to_string()))?;
            SentRules::from_json(json).map_err(Problem::NoRules)
        }
    }
}

async fn read(request: Request) -> Result<(Vec<u8>, HeaderMap), Problem> {
    let (parts, body) = request.into_parts();
    let announced = body.size_hint().lower();
    let is_held_back = parts.headers.contains_key(header::EXPECT);
    let in_vain = if is_held_back {
        MAX_BYTES
    } else {
        MAX_DISCARDED_BYTES
    };
    if (in_vain as u64) < announced {
        return Err(Problem::TooLarge);
    }
    let bytes = time::timeout(PATIENCE, gather(body))
        .await
        .map_err(|_| Problem::TooSlow)??;
    Ok((bytes, parts.headers))
}

async fn gather(mut body: Body) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    let mut length = 0;
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|error| Problem::BrokenBody(error.to_string()))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        length += data.len();
        if MAX_DISCARDED_BYTES < length {
            break;
        }
        if length <= MAX_BYTES {
            bytes.extend_from_slice(&data);
        }
    }
    if length <= MAX_BYTES {
        Ok(bytes)
    } else {
        Err(Problem::TooLarge)
    }
}

/// The media type without its parameters.
fn essence(headers: &HeaderMap) -> Option<String> {
    let given = headers.get(header::CONTENT_TYPE)?;
    let text = String::from_utf8_lossy(given.as_bytes());
    let essence = text.split(';').next().unwrap_or("").trim();
    Some(essence.to_owned())
}

fn is_json(essence: &str) -> bool {
    let lower = essence.to_ascii_lowercase();
    lower == "application/json" || (lower.starts_with("application/") && lower.ends_with("+json"))
}
