//! The stored past on its way through other rules: what they would have said. It touches nothing.

mod answer;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;

pub use self::answer::RuleAnswer;
use crate::background::give_way_at;
use crate::domain::alert::AlertState;
use crate::domain::reading::{Attributes, Reading, ReadingId, StoredReading};
use crate::domain::sensor::SensorId;
use crate::domain::timestamp::Timestamp;
use crate::rules::{Arrival, Effects, Engine, RuleSet, STACK_BYTES};
use crate::store::{History, StoreError};

/// Readings in one look at the store.
const PAGE: usize = 20_000;

/// Parts of a timeline.
const COLUMNS: usize = 60;

/// Which part of the past is looked at.
#[derive(Debug)]
pub struct Question<'q> {
    pub since: Timestamp,
    pub now: Timestamp,
    pub sensor: Option<&'q SensorId>,
}

/// What came of it.
#[derive(Debug)]
pub struct Replayed {
    pub readings: u64,
    /// Up to where it was looked: `now`, unless it was given up before.
    pub to: Timestamp,
    /// It was not given up.
    pub is_complete: bool,
    /// Of each set of rules, in their order.
    pub sets: Vec<Vec<OfRule>>,
}

/// What one rule would have said.
#[derive(Clone, Debug)]
pub struct OfRule {
    pub name: Arc<str>,
    /// Alerts that were opened, and that were over again.
    pub raised: u64,
    pub cleared: u64,
    /// Events of all kinds.
    pub events: u64,
    /// Milliseconds that the longest alert was open.
    pub longest: i64,
    /// Readings that it could not be asked about.
    pub failures: u64,
    pub late: u64,
    /// For each part of the time: alerts raised, and whether one was open.
    pub timeline: Vec<(u64, bool)>,
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

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the replay's thread cannot be started: {0}")]
    Thread(std::io::Error),
    #[error("the replay panicked")]
    Panicked,
}

/// How far a replay is; a break gives it up. Both count ids.
pub type Progress<'p> = &'p mut (dyn FnMut(i64, i64) -> ControlFlow<()> + Send);

/// Streams the readings through each set of rules. Blocks, on a thread of its own, since conditions want a large stack.
pub fn replay(
    history: History,
    sets: Vec<RuleSet>,
    question: &Question<'_>,
    progress: Progress<'_>,
) -> Result<Replayed, ReplayError> {
    thread::scope(|scope| {
        let builder = thread::Builder::new()
            .name("replay".into())
            .stack_size(STACK_BYTES);
        let spawned = builder.spawn_scoped(scope, move || run(&history, sets, question, progress));
        let joined = spawned.map_err(ReplayError::Thread)?.join();
        joined.map_err(|_| ReplayError::Panicked)?
    })
}

fn run(
    history: &History,
    sets: Vec<RuleSet>,
    question: &Question<'_>,
    progress: Progress<'_>,
) -> Result<Replayed, ReplayError> {
    let mut runs: Vec<Run<'_>> = sets
        .into_iter()
        .map(|set| Run::new(set, question))
        .collect();
    let mut replayed = Replayed {
        readings: 0,
        to: question.now,
        is_complete: true,
        sets: Vec::new(),
    };
    if let Some((first, last)) = history.range(question.since)? {
        let all = last.0 - first.0 + 1;
        let mut after = ReadingId(first.0 - 1);
        loop {
            let page = history.page(after, PAGE)?;
            let Some(newest) = page.last() else { break };
            after = newest.id;
            let arrived = newest.received_at;
            for (number, stored) in page.into_iter().enumerate() {
                give_way_at(number);
                if !question.is_about(&stored) {
                    continue;
                }
                replayed.readings += 1;
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
            if progress(after.0 - first.0 + 1, all).is_break() {
                (replayed.to, replayed.is_complete) = (arrived, false);
                break;
            }
        }
    }
    let to = replayed.to;
    replayed.sets = runs.into_iter().map(|run| run.end(to)).collect();
    Ok(replayed)
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

    fn end(mut self, to: Timestamp) -> Vec<OfRule> {
        let alerts = &mut self.alerts;
        let due = self.engine.tick(to.millis(), &mut || {
            *alerts += 1;
            *alerts
        });
        self.count(due);
        for rule in &mut self.rules {
            let open: Vec<i64> = rule.open.drain().map(|(_, since)| since).collect();
            for since in open {
                rule.was_open(since, to.millis(), self.question);
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
