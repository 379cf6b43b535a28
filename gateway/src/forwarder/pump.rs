//! The loop: outbox → batch → uplink → verdict → outbox. One batch on its way at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::batch;
use super::payload::{self, Body, PayloadError, Sender};
use super::status::StatusHandle;
use super::uplink::Uplink;
use super::verdict::Verdict;
use crate::clock;
use crate::config::Cloud;
use crate::domain::reading::ReadingId;
use crate::ingest::{OutboxRequest, SubmissionQueue};
use crate::metrics::Metrics;
use crate::store::outbox::Batch;
use crate::store::{Reader, StoreError};

/// Batches that were recorded before a restart are taken up again so many at a time.
const RECORDED_AT_ONCE: usize = 100;
/// Batches whose confirmations are written together.
const CONFIRM_AT_ONCE: usize = 100;
/// After an error of the store or an impossible batch.
const TROUBLE_PAUSE: Duration = Duration::from_secs(5);

/// Brings the outbox to one cloud.
#[derive(Debug)]
pub struct Pump {
    config: Cloud,
    gateway_id: Arc<str>,
    uplink: Uplink,
    reader: Reader,
    submissions: SubmissionQueue,
    wake: Arc<Notify>,
    metrics: Arc<Metrics>,
    status: StatusHandle,
    backoff: Backoff,
    /// Recorded batches up to here have been taken up.
    last_recorded: i64,
    has_taken_up_recorded: bool,
    /// Readings up to here are in a batch.
    last_claimed: ReadingId,
}

/// Why the pump pauses or ends.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("the gateway is stopping")]
    Stopped,
    #[error("the outbox cannot be read: {0}")]
    Store(#[from] StoreError),
    #[error("a batch cannot be encoded: {0}")]
    Payload(#[from] PayloadError),
    #[error("a blocking task failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl Pump {
    /// Puts the pump together. `wake` is told when something came into the outbox.
    pub fn new(
        config: Cloud,
        gateway_id: Arc<str>,
        uplink: Uplink,
        reader: Reader,
        submissions: SubmissionQueue,
        wake: Arc<Notify>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            backoff: Backoff::new(config.retry_initial, config.retry_max),
            config,
            gateway_id,
            uplink,
            reader,
            submissions,
            wake,
            metrics,
            status: StatusHandle::default(),
            last_recorded: 0,
            has_taken_up_recorded: false,
            last_claimed: ReadingId(0),
        }
    }

    /// A view of what it does.
    pub fn status(&self) -> StatusHandle {
        self.status.clone()
    }

    /// Runs until `stop`. What is on its way then is sent again, under the same key, after the next start.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let round = tokio::select! {
                round = self.round() => round,
                () = stop.cancelled() => return,
            };
            match round {
                Ok(()) => {}
                Err(Trouble::Stopped) => return,
                Err(trouble) => {
                    tracing::error!(error = %trouble, "forwarding pauses");
                    self.has_taken_up_recorded = false;
                    self.last_recorded = 0;
                    tokio::select! {
                        () = sleep(TROUBLE_PAUSE) => {}
                        () = stop.cancelled() => return,
                    }
                }
            }
        }
    }

    /// Brings some batches to the cloud: those recorded before a restart first, then new ones.
    async fn round(&mut self) -> Result<(), Trouble> {
        if !self.has_taken_up_recorded {
            let recorded = self.recorded().await?;
            if recorded.is_empty() {
                self.has_taken_up_recorded = true;
            }
            return self.deliver(recorded).await;
        }
        let batches = self.claim().await?;
        self.deliver(batches).await
    }

    async fn recorded(&mut self) -> Result<Vec<Batch>, Trouble> {
        let (reader, after) = (self.reader.clone(), self.last_recorded);
        let batches =
            spawn_blocking(move || reader.recorded_batches(after, RECORDED_AT_ONCE)).await??;
        self.take_note(&batches);
        Ok(batches)
    }

    fn take_note(&mut self, batches: &[Batch]) {
        for batch in batches {
            self.last_recorded = self.last_recorded.max(batch.id);
            self.last_claimed = self
                .last_claimed
                .max(batch.readings.last().copied().unwrap_or(ReadingId(0)));
        }
    }

    /// Waits for readings, gathers them for as long as `batch_linger` says, and records what goes out next.
    async fn claim(&mut self) -> Result<Vec<Batch>, Trouble> {
        let limit = self.config.batch_max_readings;
        let batches = loop {
            let (reader, after) = (self.reader.clone(), self.last_claimed);
            let config = self.config.clone();
            let (cut, count, oldest) = spawn_blocking(move || {
                let readings = reader.outbox_readings(after, limit)?;
                let oldest = readings.first().map(|reading| reading.received_at);
                let cut = batch::cut(&readings, &config);
                Ok::<_, StoreError>((cut, readings.len(), oldest))
            })
            .await??;
            let Some(oldest) = oldest else {
                self.wake.notified().await;
                continue;
            };
            let age = clock::now() - oldest;
            let is_full = limit <= count
                || cut
                    .first()
                    .is_some_and(|first| 1 < first.len() && first.len() < count);
            if is_full || self.config.batch_linger <= age {
                break cut;
            }
            self.linger(self.config.batch_linger - age).await;
        };
        let (done, recorded) = oneshot::channel();
        let request = OutboxRequest::Record {
            format: payload::format_name(self.config.format).into(),
            compression: payload::compression_name(self.config.compression).into(),
            batches,
            done,
        };
        self.request(request).await?;
        let batches = recorded.await.map_err(|_| Trouble::Stopped)?;
        self.take_note(&batches);
        Ok(batches)
    }

    /// Waits until a batch may be full or the time is over.
    async fn linger(&self, time: Duration) {
        let until = Instant::now() + time;
        let is_full = || self.config.batch_max_readings as u64 <= self.reader.outbox_pending();
        while !is_full() {
            tokio::select! {
                () = sleep_until(until) => return,
                () = self.wake.notified() => {}
            }
        }
    }

    async fn request(&self, request: OutboxRequest) -> Result<(), Trouble> {
        let asked = self.submissions.request(request).await;
        asked.map_err(|_| Trouble::Stopped)
    }

    /// Sends batches in their order, each until it is delivered.
    async fn deliver(&mut self, batches: Vec<Batch>) -> Result<(), Trouble> {
        let mut delivered = Vec::new();
        for batch in batches {
            let started = Instant::now();
            let body = self.encode(&batch).await?;
            let key = format!(
                "{}:{}:{}",
                self.gateway_id,
                self.reader.store_id(),
                batch.id
            );
            while let Some(wait) = self.attempt(&key, &body).await {
                self.confirm(&mut delivered).await?;
                let next = Instant::now() + wait;
                self.status.waits_until(Some(next));
                sleep_until(next).await;
                self.status.waits_until(None);
            }
            self.status
                .delivered(batch.readings.len(), started.elapsed());
            delivered.push(batch);
            if CONFIRM_AT_ONCE <= delivered.len() {
                self.confirm(&mut delivered).await?;
            }
        }
        self.confirm(&mut delivered).await
    }

    async fn encode(&self, batch: &Batch) -> Result<Body, Trouble> {
        let (reader, gateway_id) = (self.reader.clone(), Arc::clone(&self.gateway_id));
        let batch = batch.clone();
        spawn_blocking(move || {
            let readings = reader.readings_by_id(&batch.readings)?;
            let sender = Sender {
                gateway_id: &gateway_id,
                store_id: reader.store_id(),
            };
            let encoded = payload::encode(
                sender,
                batch.id,
                &batch.format,
                &batch.compression,
                &readings,
            );
            Ok::<_, Trouble>(encoded?)
        })
        .await?
    }

    /// Sends once; `None` if it was delivered, else how long to wait.
    async fn attempt(&mut self, key: &str, body: &Body) -> Option<Duration> {
        let verdict = self.uplink.send(key, body).await;
        let label = verdict.label();
        self.metrics
            .uplink_requests
            .with_label_values(&[label])
            .inc();
        self.status.judged(&verdict);
        match verdict {
            Verdict::Delivered => {
                self.backoff.reset();
                None
            }
            Verdict::Retry {
                reason,
                retry_after,
            } => {
                let wait = self.backoff.after_failure(fastrand::f64(), retry_after);
                tracing::warn!(%reason, wait_seconds = wait.as_secs_f64(), "batch not delivered: it is sent again");
                Some(wait)
            }
            Verdict::Held {
                reason,
                retry_after,
            } => {
                let wait = self.backoff.held(retry_after);
                tracing::warn!(%reason, wait_seconds = wait.as_secs_f64(), "batch held: the uplink has to be put right");
                Some(wait)
            }
        }
    }

    /// Takes what was delivered out of the outbox.
    async fn confirm(&mut self, delivered: &mut Vec<Batch>) -> Result<(), Trouble> {
        if delivered.is_empty() {
            return Ok(());
        }
        let count: usize = delivered.iter().map(|batch| batch.readings.len()).sum();
        let (done, confirmed) = oneshot::channel();
        let batches = std::mem::take(delivered);
        self.request(OutboxRequest::Confirm { batches, done })
            .await?;
        confirmed.await.map_err(|_| Trouble::Stopped)?;
        self.metrics.uplink_readings.inc_by(count as u64);
        Ok(())
    }
}
