//! What is done with and not yet out of the outbox. It is written in groups: what is lost of it by a crash is sent again, and
//! known by its ids.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::trouble::Trouble;
use super::verdict::Words;
use crate::clock;
use crate::domain::reading::ReadingId;
use crate::ingest::{OutboxRequest, SubmissionQueue};
use crate::metrics::Metrics;
use crate::store::Committed;
use crate::store::outbox::{Account, Batch, Refusal, Settled, UplinkKey};

/// Batches that are written together at most.
const MOST: usize = 100;
/// What is done with is written after so long even if few batches are.
const SETTLE_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Settler {
    uplink: UplinkKey,
    submissions: SubmissionQueue,
    metrics: Arc<Metrics>,
    /// What the uplink remembers of itself; written with what is settled.
    pub(super) account: Account,
    /// It is to be written even if nothing is settled.
    is_account_new: bool,
    settled: Vec<Settled>,
    /// When that is to be written at the latest.
    settle_by: Instant,
    writing: Option<Writing>,
}

#[derive(Debug)]
struct Writing {
    committed: oneshot::Receiver<Committed>,
    request: Option<OutboxRequest>,
    readings: usize,
    delivered: usize,
}

impl Settler {
    pub(super) fn new(
        uplink: UplinkKey,
        submissions: SubmissionQueue,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            uplink,
            submissions,
            metrics,
            account: Account::default(),
            is_account_new: false,
            settled: Vec::new(),
            settle_by: Instant::now(),
            writing: None,
        }
    }

    /// A batch is done with; `refused` of its readings become dead letters.
    pub(super) fn add(&mut self, batch: Batch, refused: Vec<ReadingId>, words: Words) {
        self.begin_to_wait();
        let refusal = if refused.is_empty() {
            Refusal::default()
        } else {
            Refusal {
                status: words.status,
                answer: words.body,
                at: clock::now(),
            }
        };
        self.settled.push(Settled {
            batch,
            refused,
            refusal,
        });
    }

    /// What the uplink remembers of itself must not be lost.
    pub(super) fn keep_account(&mut self) {
        self.begin_to_wait();
        self.is_account_new = true;
    }

    /// How many readings are done with and not yet out of the outbox.
    pub(super) fn readings(&self) -> usize {
        let settled = self
            .settled
            .iter()
            .map(|settled| settled.batch.readings.len());
        settled.sum::<usize>() + self.writing.as_ref().map_or(0, |writing| writing.readings)
    }

    /// When something is to be written; `None` if there is nothing, or something is being written.
    pub(super) fn due(&self) -> Option<Instant> {
        let is_due = self.writing.is_none() && self.has_news();
        is_due.then_some(self.settle_by)
    }

    /// Has written what is settled if it is time, or if nothing more is to be waited for.
    pub(super) fn settle_if_due(&mut self, is_all: bool) {
        let is_time = self.due().is_some_and(|due| due <= Instant::now());
        let is_much = MOST <= self.settled.len();
        if self.due().is_some() && (is_all || is_time || is_much) {
            self.begin();
        }
    }

    /// Waits for what is being written; for ever, if nothing is. Cancel safe.
    pub(super) async fn committed(&mut self) -> Result<(), Trouble> {
        let Some(writing) = &mut self.writing else {
            return std::future::pending().await;
        };
        if writing.request.is_some() {
            let place = self.submissions.place_for_request().await;
            let place = place.map_err(|_| Trouble::Stopped)?;
            if let Some(request) = writing.request.take() {
                place.submit(request);
            }
        }
        let committed = (&mut writing.committed).await;
        committed.map_err(|_| Trouble::Stopped)?;
        self.metrics
            .uplink_readings
            .inc_by(writing.delivered as u64);
        self.writing = None;
        Ok(())
    }

    /// Has all written.
    pub(super) async fn finish(&mut self) -> Result<(), Trouble> {
        if self.writing.is_some() {
            self.committed().await?;
        }
        if self.has_news() {
            self.begin();
            self.committed().await?;
        }
        Ok(())
    }

    fn has_news(&self) -> bool {
        self.is_account_new || !self.settled.is_empty()
    }

    fn begin_to_wait(&mut self) {
        if !self.has_news() {
            self.settle_by = Instant::now() + SETTLE_AFTER;
        }
    }

    fn begin(&mut self) {
        self.is_account_new = false;
        let (done, committed) = oneshot::channel();
        let settled = std::mem::take(&mut self.settled);
        let readings = settled.iter().map(|settled| settled.batch.readings.len());
        let readings = readings.sum();
        let refused: usize = settled.iter().map(|settled| settled.refused.len()).sum();
        self.writing = Some(Writing {
            committed,
            readings,
            delivered: readings - refused,
            request: Some(OutboxRequest::Settle {
                uplink: self.uplink,
                settled,
                account: self.account,
                done,
            }),
        });
    }
}
