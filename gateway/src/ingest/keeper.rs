//! Looks after the store: readings that grow old are packed, thinned and taken away, step by step through the committer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Health, Stopped, SubmissionQueue};
use crate::clock;
use crate::metrics::Metrics;
use crate::store::{Limits, Reader, Removed, Step, StoreError};

/// Between two looks when there was nothing to do.
const PAUSE: Duration = Duration::from_secs(1);

/// The same while the committer waits for room.
const SHORT_PAUSE: Duration = Duration::from_millis(20);

/// Looks after the store.
#[derive(Debug)]
pub struct Keeper {
    reader: Reader,
    queue: SubmissionQueue,
    limits: Limits,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
}

impl Keeper {
    pub fn new(
        reader: Reader,
        queue: SubmissionQueue,
        limits: Limits,
        health: Arc<Health>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            reader,
            queue,
            limits,
            health,
            metrics,
        }
    }

    /// Runs until `stop`. What is half done then is found again.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.look_after()).await;
    }

    async fn look_after(self) {
        let mut has_failed = false;
        loop {
            let is_needed = self.health.needs_room();
            match self.next_job().await {
                Ok(steps) if steps.is_empty() => {
                    self.health.set_nothing_to_remove(is_needed);
                    self.pause().await;
                }
                Ok(steps) => {
                    has_failed = false;
                    self.health.set_nothing_to_remove(false);
                    if self.write(steps).await.is_err() {
                        // The committer has ended.
                        return std::future::pending().await;
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut has_failed, true) {
                        tracing::error!(%error, "the store cannot be looked after; it is tried again");
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn pause(&self) {
        self.reader.tidy();
        if self.health.needs_room() {
            return sleep(SHORT_PAUSE).await;
        }
        tokio::select! {
            () = sleep(PAUSE) => {}
            () = self.health.room_wanted() => {}
        }
    }

    async fn next_job(&self) -> Result<Vec<Step>, StoreError> {
        let (reader, limits) = (self.reader.clone(), self.limits);
        let looked = spawn_blocking(move || {
            let now = clock::standing().trust.is_trusted().then(clock::now);
            // Packing takes nothing away: a clock that has just leapt is good enough for it.
            let keep = limits.keep.filter(|_| clock::tells_age());
            let limits = Limits { keep, ..limits };
            reader.upkeep(now, &limits)
        })
        .await;
        // A panic there is one here.
        looked.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    /// Writes a job, and rests between its steps as long as they take, unless others wait for room.
    async fn write(&self, steps: Vec<Step>) -> Result<(), Stopped> {
        for step in steps {
            let removed = step.removed.clone();
            let started = Instant::now();
            self.queue.keep_up(step).await?;
            for (why, readings) in removed.into_iter().filter(|(_, readings)| 0 < *readings) {
                self.count(why, readings);
            }
            if !self.health.needs_room() {
                sleep(started.elapsed().min(PAUSE)).await;
            }
        }
        Ok(())
    }

    fn count(&self, why: Removed, readings: u64) {
        let reason = why.as_str();
        self.metrics
            .readings_removed
            .with_label_values(&[reason])
            .inc_by(readings);
        if why == Removed::Undelivered {
            self.metrics
                .readings_lost
                .with_label_values(&[reason])
                .inc_by(readings);
            tracing::warn!(
                readings,
                "no room: readings were removed that an uplink had not delivered"
            );
        }
    }
}
