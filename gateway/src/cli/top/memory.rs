//! What looks tell together: rates, and the values that were seen. Pure: time comes in as `now`.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use super::look::{Look, Sensor};
use super::picture::{self, AlertRow, Picture, Rates, SensorRow, SensorState, seconds_between};
use crate::cli::ask::Trouble;
use crate::cli::visible::visible;

/// So many values of a sensor are kept.
const MAX_VALUES: usize = 32;

/// Rates are taken over so many looks: of the whole, and of a sensor, which has few readings in each.
const LOOKS: usize = 3;
const LOOKS_OF_A_SENSOR: usize = 10;

#[derive(Debug, Default)]
pub(super) struct Memory {
    last: Option<Look>,
    received: Rate,
    committed: Rate,
    sensors: HashMap<String, Seen>,
    trouble: Option<(String, Instant)>,
}

#[derive(Debug, Default)]
struct Seen {
    last_id: i64,
    values: VecDeque<f64>,
    rate: Rate,
}

/// A count that only grows, at some points in time, in seconds.
#[derive(Debug, Default)]
struct Rate(VecDeque<(f64, u64)>);

impl Rate {
    fn note(&mut self, at: f64, count: u64, looks: usize) {
        // The gateway has begun anew.
        if self
            .0
            .back()
            .is_some_and(|last| at < last.0 || count < last.1)
        {
            self.0.clear();
        }
        self.0.push_back((at, count));
        if looks < self.0.len() {
            self.0.pop_front();
        }
    }

    fn a_second(&self) -> Option<f64> {
        let (first, last) = (self.0.front()?, self.0.back()?);
        let seconds = last.0 - first.0;
        (0.0 < seconds).then(|| (last.1 - first.1) as f64 / seconds)
    }
}

impl Seen {
    fn note(&mut self, id: i64, value: f64) {
        if id <= self.last_id {
            return;
        }
        self.last_id = id;
        self.values.push_back(value);
        if MAX_VALUES < self.values.len() {
            self.values.pop_front();
        }
    }
}

impl Memory {
    /// Takes a look in, or why there was none.
    pub(super) fn take(&mut self, look: Result<Look, Trouble>, now: Instant) {
        let mut look = match look {
            Ok(look) => look,
            Err(trouble) => {
                let since = self.trouble.as_ref().map_or(now, |(_, since)| *since);
                self.trouble = Some((trouble.words().to_owned(), since));
                return;
            }
        };
        self.trouble = None;
        let uptime = look.gateway.uptime_seconds;
        let began_anew = |last: &Look| uptime < last.gateway.uptime_seconds;
        if self.last.as_ref().is_some_and(began_anew) {
            // Its counts go on, but nobody knows over how long.
            self.sensors
                .values_mut()
                .for_each(|seen| seen.rate.0.clear());
        }
        self.received
            .note(uptime, look.gateway.readings.received, LOOKS);
        self.committed
            .note(uptime, look.gateway.readings.committed, LOOKS);
        for reading in look.past.drain(..) {
            let seen = self.sensors.entry(reading.sensor_id).or_default();
            seen.note(reading.id, reading.value);
        }
        for sensor in &look.sensors {
            let seen = match self.sensors.get_mut(&sensor.sensor_id) {
                Some(seen) => seen,
                None => self.sensors.entry(sensor.sensor_id.clone()).or_default(),
            };
            seen.rate.note(uptime, sensor.count, LOOKS_OF_A_SENSOR);
            if let Some(last) = &sensor.last {
                seen.note(last.id, last.value);
            }
        }
        self.last = Some(look);
    }

    /// For how many seconds the gateway has not been seen.
    pub(super) fn gone_for(&self, now: Instant) -> Option<f64> {
        let (_, since) = self.trouble.as_ref()?;
        Some(now.saturating_duration_since(*since).as_secs_f64())
    }

    /// What is known.
    pub(super) fn picture(&self) -> Picture {
        let mut picture = Picture {
            trouble: self.trouble.as_ref().map(|(words, _)| visible(words)),
            ..Picture::default()
        };
        let Some(look) = &self.last else {
            return picture;
        };
        let now = look.gateway.now;
        let rates = Rates {
            received: self.received.a_second(),
            committed: self.committed.a_second(),
        };
        let mut states: HashMap<&str, SensorState> = HashMap::new();
        for alert in &look.alerts {
            let state = states.entry(&alert.sensor_id).or_default();
            *state = (*state).max(SensorState::of(alert));
        }
        let state = |sensor: &Sensor| states.get(&*sensor.sensor_id).copied();
        let row = |sensor| self.row(sensor, state(sensor).unwrap_or_default(), now);
        let alert = |alert| AlertRow::new(alert, now);
        picture.head = picture::head(&look.gateway, rates);
        picture.uplinks = picture::uplinks(&look.outbox);
        picture.checks = picture::checks(&look.gateway);
        picture.sensors = look.sensors.iter().map(row).collect();
        picture.has_more_sensors = look.has_more_sensors;
        picture.alerts = look.alerts.iter().map(alert).collect();
        // By their newest events they would change places with each reading.
        picture.alerts.sort_by_key(|row| Reverse(row.episode));
        picture.has_more_alerts = look.has_more_alerts;
        picture
    }

    fn row(&self, sensor: &Sensor, state: SensorState, now: i64) -> SensorRow {
        let seen = self.sensors.get(&sensor.sensor_id);
        let last = sensor.last.as_ref();
        SensorRow {
            id: sensor.sensor_id.clone(),
            shown: visible(&sensor.sensor_id),
            state,
            value: last.map(|last| last.value),
            recent: seen.map_or(Vec::new(), |seen| seen.values.iter().copied().collect()),
            count: sensor.count,
            rate: seen.and_then(|seen| seen.rate.a_second()),
            age: last.map(|last| seconds_between(last.received_at, now)),
        }
    }
}
