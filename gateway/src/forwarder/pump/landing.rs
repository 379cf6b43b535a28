//! What follows from a request that was made.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::{Landing, Made, Pump};
use crate::clock;
use crate::config::Format;
use crate::domain::reading::ReadingId;
use crate::forwarder::budget;
use crate::forwarder::flights::Departure;
use crate::forwarder::trouble::Trouble;
use crate::forwarder::verdict::{Verdict, Words};
use crate::ingest::OutboxRequest;
use crate::store::outbox::Batch;

/// Readings in a row that are refused alone: then it is not them.
const MOST_REFUSED: u32 = 20;
/// More dead letters than this are not made: somebody has to look at them.
const MOST_DEAD_LETTERS: u64 = 100_000;

impl Pump {
    /// Whatever comes of it, the batch is on its way no longer.
    pub(super) async fn land(&mut self, landing: Landing) -> Result<(), Trouble> {
        let departure = landing.departure.clone();
        let landed = self.judged(landing).await;
        if landed.is_err() {
            self.flights
                .failed(&departure, None, false, 1.0, Instant::now());
        }
        let (held, failing) = (self.flights.held_reason(), self.flights.failing_since());
        self.progress.holds(held, failing);
        landed
    }

    async fn judged(&mut self, landing: Landing) -> Result<(), Trouble> {
        let now = Instant::now();
        let departure = landing.departure;
        let Made { sent, plain_bytes } = landing.outcome?;
        self.metrics.uplink_bytes.inc_by(sent.bytes);
        budget::count(&mut self.settler.account, sent.bytes, clock::now());
        if self.config.daily_budget.is_some() {
            self.settler.keep_account();
        }
        let verdict = sent.verdict.of(&departure.batch.readings);
        let label = verdict.label();
        let requests = &self.metrics.uplink_requests;
        requests.with_label_values(&[label]).inc();
        self.progress.judged(&verdict);
        let batch = &departure.batch;
        self.traces
            .judged(self.key, batch.id, &batch.readings, label, clock::now());
        match verdict {
            Verdict::Delivered { rejected, refusal } => {
                let took = now - departure.started;
                self.delivered(&departure, rejected, refusal, took).await?;
            }
            Verdict::Retry {
                reason,
                retry_after,
                is_timeout,
            } => {
                let chance = fastrand::f64();
                let flights = &mut self.flights;
                let at = flights.failed(&departure, retry_after, is_timeout, chance, now);
                let wait_seconds = (at - now).as_secs_f64();
                let uplink = &self.config.name;
                tracing::warn!(%uplink, %reason, wait_seconds, "batch not delivered: it is sent again");
            }
            Verdict::Held {
                reason,
                retry_after,
            } => self.hold(&departure, &reason, retry_after),
            Verdict::TooLarge(words) => {
                if 1 < departure.batch.readings.len() {
                    self.body_limit.was_too_large(plain_bytes);
                }
                self.refused(&departure, words).await?;
            }
            Verdict::Refused(words) => self.refused(&departure, words).await?,
        }
        Ok(())
    }

    fn hold(&mut self, departure: &Departure, reason: &str, retry_after: Option<Duration>) {
        let now = Instant::now();
        let at = self
            .flights
            .held(departure.batch.id, reason, retry_after, now);
        let wait_seconds = (at - now).as_secs_f64();
        let uplink = &self.config.name;
        tracing::warn!(%uplink, %reason, wait_seconds, "batch held: the uplink has to be put right");
    }

    async fn delivered(
        &mut self,
        departure: &Departure,
        rejected: Vec<ReadingId>,
        words: Words,
        took: Duration,
    ) -> Result<(), Trouble> {
        if rejected.len() == departure.batch.readings.len() {
            return self.refused(departure, words).await;
        }
        if !rejected.is_empty() && !self.has_room_for_dead_letters(rejected.len()).await? {
            self.hold_for_dead_letters(departure);
            return Ok(());
        }
        self.settler.account.refused = 0;
        self.body_limit.was_taken();
        if let Some(batch) = self.flights.delivered(departure.batch.id) {
            let count = batch.readings.len() - rejected.len();
            self.progress
                .delivered(count, took, self.flights.sending() + 1);
            self.say_refused(&batch, rejected.len(), &words);
            self.settler.add(batch, rejected, words);
        }
        Ok(())
    }

    /// A batch was refused for what is in it: cut in two, or given up if it is one reading.
    async fn refused(&mut self, departure: &Departure, words: Words) -> Result<(), Trouble> {
        let batch = &departure.batch;
        let is_outdated = *batch.format != *self.config.format.name();
        if batch.readings.len() <= 1 && !is_outdated {
            return self.bury(departure, words).await;
        }
        if !self.flights.refused(batch.id) {
            return Ok(());
        }
        let parts = if self.config.format == Format::Single {
            batch.readings.iter().map(|id| vec![*id]).collect()
        } else if is_outdated {
            // It may be the format of former settings that the receiver will not have.
            vec![batch.readings.clone()]
        } else {
            let (before, after) = batch.readings.split_at(batch.readings.len() / 2);
            vec![before.to_vec(), after.to_vec()]
        };
        self.replace(batch.clone(), parts).await
    }

    /// Parts have keys of their own, so they go as the settings of now say.
    async fn replace(&mut self, batch: Batch, parts: Vec<Vec<ReadingId>>) -> Result<(), Trouble> {
        let (done, parts_recorded) = oneshot::channel();
        let id = batch.id;
        let request = OutboxRequest::Replace {
            batch,
            parts,
            format: self.config.format.name().into(),
            compression: self.config.compression.name().into(),
            done,
        };
        let asked = self.submissions.request(request).await;
        asked.map_err(|_| Trouble::Stopped)?;
        let parts = parts_recorded.await.map_err(|_| Trouble::Stopped)?;
        self.flights.replace(id, parts, Instant::now());
        Ok(())
    }

    /// All of a batch was refused for what is in it: its readings become dead letters, unless too many were in a row.
    async fn bury(&mut self, departure: &Departure, words: Words) -> Result<(), Trouble> {
        let batch = &departure.batch;
        let count = batch.readings.len();
        let refused = self.settler.account.refused + count as u32;
        if MOST_REFUSED < refused {
            let status = words.status;
            let reason = format!(
                "{MOST_REFUSED} readings in a row were refused alone, the last with {status}: nothing more becomes a dead \
                 letter before one is accepted"
            );
            self.progress.troubled(reason.clone());
            self.hold(departure, &reason, None);
            return Ok(());
        }
        if !self.has_room_for_dead_letters(count).await? {
            self.hold_for_dead_letters(departure);
            return Ok(());
        }
        self.settler.account.refused = refused;
        self.flights.open();
        if let Some(batch) = self.flights.refused_for_good(departure.batch.id) {
            self.say_refused(&batch, count, &words);
            let readings = batch.readings.clone();
            self.settler.add(batch, readings, words);
        }
        Ok(())
    }

    fn hold_for_dead_letters(&mut self, departure: &Departure) {
        let reason = format!(
            "there are {MOST_DEAD_LETTERS} dead letters: have them sent again, or drop them"
        );
        self.progress.troubled(reason.clone());
        self.hold(departure, &reason, None);
    }

    async fn has_room_for_dead_letters(&self, count: usize) -> Result<bool, Trouble> {
        let reader = self.reader.clone();
        let there = spawn_blocking(move || reader.dead_letter_count()).await??;
        Ok(there + count as u64 <= MOST_DEAD_LETTERS)
    }

    fn say_refused(&self, batch: &Batch, count: usize, words: &Words) {
        if 0 < count {
            let (uplink, status) = (&self.config.name, words.status);
            let first = batch.readings.first().map(|id| id.0);
            tracing::warn!(%uplink, status, count, first, "readings refused: they go to the dead letters");
        }
    }
}
