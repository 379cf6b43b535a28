//! The HTTP door: devices without MQTT post here, people and programs look in.
//!
//! `listener` has the connections, `access` says who may, `body` and `parameters` take in what a request carries, `problem` says
//! what went wrong; each other file is one path of the contract.
//!
//! Absent on purpose: a 2xx for readings without their `Committed`; a disk access on an async thread; a body or an
//! answer without a bound.

mod access;
mod alerts;
mod body;
mod dashboard;
mod data;
mod dead_letters;
mod fresh;
mod gateway;
mod health;
mod life;
mod line;
mod listener;
mod log_filter;
mod metrics;
mod mqtt;
mod openapi;
mod outbox;
mod packed;
mod parameters;
mod problem;
mod process;
mod readings;
mod rejects;
mod rules;
mod security;
mod sensors;
mod series;
mod session;
mod status;

pub use self::readings::Format as ReadingFormat;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};

use prometheus::IntCounter;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::{task, time};
use tokio_util::sync::CancellationToken;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate, SizeAbove};

use crate::access::{Access, Guest, OwnNames};
use crate::config::{Anonymous, Http};
use crate::domain::uplink::UplinkStatus;
use crate::ingest::{Decoder, Health, Refused, RuleBook, Submission, SubmissionQueue, Traces};
use crate::logging::LogFilter;
use crate::metrics::Metrics;
use crate::store::{Committed, Reader, outbox::UplinkKey};
use crate::tls;

use utoipa::ToSchema;

use access::Pages;
use problem::Problem;
use process::Process;

/// Asks an uplink how it goes. Called for each request that shows it: it must not wait.
pub type UplinkHandle = Arc<dyn Fn() -> UplinkStatus + Send + Sync>;

/// A store that does not answer a short question within this time is not well.
const STORE_PATIENCE: Duration = Duration::from_secs(5);

/// What fits into one packet is not compressed.
const MIN_PACKED_BYTES: u16 = 1024;

/// The rest of the gateway, as the server sees it.
pub struct Surroundings {
    pub gateway_id: Arc<str>,
    pub reader: Reader,
    pub submissions: SubmissionQueue,
    pub health: Arc<Health>,
    /// Empty when nothing is forwarded.
    pub uplinks: Vec<(UplinkKey, UplinkHandle)>,
    pub rule_book: Arc<RuleBook>,
    pub traces: Arc<Traces>,
    pub decoder: Arc<Decoder>,
    pub access: Arc<Access>,
    /// Where sensors publish.
    pub mqtt: SocketAddr,
    /// The way to the broker for who comes by HTTP.
    pub guests: mpsc::Sender<Guest>,
    pub metrics: Arc<Metrics>,
    pub log_filter: Arc<LogFilter>,
    /// What the store's files may take.
    pub max_bytes: u64,
}

/// What all requests share.
struct Shared {
    gateway_id: Arc<str>,
    access: Arc<Access>,
    anonymous: Anonymous,
    pages: Pages,
    /// Who tries rules against the past.
    replays: Arc<Semaphore>,
    started: Instant,
    mqtt: SocketAddr,
    guests: mpsc::Sender<Guest>,
    reader: Reader,
    submissions: SubmissionQueue,
    health: Arc<Health>,
    uplinks: Vec<(UplinkKey, UplinkHandle)>,
    rule_book: Arc<RuleBook>,
    traces: Arc<Traces>,
    decoder: Arc<Decoder>,
    metrics: Arc<Metrics>,
    log_filter: Arc<LogFilter>,
    received: IntCounter,
    process: Process,
    max_bytes: u64,
}

/// The HTTP server, ready to run.
pub struct Server {
    shared: Arc<Shared>,
}

impl Server {
    /// Puts the server together.
    pub fn new(config: &Http, surroundings: Surroundings) -> Self {
        let metrics = surroundings.metrics;
        let shared = Shared {
            gateway_id: surroundings.gateway_id,
            access: surroundings.access,
            anonymous: config.anonymous,
            pages: Pages {
                own_names: OwnNames::new(config.anonymous, config.host_name.clone()),
                allowed: config.allowed_origins.clone(),
            },
            replays: Arc::new(Semaphore::new(1)),
            started: Instant::now(),
            mqtt: surroundings.mqtt,
            guests: surroundings.guests,
            reader: surroundings.reader,
            submissions: surroundings.submissions,
            health: surroundings.health,
            uplinks: surroundings.uplinks,
            max_bytes: surroundings.max_bytes,
            rule_book: surroundings.rule_book,
            traces: surroundings.traces,
            decoder: surroundings.decoder,
            received: metrics.readings_received.with_label_values(&["http"]),
            metrics,
            log_filter: surroundings.log_filter,
            process: Process::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Serves until `stop`, then finishes the requests in flight. Until it returns the committer has a sender.
    pub async fn run(
        self,
        plain: TcpListener,
        tls: Option<(TcpListener, Arc<tls::Server>)>,
        stop: CancellationToken,
    ) {
        listener::serve(plain, tls, router(self.shared), stop).await;
    }
}

fn router(shared: Arc<Shared>) -> Router {
    let guarded = Router::new()
        .route("/data", get(data::show).post(data::take))
        .route("/status", get(status::show).post(status::take))
        .route("/api/v1/readings", get(readings::show))
        .route("/api/v1/readings/{id}", get(life::show))
        .route("/api/v1/sensors", get(sensors::show))
        .route("/api/v1/series", get(series::show))
        .route("/api/v1/outbox", get(outbox::show))
        .route("/api/v1/dead-letters", get(dead_letters::show))
        .route("/api/v1/dead-letters/{id}", delete(dead_letters::drop))
        .route("/api/v1/dead-letters/{id}/retry", post(dead_letters::retry))
        .route("/api/v1/rejects", get(rejects::show))
        .route("/api/v1/rejects/{id}", delete(rejects::drop))
        .route("/api/v1/rejects/{id}/retry", post(rejects::retry))
        .route("/api/v1/alerts", get(alerts::show))
        .route("/api/v1/alerts/{id}/ack", post(alerts::acknowledge))
        .route("/api/v1/rules", get(rules::show).put(rules::replace))
        .route(
            "/api/v1/log-filter",
            get(log_filter::show).put(log_filter::replace),
        )
        .route("/api/v1/rules/check", post(rules::check))
        .route("/api/v1/rules/test", post(rules::test))
        .route("/api/v1/gateway", get(gateway::show))
        .route("/openapi.json", get(openapi::show))
        .route("/metrics", get(metrics::show))
        .route("/mqtt", get(mqtt::enter))
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::wrong_method)
        .layer(from_fn_with_state(Arc::clone(&shared), access::admit));
    let door = get(session::show).post(session::begin).delete(session::end);
    let pages = Router::new()
        .route("/api/v1/session", door)
        .route("/", get(dashboard::page))
        .route("/dashboard/{*path}", get(dashboard::part))
        .method_not_allowed_fallback(problem::wrong_method)
        .layer(from_fn_with_state(Arc::clone(&shared), access::admit_page));
    let open = Router::new()
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .method_not_allowed_fallback(problem::wrong_method);
    let mut all = guarded
        .merge(pages)
        .merge(open)
        .layer(from_fn(finish))
        .layer(packed());
    if !shared.pages.allowed.is_empty() {
        all = all.layer(security::allow(&shared.pages.allowed));
    }
    all.with_state(shared)
}

/// What is done to each answer.
async fn finish(request: Request, next: Next) -> Result<Response, Problem> {
    let known = fresh::Known::by(&request);
    let mut response = fresh::tag(known, next.run(request).await).await?;
    security::protect(response.headers_mut());
    Ok(response)
}

/// Compresses what is long enough to gain by it. A board has better to do than to look for the last percent.
fn packed() -> CompressionLayer<impl Predicate> {
    CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(DefaultPredicate::new().and(SizeAbove::new(MIN_PACKED_BYTES)))
}

/// Part of a list, and what `after` takes for the next one; `None` at the end.
#[derive(Serialize, ToSchema)]
struct Page<T> {
    items: Vec<T>,
    next: Option<i64>,
}

/// The answer to what was asked for and is on disk.
fn done(_: Committed) -> Response {
    #[derive(Serialize)]
    struct Done {
        status: &'static str,
    }
    Json(Done { status: "success" }).into_response()
}

impl Shared {
    /// Hands over what a request brought and waits until it is on disk.
    async fn commit(&self, mut submission: Submission) -> Result<Committed, Problem> {
        if self.health.is_full() {
            return Err(Refused::Full.into());
        }
        if let Some(trouble) = self.health.trouble() {
            // What is not taken can be sent again at once when it is over; waiting for that would tell nobody.
            return Err(Problem::unwell(trouble));
        }
        submission.is_indivisible = true;
        let mut receipt = submission.receipt();
        let place = self
            .submissions
            .reserve(submission.weight())
            .await
            .map_err(|_| Problem::Stopping)?;
        place.submit(submission);
        Ok(receipt.committed().await?)
    }

    /// Looks at the store on a thread that may block.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Reader) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let reader = self.reader.clone();
        task::spawn_blocking(move || look(&reader)).await?
    }

    /// Looks at the store if it answers soon.
    async fn glance<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Reader) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        time::timeout(STORE_PATIENCE, self.look(look))
            .await
            .unwrap_or_else(|_| Err(Problem::unwell("the store does not answer")))
    }

    fn uplink_statuses(&self) -> Vec<(UplinkKey, UplinkStatus)> {
        let ask = |(key, ask): &(UplinkKey, UplinkHandle)| (*key, ask());
        self.uplinks.iter().map(ask).collect()
    }
}

#[cfg(test)]
mod tests;
