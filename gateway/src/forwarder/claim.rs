//! From the outbox to recorded batches: which readings go out next, and in which lane.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::budget::Allowance;
use super::cut::{Cut, cut};
use super::lanes::{Lane, Turns};
use super::payload::Sender;
use super::trouble::Trouble;
use crate::clock;
use crate::config::{self, Format};
use crate::domain::reading::{ReadingId, StoredReading};
use crate::ingest::{OutboxRequest, SubmissionQueue};
use crate::store::outbox::{Batch, UplinkKey};
use crate::store::{Reader, StoreError, WaitingQuery};

/// The store's measure of a reading is rough; with so much more than fits, a batch is full for certain.
const ROUGHLY: usize = 2;

/// Readings that are fresh and do not go out within so many batches are backlog, but for the newest batch of them.
const FRESH_BATCHES: usize = 2;

/// While only tagged readings may go, so many entries are looked through at once.
const LOOKED_THROUGH_AT_ONCE: usize = 20_000;

/// While readings wait for a clock that is trusted it is looked so often whether they may go.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(1);

/// Claims readings for one uplink.
#[derive(Debug)]
pub(super) struct Claimer {
    config: Arc<config::Uplink>,
    uplink: UplinkKey,
    gateway_id: Arc<str>,
    reader: Reader,
    submissions: SubmissionQueue,
    /// How long readings of a clock that is not trusted wait, in milliseconds.
    clock_wait: i64,
    turns: Turns,
    /// What came after it is fresh; `None` before the first look: all that waits at the start is backlog.
    boundary: Option<ReadingId>,
    /// When the fresh readings that are seen go out though they fill no batch.
    linger_until: Option<Instant>,
    /// Readings of a full batch, as the last one had them.
    batch_readings: usize,
    /// While only tagged readings may go: all up to here have been looked at.
    tagged_upto: ReadingId,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Claim {
    Recorded(Vec<Recorded>, Lane),
    /// Nothing waits.
    Empty,
    /// What waits may wait until then for more.
    Lingers(Instant),
}

/// A batch with what was read for it.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) batch: Batch,
    /// As they are in the store now; `None`: they may have changed since.
    pub(super) readings: Option<Vec<StoredReading>>,
    /// Whether tagged readings are in it.
    pub(super) has_tagged: bool,
}

/// What goes out next, and what else waits.
#[derive(Debug, Default)]
struct Seen {
    /// The lane whose turn it is, with its readings, oldest first.
    next: Option<(Lane, Vec<StoredReading>, Cut)>,
    is_fresh_due: bool,
    is_backlog_there: bool,
    /// When the fresh readings go out though they fill no batch; `None`: there are none.
    lingers_until: Option<Instant>,
    boundary: ReadingId,
    newest: ReadingId,
    /// Readings behind these wait for a clock that is trusted.
    are_held: bool,
}

impl Claimer {
    /// Nothing is claimed yet.
    pub(super) fn new(
        config: Arc<config::Uplink>,
        uplink: UplinkKey,
        gateway_id: Arc<str>,
        reader: Reader,
        submissions: SubmissionQueue,
        clock_wait: i64,
    ) -> Self {
        Self {
            uplink,
            gateway_id,
            submissions,
            clock_wait,
            turns: Turns::new(config.backlog_share),
            // Now, and not with the first look, which may come late: what arrives meanwhile is fresh.
            boundary: reader.newest_reading().ok(),
            reader,
            linger_until: None,
            batch_readings: config.batch_max_readings,
            tagged_upto: ReadingId(0),
            config,
        }
    }

    /// Records what goes out next, in bodies of at most `max_bytes` before compression.
    pub(super) async fn claim(
        &mut self,
        allowance: Allowance,
        max_bytes: usize,
    ) -> Result<Claim, Trouble> {
        let is_tagged_only = allowance == Allowance::TaggedOnly;
        let steps = self.reader.steps();
        let seen = self.look(is_tagged_only, max_bytes).await?;
        self.boundary = Some(seen.boundary);
        // Set once for the first of them: a wall clock that is put back must not make it longer.
        self.linger_until = seen.lingers_until.or(self.linger_until);
        let Some((lane, readings, cut)) = seen.next else {
            if seen.lingers_until.is_none() {
                self.linger_until = None;
                if is_tagged_only {
                    self.tagged_upto = seen.newest;
                }
            }
            return Ok(match seen.lingers_until {
                Some(until) => Claim::Lingers(until),
                None if seen.are_held => Claim::Lingers(Instant::now() + LOOK_AT_CLOCK),
                None => Claim::Empty,
            });
        };
        if seen.is_fresh_due && seen.is_backlog_there {
            self.turns.took(lane, cut.bytes);
        } else {
            self.turns.forget();
        }
        if cut.is_full && self.config.format != Format::Single {
            self.batch_readings = cut.batches[0].len().max(1);
        }
        if lane == Lane::Fresh {
            self.linger_until = None;
        }
        if is_tagged_only {
            let claimed: usize = cut.batches.iter().map(Vec::len).sum();
            let last = readings[..claimed].last();
            self.tagged_upto = last.map_or(self.tagged_upto, |reading| reading.id);
        }
        let (mut recorded, mut rest) = (Vec::new(), readings.into_iter());
        let batches = self.record(cut.batches).await?;
        // Between the look and the record times may have been put right, and readings gone for want of room.
        let are_as_read = steps == self.reader.steps();
        for batch in batches {
            let readings: Vec<_> = rest.by_ref().take(batch.readings.len()).collect();
            recorded.push(Recorded {
                has_tagged: readings.iter().any(|reading| reading.tags.get() != "[]"),
                batch,
                readings: are_as_read.then_some(readings),
            });
        }
        Ok(Claim::Recorded(recorded, lane))
    }

    async fn look(&self, is_tagged_only: bool, max_bytes: usize) -> Result<Seen, Trouble> {
        let (reader, uplink, boundary) = (self.reader.clone(), self.uplink, self.boundary);
        let (config, gateway_id) = (Arc::clone(&self.config), Arc::clone(&self.gateway_id));
        let batch_readings = self.batch_readings;
        let tagged_upto = self.tagged_upto;
        let clock_wait = self.clock_wait;
        let (turns, lingers_until) = (self.turns.clone(), self.linger_until);
        let look = move || {
            let boundary = match boundary {
                Some(boundary) => boundary,
                None => reader.newest_reading()?,
            };
            let Some((oldest, newest)) = reader.waiting_ends(uplink)? else {
                return Ok(Seen {
                    boundary,
                    ..Seen::default()
                });
            };
            let held = reader.held_from(clock_wait)?;
            let held = held.filter(|held| *held <= newest);
            let newest = held.map_or(newest, |held| ReadingId(held.0 - 1));
            let boundary = overtake(&reader, uplink, boundary, batch_readings)?;
            let sender = Sender {
                gateway_id: &gateway_id,
                store_id: reader.store_id(),
            };
            let waiting = |after, upto, tagged_only, limit| {
                reader.waiting(&WaitingQuery {
                    uplink,
                    after,
                    upto,
                    tagged_only,
                    limit,
                    max_bytes: max_bytes.saturating_mul(ROUGHLY),
                })
            };
            let read = |after, upto, tagged_only| {
                let waiting = waiting(after, upto, tagged_only, config.batch_max_readings)?;
                let cut = cut(&waiting, sender, max_bytes, &config);
                Ok::<_, StoreError>((waiting, cut))
            };
            let until = |oldest: &StoredReading| {
                lingers_until.unwrap_or_else(|| {
                    let age = clock::now() - oldest.received_at;
                    Instant::now() + config.batch_linger.saturating_sub(age)
                })
            };
            let mut seen = Seen {
                boundary,
                newest,
                are_held: held.is_some(),
                ..Seen::default()
            };
            let mut fresh = (Vec::new(), Cut::default());
            if is_tagged_only {
                let mut after = tagged_upto;
                while fresh.0.is_empty() && after < newest {
                    let upto = reader.waiting_step(uplink, after, LOOKED_THROUGH_AT_ONCE)?;
                    let upto = upto.map_or(newest, |upto| upto.min(newest));
                    fresh = read(after, upto, true)?;
                    after = upto;
                }
            } else {
                seen.is_backlog_there = oldest <= boundary.min(newest);
                let has_turn =
                    !seen.is_backlog_there || turns.next(true, true) == Some(Lane::Fresh);
                if boundary < newest && has_turn {
                    fresh = read(boundary, newest, false)?;
                } else if boundary < newest {
                    // The backlog goes next. Of the fresh ones it is only to be known whether they are due.
                    fresh.0 = waiting(boundary, newest, false, 1)?;
                    let last = reader.waiting_step(uplink, boundary, batch_readings - 1)?;
                    fresh.1.is_full = last.is_some_and(|last| last <= newest);
                }
            }
            seen.lingers_until = fresh.0.first().map(until);
            let is_over = seen
                .lingers_until
                .is_some_and(|until| until <= Instant::now());
            seen.is_fresh_due = !fresh.0.is_empty() && (fresh.1.is_full || is_over);
            seen.next = match turns.next(seen.is_fresh_due, seen.is_backlog_there) {
                Some(Lane::Fresh) => Some((Lane::Fresh, fresh.0, fresh.1)),
                Some(Lane::Backlog) => {
                    let (backlog, cut) = read(ReadingId(0), boundary.min(newest), false)?;
                    Some((Lane::Backlog, backlog, cut))
                }
                None => None,
            };
            // The upkeep may have been faster.
            seen.next = seen.next.filter(|(_, readings, _)| !readings.is_empty());
            Ok(seen)
        };
        let seen = spawn_blocking(look).await?;
        seen.map_err(|error: StoreError| error.into())
    }

    async fn record(&self, batches: Vec<Vec<ReadingId>>) -> Result<Vec<Batch>, Trouble> {
        let (done, recorded) = oneshot::channel();
        let request = OutboxRequest::Record {
            uplink: self.uplink,
            format: self.config.format.name().into(),
            compression: self.config.compression.name().into(),
            batches,
            done,
        };
        let asked = self.submissions.request(request).await;
        asked.map_err(|_| Trouble::Stopped)?;
        recorded.await.map_err(|_| Trouble::Stopped)
    }
}

/// The boundary, moved up if more is fresh than goes out at once: so that the newest does not wait behind it.
fn overtake(
    reader: &Reader,
    uplink: UplinkKey,
    boundary: ReadingId,
    batch_readings: usize,
) -> Result<ReadingId, StoreError> {
    let beyond = reader.waiting_before_newest(uplink, batch_readings * FRESH_BATCHES)?;
    if beyond.is_none_or(|id| id <= boundary) {
        return Ok(boundary);
    }
    let moved = reader.waiting_before_newest(uplink, batch_readings)?;
    Ok(moved.unwrap_or(boundary))
}
