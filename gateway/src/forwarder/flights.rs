//! Batches that are recorded and not settled: which goes out next, and what follows from a failure. Pure: time comes in as
//! `now`, chance as a number.
//!
//! A failure shuts the uplink's gate: then one batch at a time is tried, after a back-off, the one whose last try is longest
//! ago, until one gets through, and fewer go at once for a while. A batch that fails again while most others get through has a
//! back-off of its own: it alone may be the cause. Batches that are refused are cut in two, one after the other and the smallest part first, so that few requests
//! find the readings at fault and a receiver that refuses everything gets few of them.

mod flight;

use std::time::Duration;

use tokio::time::Instant;

use self::flight::{Flight, Tally};
use super::backoff::Backoff;
use super::lanes::Lane;
use super::places::Places;
use crate::store::outbox::Batch;

/// So many batches that wait for a time of their own keep others from being recorded.
const MOST_ASIDE: usize = 100;

/// All of one uplink.
#[derive(Debug)]
pub(super) struct Flights {
    /// In the order in which they were recorded.
    whole: Vec<Flight>,
    /// Refused ones and parts of them; the last is looked into first.
    suspects: Vec<Flight>,
    gate: Gate,
    places: Places,
    /// The receiver has asked for silence until then.
    silent_until: Option<Instant>,
    backoff: Backoff,
    tally: Tally,
}

#[derive(Clone, Copy, Debug)]
enum Gate {
    Open,
    /// One at a time, from then on. Requests that did not begin after `since` tell nothing new.
    Shut {
        since: Instant,
        until: Instant,
        tally: Tally,
    },
}

/// A request that is to be made.
#[derive(Clone, Debug)]
pub(super) struct Departure {
    pub(super) batch: Batch,
    pub(super) started: Instant,
}

impl Flights {
    /// None yet; `backoff` is the one that all begin with.
    pub(super) fn new(backoff: Backoff) -> Self {
        Self {
            whole: Vec::new(),
            suspects: Vec::new(),
            gate: Gate::Open,
            places: Places::new(),
            silent_until: None,
            backoff,
            tally: Tally::default(),
        }
    }

    /// Takes a recorded batch up.
    pub(super) fn add(&mut self, batch: Batch, lane: Lane, has_tagged: bool, now: Instant) {
        self.whole.push(Flight::new(batch, lane, has_tagged, now));
    }

    /// Puts parts in the place of a refused batch.
    pub(super) fn replace(&mut self, batch: i64, parts: Vec<Batch>, now: Instant) {
        let Some(flight) = self.remove(batch) else {
            return;
        };
        for part in parts.into_iter().rev() {
            let part = Flight::new(part, flight.lane, flight.has_tagged, now);
            self.suspects.push(part);
        }
    }

    /// Whether further batches are to be recorded: few could go now. Those that wait for a time of their own do not count,
    /// as long as they are not very many, nor do the parts of the one that is looked into. While nothing gets through, it
    /// may be for what has been tried: another one is to be tried then.
    pub(super) fn wants_more(&self, most: usize, is_tagged_only: bool, now: Instant) -> bool {
        let may_go = |flight: &&Flight| flight.has_tagged || !is_tagged_only;
        let uncut = self
            .suspects
            .iter()
            .filter(|flight| flight.batch.tries == 0);
        let waiting = self
            .whole
            .iter()
            .chain(uncut)
            .filter(|flight| !flight.is_sending);
        let (ready, aside): (Vec<_>, Vec<_>) = waiting.partition(|flight| flight.not_before <= now);
        let ready = ready.into_iter().filter(may_go).count();
        let is_another_wanted = || {
            self.all()
                .filter(may_go)
                .all(|flight| flight.last_try.is_some())
        };
        (self.is_open() || is_another_wanted()) && ready < most && aside.len() < MOST_ASIDE
    }

    /// How many are on their way.
    pub(super) fn sending(&self) -> usize {
        self.all().filter(|flight| flight.is_sending).count()
    }

    /// How many readings they have.
    pub(super) fn readings(&self) -> usize {
        self.all().map(|flight| flight.batch.readings.len()).sum()
    }

    /// Whether requests go out as they come.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.gate, Gate::Open)
    }

    /// The next to go, if one may; `most` may be on their way at once. It counts as on its way then.
    pub(super) fn depart(
        &mut self,
        most: usize,
        is_tagged_only: bool,
        now: Instant,
    ) -> Option<Departure> {
        if self.silent_until.is_some_and(|until| now < until) {
            return None;
        }
        let most = self.places.of(most);
        let may_go = move |flight: &Flight| {
            !flight.is_sending && flight.not_before <= now && (flight.has_tagged || !is_tagged_only)
        };
        let flight = match self.gate {
            Gate::Shut { until, .. } if now < until => return None,
            Gate::Shut { .. } if 0 < self.sending() => return None,
            Gate::Shut { .. } => self.longest_untried(may_go)?,
            Gate::Open if most <= self.sending() => return None,
            Gate::Open => self.next_in_order(most, may_go)?,
        };
        flight.is_sending = true;
        flight.last_try = Some(now);
        Some(Departure {
            batch: flight.batch.clone(),
            started: now,
        })
    }

    /// When one may go that may not yet; `None` if none waits for its time alone.
    pub(super) fn next_time(&self, now: Instant) -> Option<Instant> {
        let shut_until = match self.gate {
            Gate::Shut { until, .. } => until,
            Gate::Open => now,
        };
        let all_wait_until = self.silent_until.unwrap_or(now).max(shut_until);
        self.all()
            .filter(|flight| !flight.is_sending)
            .map(|flight| flight.not_before.max(all_wait_until))
            .filter(|at| now < *at)
            .min()
    }

    /// A batch got through: it is given back and no flight any more.
    pub(super) fn delivered(&mut self, batch: i64) -> Option<Batch> {
        self.tally.deliveries += 1;
        self.places.delivered();
        self.open();
        Some(self.remove(batch)?.batch)
    }

    /// The receiver speaks, if only to refuse.
    pub(super) fn open(&mut self) {
        self.backoff.reset();
        self.gate = Gate::Open;
    }

    /// A batch did not get through. Gives when it is tried again.
    pub(super) fn failed(
        &mut self,
        departure: &Departure,
        retry_after: Option<Duration>,
        is_timeout: bool,
        chance: f64,
        now: Instant,
    ) -> Instant {
        let asked = self.keep_silent(retry_after, now);
        let (sending, fresh_backoff) = (self.sending(), self.backoff.first());
        let together = self.failed_together(departure.started);
        let tally = self.count_failure();
        let Some(flight) = self.landed(departure.batch.id) else {
            return now;
        };
        let is_own = flight.fails_alone(tally);
        flight.fails(together.unwrap_or(tally), None, now);
        if is_own {
            let own = flight.backoff.get_or_insert(fresh_backoff);
            flight.not_before = now + own.after_failure(chance, retry_after);
            return flight.not_before;
        }
        match self.gate {
            Gate::Shut { until, .. } if together.is_some() => until.max(asked),
            gate => {
                if matches!(gate, Gate::Open) {
                    self.places.failed(sending, is_timeout);
                }
                let until = now + self.backoff.after_failure(chance, retry_after);
                self.shut(until, tally, now);
                until
            }
        }
    }

    /// Somebody has to put something right before anything gets through, or before this batch does if most others did since
    /// it was held. Gives when it is tried again.
    pub(super) fn held(
        &mut self,
        batch: i64,
        reason: &str,
        retry_after: Option<Duration>,
        now: Instant,
    ) -> Instant {
        self.keep_silent(retry_after, now);
        let until = now + self.backoff.held(retry_after);
        let tally = self.count_failure();
        let Some(flight) = self.landed(batch) else {
            return now;
        };
        let is_own = flight.fails_alone(tally);
        flight.fails(tally, Some(reason.to_owned()), now);
        flight.not_before = until;
        if !is_own {
            self.shut(until, tally, now);
        }
        until
    }

    /// Why a batch is held, if any is.
    pub(super) fn held_reason(&self) -> Option<&str> {
        self.all().find_map(|flight| flight.held.as_deref())
    }

    /// Since when a batch has been failing, of the one that has for the longest time.
    pub(super) fn failing_since(&self) -> Option<Instant> {
        self.all().filter_map(|flight| flight.failing_since).min()
    }

    /// The tally when the first of those failed that were on their way together with one that `started` then.
    fn failed_together(&self, started: Instant) -> Option<Tally> {
        match self.gate {
            Gate::Shut { since, tally, .. } if started <= since => Some(tally),
            _ => None,
        }
    }

    fn count_failure(&mut self) -> Tally {
        self.tally.failures += 1;
        self.tally
    }

    fn shut(&mut self, until: Instant, tally: Tally, now: Instant) {
        self.gate = Gate::Shut {
            since: now,
            until,
            tally,
        };
    }

    /// A batch of several readings was refused for what is in it. True if it is to be cut in two now; else it waits until
    /// others have been looked into.
    pub(super) fn refused(&mut self, batch: i64) -> bool {
        self.open();
        self.landed(batch);
        let is_it = |flight: &Flight| flight.batch.id == batch;
        if let Some(at) = self.suspects.iter().position(is_it) {
            let flight = self.suspects.remove(at);
            self.suspects.push(flight);
            return true;
        }
        let is_first = self.suspects.is_empty();
        if let Some(at) = self.whole.iter().position(is_it) {
            let flight = self.whole.remove(at);
            self.suspects.insert(0, flight);
        }
        is_first
    }

    /// A batch is given up: it is given back and no flight any more.
    pub(super) fn refused_for_good(&mut self, batch: i64) -> Option<Batch> {
        Some(self.remove(batch)?.batch)
    }

    /// What the receiver asks for holds for all (RFC 9110, section 10.2.3), whatever else gets through. Gives until when.
    fn keep_silent(&mut self, retry_after: Option<Duration>, now: Instant) -> Instant {
        let asked = now + self.backoff.asked(retry_after);
        self.silent_until = self.silent_until.max(Some(asked));
        asked
    }

    fn all(&self) -> impl Iterator<Item = &Flight> {
        self.whole.iter().chain(&self.suspects)
    }

    fn longest_untried(&mut self, may_go: impl Fn(&Flight) -> bool) -> Option<&mut Flight> {
        let all = self.whole.iter_mut().chain(&mut self.suspects);
        all.filter(|flight| may_go(flight))
            .min_by_key(|flight| flight.last_try)
    }

    /// What is fresh goes first. The backlog leaves one of several places to it.
    fn next_in_order(
        &mut self,
        most: usize,
        may_go: impl Fn(&Flight) -> bool,
    ) -> Option<&mut Flight> {
        let is_looked_into = self.suspects.iter().any(|flight| flight.is_sending);
        let of_backlog = |flight: &&Flight| flight.is_sending && flight.lane == Lane::Backlog;
        let backlog = self.all().filter(of_backlog).count();
        let is_backlog_full = (most - 1).max(1) <= backlog;
        let may_go = |flight: &&mut Flight| {
            let is_held_back = is_backlog_full && flight.lane == Lane::Backlog;
            may_go(flight) && !is_held_back
        };
        let suspects = self.suspects.iter_mut().rev();
        let suspect = suspects.filter(|_| !is_looked_into).find(may_go);
        let whole = self.whole.iter_mut().filter(may_go);
        let all = suspect.into_iter().chain(whole);
        all.min_by_key(|flight| flight.lane == Lane::Backlog)
    }

    fn landed(&mut self, batch: i64) -> Option<&mut Flight> {
        let mut all = self.whole.iter_mut().chain(&mut self.suspects);
        let flight = all.find(|flight| flight.batch.id == batch)?;
        flight.is_sending = false;
        flight.held = None;
        Some(flight)
    }

    fn remove(&mut self, batch: i64) -> Option<Flight> {
        for list in [&mut self.whole, &mut self.suspects] {
            if let Some(at) = list.iter().position(|flight| flight.batch.id == batch) {
                return Some(list.remove(at));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
