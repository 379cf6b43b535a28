//! The loop: outbox → batch → uplink → verdict → outbox. One batch on its way at a time.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::cut::{Cut, cut};
use super::payload::{self, Body, PayloadError, Sender};
use super::progress::Progress;
use super::uplink::Uplink;
use super::verdict::Verdict;
use crate::clock;
use crate::config::Cloud;
use crate::domain::reading::ReadingId;
use crate::domain::timestamp::Timestamp;
use crate::ingest::{OutboxRequest, SubmissionQueue};
use crate::metrics::Metrics;
use crate::store::outbox::Batch;
use crate::store::{Reader, StoreError};

/// Batches that were recorded before a restart are taken up again so many at a time.
const RECORDED_AT_ONCE: usize = 100;
/// Batches whose confirmations are written together.
const CONFIRM_AT_ONCE: usize = 100;
/// What was delivered is confirmed after so long even if few batches wait for it: what is not confirmed is sent again
/// after a crash.
const CONFIRM_AFTER: Duration = Duration::from_secs(1);
/// A stop waits so long for the last confirmation.
const LAST_CONFIRMATION: Duration = Duration::from_secs(1);
/// While a batch gathers it is looked at no more often than this.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// The store's measure of a reading is rough; with so much more than fits, the batch is full for certain.
const ROUGHLY: usize = 2;
/// After an error of the store or an impossible batch.
const TROUBLE_PAUSE: Duration = Duration::from_secs(5);

/// Brings the outbox to one cloud.
#[derive(Debug)]
pub struct Pump {
    config: Cloud,
    gateway_id: Arc<str>,
    uplink: Arc<Uplink>,
    reader: Reader,
    submissions: SubmissionQueue,
    wake: Arc<Notify>,
    metrics: Arc<Metrics>,
    progress: Progress,
    backoff: Backoff,
    /// Recorded batches up to here have been taken up.
    last_recorded: i64,
    has_taken_up_recorded: bool,
    /// Readings up to here are in a batch.
    last_claimed: ReadingId,
    /// The cloud has them; they are not yet out of the outbox.
    delivered: Vec<Batch>,
    /// When what was delivered is to be confirmed at the latest.
    confirm_by: Instant,
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
            uplink: Arc::new(uplink),
            reader,
            submissions,
            wake,
            metrics,
            progress: Progress::default(),
            last_recorded: 0,
            has_taken_up_recorded: false,
            last_claimed: ReadingId(0),
            delivered: Vec::new(),
            confirm_by: Instant::now(),
        }
    }

    /// A view of what it does.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Runs until `stop`. What is on its way then is sent again, under the same key, after the next start.
    pub async fn run(mut self, stop: CancellationToken) {
        if stop.run_until_cancelled(self.pump()).await.is_none() {
            timeout(LAST_CONFIRMATION, self.confirm()).await.ok();
        }
    }

    /// Goes on for as long as the committer does.
    async fn pump(&mut self) {
        loop {
            let Err(trouble) = self.round().await else {
                continue;
            };
            if matches!(trouble, Trouble::Stopped) {
                return;
            }
            tracing::error!(error = %trouble, "forwarding pauses");
            self.progress.troubled(trouble.to_string());
            // Before the recorded batches are taken up again, those that the cloud has must be gone.
            if self.confirm().await.is_err() {
                return;
            }
            self.has_taken_up_recorded = false;
            self.last_recorded = 0;
            sleep(TROUBLE_PAUSE).await;
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
        // Set once a claim: a wall clock that is put back must not make it longer.
        let mut deadline = None;
        let batches = loop {
            let (found, oldest) = self.look().await?;
            let Some(oldest) = oldest else {
                self.progress.has_nothing_to_do();
                self.wake.notified().await;
                continue;
            };
            let deadline = *deadline.get_or_insert_with(|| {
                let age = clock::now() - oldest;
                Instant::now() + self.config.batch_linger.saturating_sub(age)
            });
            if found.is_full || deadline <= Instant::now() {
                break found.batches;
            }
            self.linger(deadline).await;
        };
        let (done, recorded) = oneshot::channel();
        let request = OutboxRequest::Record {
            format: self.config.format.name().into(),
            compression: self.config.compression.name().into(),
            batches,
            done,
        };
        self.request(request).await?;
        let batches = recorded.await.map_err(|_| Trouble::Stopped)?;
        self.take_note(&batches);
        Ok(batches)
    }

    /// What could go out now, and when the oldest of it arrived.
    async fn look(&self) -> Result<(Cut, Option<Timestamp>), Trouble> {
        let (reader, after) = (self.reader.clone(), self.last_claimed);
        let (config, gateway_id) = (self.config.clone(), Arc::clone(&self.gateway_id));
        let look = move || {
            let envelope = payload::envelope_size(Sender {
                gateway_id: &gateway_id,
                store_id: reader.store_id(),
            });
            let most_bytes = config.batch_max_bytes.saturating_mul(ROUGHLY);
            let readings = reader.outbox_readings(after, config.batch_max_readings, most_bytes)?;
            let oldest = readings.first().map(|reading| reading.received_at);
            Ok((cut(&readings, envelope, &config), oldest))
        };
        spawn_blocking(look).await?
    }

    /// Waits until a batch may be full or the time is over.
    async fn linger(&self, deadline: Instant) {
        tokio::select! {
            () = sleep_until(deadline) => {}
            () = self.wake.notified() => {
                if self.reader.outbox_pending() < self.config.batch_max_readings as u64 {
                    sleep_until(deadline.min(Instant::now() + LOOK_AGAIN)).await;
                }
            }
        }
    }

    async fn request(&self, request: OutboxRequest) -> Result<(), Trouble> {
        let asked = self.submissions.request(request).await;
        asked.map_err(|_| Trouble::Stopped)
    }

    /// Sends batches in their order, each until it is delivered.
    async fn deliver(&mut self, batches: Vec<Batch>) -> Result<(), Trouble> {
        for batch in batches {
            let body = self.encode(&batch).await?;
            let store_id = self.reader.store_id();
            let key = format!("{}:{store_id}:{}", batch.gateway_id, batch.id);
            loop {
                let started = Instant::now();
                let verdict = self.send(&key, &body).await?;
                let Some(wait) = self.judge(&verdict) else {
                    self.progress
                        .delivered(batch.readings.len(), started.elapsed());
                    break;
                };
                self.confirm().await?;
                let next = Instant::now() + wait;
                self.progress.waits_until(Some(next));
                sleep_until(next).await;
                self.progress.waits_until(None);
            }
            if self.delivered.is_empty() {
                self.confirm_by = Instant::now() + CONFIRM_AFTER;
            }
            self.delivered.push(batch);
            if CONFIRM_AT_ONCE <= self.delivered.len() {
                self.confirm().await?;
            }
        }
        self.confirm().await
    }

    /// Sends once. While an answer is waited for, what was delivered before is confirmed in time.
    async fn send(&mut self, key: &str, body: &Body) -> Result<Verdict, Trouble> {
        let uplink = Arc::clone(&self.uplink);
        let mut sending = pin!(uplink.send(key, body));
        loop {
            tokio::select! {
                verdict = &mut sending => return Ok(verdict),
                () = sleep_until(self.confirm_by), if !self.delivered.is_empty() => self.confirm().await?,
            }
        }
    }

    async fn encode(&self, batch: &Batch) -> Result<Body, Trouble> {
        let (reader, batch) = (self.reader.clone(), batch.clone());
        spawn_blocking(move || {
            let readings = reader.readings_by_id(&batch.readings)?;
            let sender = Sender {
                gateway_id: &batch.gateway_id,
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

    /// Takes note of a verdict: `None` if the batch was delivered, else how long to wait.
    fn judge(&mut self, verdict: &Verdict) -> Option<Duration> {
        let label = verdict.label();
        self.metrics
            .uplink_requests
            .with_label_values(&[label])
            .inc();
        self.progress.judged(verdict);
        match verdict {
            Verdict::Delivered => {
                self.backoff.reset();
                None
            }
            Verdict::Retry {
                reason,
                retry_after,
            } => {
                let wait = self.backoff.after_failure(fastrand::f64(), *retry_after);
                tracing::warn!(%reason, wait_seconds = wait.as_secs_f64(), "batch not delivered: it is sent again");
                Some(wait)
            }
            Verdict::Held {
                reason,
                retry_after,
            } => {
                let wait = self.backoff.held(*retry_after);
                tracing::warn!(%reason, wait_seconds = wait.as_secs_f64(), "batch held: the uplink has to be put right");
                Some(wait)
            }
        }
    }

    /// Takes what was delivered out of the outbox. If it is broken off it is done again: that changes nothing.
    async fn confirm(&mut self) -> Result<(), Trouble> {
        if self.delivered.is_empty() {
            return Ok(());
        }
        let (done, confirmed) = oneshot::channel();
        let batches = self.delivered.clone();
        self.request(OutboxRequest::Confirm { batches, done })
            .await?;
        confirmed.await.map_err(|_| Trouble::Stopped)?;
        let batches = self.delivered.drain(..);
        let count: usize = batches.map(|batch| batch.readings.len()).sum();
        self.metrics.uplink_readings.inc_by(count as u64);
        Ok(())
    }
}
