//! `/data`: readings come in by POST, all or nothing; GET shows the newest value of each sensor.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::access::Peer;
use super::body::{self, Shape};
use super::openapi::shapes;
use super::{Shared, problem::Problem};
use crate::access::Visitor;
use crate::clock;
use crate::ingest::{Source, Submission, decode};
use crate::store::{Committed, LastReading};

/// Takes the readings of one request; answers when they are on disk.
#[utoipa::path(
    post, path = "/data", tag = "readings",
    request_body(content(
        (shapes::NewReadings = "application/json"),
        (String = "application/x-ndjson"),
    )),
    responses(
        (status = 201, description = "On disk", body = Received),
        (status = 413, description = "Larger than 1 MiB"),
        (status = 422, description = "A reading is bad; nothing is stored"),
    ),
)]
pub(super) async fn take(
    State(shared): State<Arc<Shared>>,
    Extension(visitor): Extension<Visitor>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Result<Response, Problem> {
    let (body, shape) = body::read_readings(request).await?;
    let mut submission = Submission::default();
    submission.readings = match shape {
        Shape::Json => decode::decode_request(&body, clock::now()),
        Shape::Lines => decode::decode_lines(&body, clock::now()),
    }?;
    submission.source = Some(Source {
        transport: "http",
        client: visitor.name().map(Into::into),
        address: peer.address.ip(),
    });
    shared.received.inc_by(submission.readings.len() as u64);
    let committed = shared.commit(submission).await?;
    Ok(received(committed))
}

#[derive(Serialize, ToSchema)]
struct Received {
    status: &'static str,
    message: &'static str,
}

fn received(_: Committed) -> Response {
    let received = Received {
        status: "success",
        message: "Data received!",
    };
    (StatusCode::CREATED, Json(received)).into_response()
}

/// The newest value of each sensor, from memory.
#[utoipa::path(
    get, path = "/data", tag = "readings",
    responses((status = 200, description = "The newest value of each sensor", body = HashMap<String, f64>)),
)]
pub(super) async fn show(State(shared): State<Arc<Shared>>) -> Response {
    Json(Values(shared.reader.last_readings())).into_response()
}

/// `{"s1":80.0,…}`
struct Values(Vec<LastReading>);

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|last| (&last.sensor_id, last.value)))
    }
}
