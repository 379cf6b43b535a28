//! An engine for tests, with what it tells and what is stored of it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::domain::alert::{AlertState, PastAlert};
use crate::domain::status::{DeviceId, DeviceStatus};
use crate::rules::StateChange;

/// An engine with what it tells and what is stored of it.
pub(super) struct House {
    rules: Arc<RuleSet>,
    pub(super) engine: Engine,
    pub(super) stored: BTreeMap<(String, String), Box<[u8]>>,
    names: Vec<(Arc<str>, Box<str>)>,
    alerts: i64,
    readings: i64,
    pub(super) told: Vec<String>,
    /// Those that are stored, since what is written behind was written.
    alerts_since: Vec<PastAlert>,
    /// The first ones of all episodes.
    pub(super) raised: BTreeMap<i64, PastAlert>,
    /// Windows as readings.
    pub(super) aggregates: Vec<String>,
}

impl House {
    pub(super) fn of(rules: &[RuleDefinition]) -> Self {
        let rules = Arc::new(RuleSet::compile(rules).unwrap());
        let engine = Engine::new(Arc::clone(&rules));
        Self {
            rules,
            names: engine.names(),
            engine,
            stored: BTreeMap::new(),
            alerts: 0,
            readings: 0,
            told: Vec::new(),
            alerts_since: Vec::new(),
            raised: BTreeMap::new(),
            aggregates: Vec::new(),
        }
    }

    /// A reading of `sensor` that arrives at the second `now`, measured at the second `ts`.
    pub(super) fn reads_late(&mut self, sensor: &str, value: f64, ts: i64, now: i64) -> Outcome {
        self.ticks(now);
        let reading = Reading {
            sensor_id: SensorId::new(sensor).unwrap(),
            ts: Timestamp::from_millis(ts * 1000),
            received_at: Timestamp::from_millis(now * 1000),
            ..reading(value, r#"{"room":"b1"}"#)
        };
        let id = ReadingId(self.readings + 1);
        let arrival = Arrival {
            reading: &reading,
            id,
            now: now * 1000,
        };
        let outcome = self.engine.take_reading(arrival, &mut || {
            self.alerts += 1;
            self.alerts
        });
        if outcome.fate == Fate::Stored {
            self.readings += 1;
        }
        self.tell(&outcome.effects);
        outcome
    }

    pub(super) fn reads(&mut self, sensor: &str, value: f64, now: i64) -> Outcome {
        self.reads_late(sensor, value, now, now)
    }

    pub(super) fn ticks(&mut self, now: i64) {
        let effects = self.engine.tick(now * 1000, &mut || {
            self.alerts += 1;
            self.alerts
        });
        self.tell(&effects);
    }

    pub(super) fn says(&mut self, device: &str, status: &str, now: i64) {
        self.ticks(now);
        let device = DeviceId::new(device).unwrap();
        let status = DeviceStatus::new(device, status, Timestamp::from_millis(now * 1000)).unwrap();
        let effects = self.engine.take_status(&status, now * 1000, &mut || {
            self.alerts += 1;
            self.alerts
        });
        self.tell(&effects);
    }

    /// Whether it made a difference.
    pub(super) fn is_acknowledged(&mut self, episode: i64, now: i64) -> bool {
        self.ticks(now);
        let Some(alert) = self.raised.get(&episode) else {
            return false;
        };
        let is_new = self.engine.acknowledge(alert);
        if is_new {
            self.alerts += 1;
            self.alerts_since.push(PastAlert {
                state: AlertState::Acknowledged,
                ..alert.clone()
            });
        }
        is_new
    }

    pub(super) fn tell(&mut self, effects: &Effects) {
        for event in &effects.events {
            let subject = event.group.as_ref().unwrap_or(event.sensor_id.shared());
            let alert = PastAlert {
                episode: event.episode,
                rule: Arc::clone(&event.rule),
                subject: Arc::clone(subject),
                state: event.state,
                ts: event.ts,
            };
            if event.id == event.episode {
                self.raised.insert(event.id, alert.clone());
            }
            self.alerts_since.push(alert);
            self.told.push(format!(
                "{} {} {} {} {:?} @{} #{}/{}",
                event.rule,
                event.state.as_str(),
                event.sensor_id,
                event.value,
                event.group,
                event.ts.millis() / 1000,
                event.id,
                event.episode,
            ));
        }
        for aggregate in &effects.aggregates {
            self.aggregates.push(format!(
                "{} {} {}",
                aggregate.tag,
                aggregate.sensor_id,
                aggregate.attributes.as_json()
            ));
        }
        self.told
            .extend(effects.late.iter().map(|rule| format!("{rule} late")));
        self.told.extend(
            effects
                .failures
                .iter()
                .map(|(rule, why)| format!("{rule} failed: {why}")),
        );
    }

    pub(super) fn commits(&mut self) {
        let changes = self.engine.changes();
        self.store(changes);
    }

    /// The same, with what is written behind.
    pub(super) fn commits_all(&mut self) {
        self.commits();
        let changes = self.engine.changes_behind();
        self.store(changes);
        self.alerts_since.clear();
    }

    fn store(&mut self, changes: Vec<StateChange>) {
        for StateChange {
            rule,
            subject,
            state,
        } in changes
        {
            let key = (rule.to_string(), subject.to_string());
            match state {
                Some(state) => drop(self.stored.insert(key, state)),
                None => drop(self.stored.remove(&key)),
            }
        }
    }

    /// Is killed behind a commit: what is not committed has not been.
    pub(super) fn restarts(&mut self) {
        self.commits();
        self.engine = Engine::new(Arc::clone(&self.rules));
        let states = self
            .stored
            .iter()
            .map(|((rule, subject), state)| StateChange {
                rule: (&**rule).into(),
                subject: (&**subject).into(),
                state: Some(state.clone()),
            });
        let (states, alerts) = (states.collect(), &self.alerts_since);
        let restored = self.engine.restore(&self.names, states, alerts);
        assert_eq!((restored.forgotten.len(), restored.unreadable), (0, 0));
    }

    /// Without the values, and what has been told before.
    pub(super) fn news(&mut self) -> Vec<String> {
        let told = std::mem::take(&mut self.told);
        let short = |line: &String| line.split(' ').take(3).collect::<Vec<_>>().join(" ");
        told.iter().map(short).collect()
    }
}

pub(super) const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(super) fn high() -> RuleDefinition {
    rule("high", "value > 75", &[Action::Alert])
}
