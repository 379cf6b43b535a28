//! The stored readings on their way through the rules.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;

use crate::domain::alert::AlertState;
use crate::domain::reading::{Attributes, Reading, ReadingId, StoredReading};
use crate::domain::sensor::SensorId;
use crate::domain::timestamp::Timestamp;
use crate::rules::{Arrival, Effects, Engine, RuleSet};
use crate::store::{History, StoreError};

/// Readings in one look at the store.
const PAGE: usize = 20_000;

/// Columns of a timeline.
pub(super) const COLUMNS: usize = 60;

/// Which part of the past is looked at.
#[derive(Debug)]
pub(super) struct Question<'q> {
    pub(super) since: Timestamp,
    pub(super) now: Timestamp,
    pub(super) sensor: Option<&'q SensorId>,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Replayed {
    pub(super) readings: u64,
    /// Of each set of rules, in their order.
    pub(super) sets: Vec<Vec<OfRule>>,
}

/// What one rule would have said.
#[derive(Clone, Debug)]
pub(super) struct OfRule {
    pub(super) name: Arc<str>,
    /// Alerts that were opened, and that were over again.
    pub(super) raised: u64,
    pub(super) cleared: u64,
    /// Events of all kinds.
    pub(super) events: u64,
    /// Milliseconds that the longest alert was open.
    pub(super) longest: i64,
    /// Readings that it could not be asked about.
    pub(super) failures: u64,
    pub(super) late: u64,
    /// For each part of the time: alerts raised, and whether one was open.
    pub(super) timeline: Vec<(u64, bool)>,
    /// Since when those that are open are, by their first event.
    open: HashMap<i64, i64>,
}

/// One set of rules over the past.
struct Run<'q> {
    engine: Engine,
    rules: Vec<OfRule>,
    places: HashMap<Arc<str>, usize>,
    alerts: i64,
    question: &'q Question<'q>,
}

/// Streams the readings through each set of rules.
pub(super) fn replay(
    history: &History,
    sets: Vec<RuleSet>,
    question: &Question<'_>,
) -> Result<Replayed, StoreError> {
    let mut runs: Vec<Run<'_>> = sets
        .into_iter()
        .map(|set| Run::new(set, question))
        .collect();
    let mut readings = 0;
    if let Some((first, last)) = history.range(question.since)? {
        let mut progress = Progress::new(last.0 - first.0 + 1);
        let mut after = ReadingId(first.0 - 1);
        loop {
            let page = history.page(after, PAGE)?;
            let Some(newest) = page.last() else { break };
            after = newest.id;
            progress.show(after.0 - first.0 + 1);
            for stored in page.into_iter().filter(|stored| question.is_about(stored)) {
                readings += 1;
                let (id, reading) = (stored.id, restored(stored));
                for run in &mut runs {
                    let now = reading.received_at.millis();
                    run.take(Arrival {
                        reading: &reading,
                        id,
                        now,
                    });
                }
            }
            for run in &mut runs {
                run.engine.disregard_changes();
            }
        }
        progress.end();
    }
    let sets = runs.into_iter().map(Run::end).collect();
    Ok(Replayed { readings, sets })
}

impl Question<'_> {
    fn is_about(&self, stored: &StoredReading) -> bool {
        let is_wanted = self.sensor.is_none_or(|sensor| *sensor == stored.sensor_id);
        // What a rule has made of readings is none.
        is_wanted && !stored.attributes.get().contains("\"window_start\":")
    }

    fn column(&self, ts: i64) -> usize {
        let span = (self.now.millis() - self.since.millis()).max(1);
        let place = (ts - self.since.millis()).clamp(0, span - 1);
        usize::try_from(place * COLUMNS as i64 / span).unwrap_or(0)
    }
}

/// As it came, but for its topic.
fn restored(stored: StoredReading) -> Reading {
    Reading {
        sensor_id: stored.sensor_id,
        value: stored.value,
        ts: stored.ts,
        received_at: stored.received_at,
        attributes: Attributes::from_json(stored.attributes.get().to_owned()),
        topic: None,
    }
}

impl<'q> Run<'q> {
    fn new(set: RuleSet, question: &'q Question<'q>) -> Self {
        let engine = Engine::new(Arc::new(set));
        let names = engine.names().into_iter().map(|(name, _)| name);
        let rules: Vec<OfRule> = names.map(OfRule::new).collect();
        let places = rules
            .iter()
            .map(|rule| Arc::clone(&rule.name))
            .zip(0..)
            .collect();
        Self {
            engine,
            rules,
            places,
            alerts: 0,
            question,
        }
    }

    fn take(&mut self, arrival: Arrival<'_>) {
        let alerts = &mut self.alerts;
        let mut number = || {
            *alerts += 1;
            *alerts
        };
        let due = self.engine.tick(arrival.now, &mut number);
        let outcome = self.engine.take_reading(arrival, &mut number);
        self.count(due);
        self.count(outcome.effects);
    }

    fn count(&mut self, effects: Effects) {
        for event in effects.events {
            let Some(place) = self.places.get(&event.rule) else {
                continue;
            };
            let ts = event.ts.millis();
            self.rules[*place].count(event.state, event.id, event.episode, ts, self.question);
        }
        let failed = effects.failures.into_iter().map(|(rule, _)| rule);
        for (rule, is_late) in failed
            .map(|rule| (rule, false))
            .chain(effects.late.into_iter().map(|rule| (rule, true)))
        {
            if let Some(place) = self.places.get(&rule) {
                let of = &mut self.rules[*place];
                *(if is_late {
                    &mut of.late
                } else {
                    &mut of.failures
                }) += 1;
            }
        }
    }

    fn end(mut self) -> Vec<OfRule> {
        let alerts = &mut self.alerts;
        let due = self.engine.tick(self.question.now.millis(), &mut || {
            *alerts += 1;
            *alerts
        });
        self.count(due);
        for rule in &mut self.rules {
            let open: Vec<i64> = rule.open.drain().map(|(_, since)| since).collect();
            for since in open {
                rule.was_open(since, self.question.now.millis(), self.question);
            }
        }
        self.rules
    }
}

impl OfRule {
    fn new(name: Arc<str>) -> Self {
        Self {
            name,
            raised: 0,
            cleared: 0,
            events: 0,
            longest: 0,
            failures: 0,
            late: 0,
            timeline: vec![(0, false); COLUMNS],
            open: HashMap::new(),
        }
    }

    fn count(
        &mut self,
        state: AlertState,
        id: i64,
        episode: i64,
        ts: i64,
        question: &Question<'_>,
    ) {
        self.events += 1;
        match state {
            AlertState::Raised if id == episode => {
                self.raised += 1;
                self.timeline[question.column(ts)].0 += 1;
                self.open.insert(episode, ts);
            }
            AlertState::Cleared => {
                self.cleared += 1;
                if let Some(since) = self.open.remove(&episode) {
                    self.was_open(since, ts, question);
                }
            }
            AlertState::Raised | AlertState::Acknowledged => {}
        }
    }

    fn was_open(&mut self, since: i64, until: i64, question: &Question<'_>) {
        // A reading that came late may have ended it.
        let until = until.max(since);
        self.longest = self.longest.max(until - since);
        let columns = question.column(since)..=question.column(until);
        for (_, is_open) in &mut self.timeline[columns] {
            *is_open = true;
        }
    }
}

/// How far it is, on a terminal.
struct Progress {
    all: i64,
    shown: i64,
    is_seen: bool,
}

impl Progress {
    fn new(all: i64) -> Self {
        Self {
            all,
            shown: -1,
            is_seen: io::stderr().is_terminal(),
        }
    }

    fn show(&mut self, done: i64) {
        let percent = done * 100 / self.all.max(1);
        if self.is_seen && self.shown < percent {
            let full = usize::try_from(percent / 5).unwrap_or(0).min(20);
            let (bar, rest) = ("█".repeat(full), "·".repeat(20 - full));
            write!(io::stderr(), "\r{bar}{rest} {percent:>3} %").ok();
            self.shown = percent;
        }
    }

    fn end(&self) {
        if self.is_seen {
            write!(io::stderr(), "\r{:26}\r", "").ok();
        }
    }
}
