//! The HTTP side: `POST /api/sync`, `GET /stats`, `PUT /script`.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{
        ConnectInfo, DefaultBodyLimit, State,
        connect_info::Connected,
        rejection::{BytesRejection, JsonRejection},
    },
    http::{HeaderMap, StatusCode, Version},
    response::{IntoResponse, Response},
    routing::{get, post, put},
    serve::IncomingStream,
};
use tokio::time;
use tokio_util::sync::CancellationToken;

use crate::cloud::{
    Shared,
    answer::{Answer, Body},
    listener::Ready,
    script::{Plan, Step},
    stats::Stats,
    submission,
};

/// Who speaks, and how to cut the connection.
#[derive(Clone)]
struct Peer {
    address: SocketAddr,
    cut: CancellationToken,
    /// A request has come over the connection.
    has_asked: Arc<AtomicBool>,
}

impl Connected<IncomingStream<'_, Ready>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Ready>) -> Self {
        Self {
            address: *stream.remote_addr(),
            cut: stream.io().cut(),
            has_asked: Arc::default(),
        }
    }
}

/// Serves until `shared.ending`, then finishes what is in flight.
pub(super) async fn serve(
    ready: Ready,
    shared: Arc<Shared>,
    max_body_bytes: usize,
) -> std::io::Result<()> {
    let ending = shared.ending.clone();
    let router = Router::new()
        .route("/api/sync", post(sync))
        .route("/stats", get(stats))
        .route("/script", put(script))
        .layer(DefaultBodyLimit::max(max_body_bytes))
        .with_state(shared)
        .into_make_service_with_connect_info::<Peer>();
    axum::serve(ready, router)
        .with_graceful_shutdown(ending.cancelled_owned())
        .await
}

async fn stats(State(shared): State<Arc<Shared>>) -> Json<Stats> {
    Json(shared.stats())
}

/// Only loopback may write the script: it decides what is stored.
async fn script(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    plan: Result<Json<Plan>, JsonRejection>,
) -> Response {
    if !peer.address.ip().to_canonical().is_loopback() {
        return Answer::problem(403, "the script is written from loopback").into_response();
    }
    let Json(plan) = match plan {
        Ok(plan) => plan,
        Err(rejection) => {
            return Answer::problem(rejection.status().as_u16(), rejection.body_text())
                .into_response();
        }
    };
    match shared.script.replace(plan) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => Answer::problem(422, error.to_string()).into_response(),
    }
}

async fn sync(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    version: Version,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    {
        let stats = &mut shared.store().stats;
        stats.requests += 1;
        stats.requests_over_http2 += u64::from(version == Version::HTTP_2);
        stats.connections += u64::from(!peer.has_asked.swap(true, Ordering::Relaxed));
        stats.bytes += body.as_ref().map_or(0, |body| body.len() as u64);
    }
    shared.changed.notify_waiters();
    let answer = match body {
        Ok(body) => answer(&shared, &peer, &headers, &body).await,
        Err(rejection) => Some(Answer::problem(
            rejection.status().as_u16(),
            rejection.body_text(),
        )),
    };
    let response = {
        let stats = &mut shared.store().stats;
        match answer {
            Some(answer) => {
                *stats.by_status.entry(answer.status).or_default() += 1;
                answer.into_response()
            }
            None => {
                stats.dropped += 1;
                peer.cut.cancel();
                // Never written: the connection is cut.
                StatusCode::NO_CONTENT.into_response()
            }
        }
    };
    shared.changed.notify_waiters();
    response
}

/// The answer, or `None` if the connection is to be dropped.
async fn answer(shared: &Shared, peer: &Peer, headers: &HeaderMap, body: &[u8]) -> Option<Answer> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(token) = &shared.expect_token
        && text("authorization").and_then(|value| value.strip_prefix("Bearer ")) != Some(token)
    {
        return Some(Answer::problem(401, "a bearer token is needed"));
    }
    let Some(key) = text("idempotency-key").filter(|key| !key.is_empty()) else {
        return Some(Answer::problem(400, "Idempotency-Key is missing"));
    };
    let body = match submission::decode(text("content-encoding"), body) {
        Ok(body) => body,
        Err(error) => return Some(error.into()),
    };
    let same_body = {
        let mut store = shared.store();
        store.stats.decoded_bytes += body.len() as u64;
        store.see_key(key, &body)
    };
    let mut changes = shared.script.changes();
    let step = shared.script.next();
    if step.hang {
        let _hanging = Hanging::begin(shared);
        tokio::select! {
            _ = changes.changed() => {}
            () = shared.ending.cancelled() => {}
            () = peer.cut.cancelled() => {}
        }
        return None;
    }
    if step.delay_ms != 0 {
        let delay = time::sleep(Duration::from_millis(step.delay_ms));
        peer.cut.run_until_cancelled(delay).await?;
    }
    if step.close {
        return None;
    }
    Some(match same_body {
        true => take(shared, key, &body, step),
        false => Answer::problem(422, "Idempotency-Key was used for another body"),
    })
}

/// Counts a hung request for as long as it hangs, also when the client gives up first.
struct Hanging<'a>(&'a Shared);

impl<'a> Hanging<'a> {
    fn begin(shared: &'a Shared) -> Self {
        shared.store().stats.hanging += 1;
        shared.changed.notify_waiters();
        Self(shared)
    }
}

impl Drop for Hanging<'_> {
    fn drop(&mut self) {
        self.0.store().stats.hanging -= 1;
        self.0.changed.notify_waiters();
    }
}

/// Stores the readings and answers, as `step` says.
fn take(shared: &Shared, key: &str, body: &[u8], step: Step) -> Answer {
    if !step.stores() {
        return Answer::scripted(step, None);
    }
    let submission = match submission::parse(key, body) {
        Ok(submission) => submission,
        Err(error) => return error.into(),
    };
    if let Some(status) = shared.script.refusal(submission.sensors()) {
        return Answer::problem(status, "refused by the script");
    }
    let outcome = shared.store().store(key, &submission);
    if step.store_then_fail {
        return Answer::problem(500, "stored, but told otherwise");
    }
    let body = Body::Accepted {
        accepted: outcome.stored,
        duplicates: outcome.duplicates,
    };
    Answer::scripted(step, Some(body))
}
