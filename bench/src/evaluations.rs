//! The rules alone, in this process: how often they can be asked in a second, what they remember in how many bytes, and what
//! rules cost that see other topics.

use std::{fs, process, sync::Arc, thread, time::Duration};

use anyhow::{Context, Result, anyhow};
use edge_gateway::{
    config::Config,
    domain::{
        reading::{Attributes, Reading, ReadingId},
        sensor::SensorId,
        timestamp::Timestamp,
        topic::TopicName,
    },
    rules::{Arrival, Engine, RuleSet, STACK_BYTES},
};

use crate::process::{own_thread_cpu_time, resident_kib};

pub(crate) const SENSORS: usize = 1000;
pub(crate) const RULES: usize = 300;
/// Readings of each sensor in a measurement.
const SWEEPS: usize = 10;
/// Readings of a commit.
const GROUP: i64 = 1000;
/// From one reading of a sensor to the next, in milliseconds.
const INTERVAL: i64 = 1000;
const START: i64 = 1_764_000_000_000;

/// What a rule looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    Comparison,
    Hysteresis,
    Window,
    SlidingWindow,
    Silence,
    Interpreted,
    Pattern,
}

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::Comparison,
        Self::Hysteresis,
        Self::Window,
        Self::SlidingWindow,
        Self::Silence,
        Self::Interpreted,
        Self::Pattern,
    ];

    /// Of ten rules: four comparisons, two with times, two windows, one for silence, one for the interpreter.
    const MIX: [Self; 10] = [
        Self::Comparison,
        Self::Comparison,
        Self::Comparison,
        Self::Comparison,
        Self::Hysteresis,
        Self::Hysteresis,
        Self::Window,
        Self::SlidingWindow,
        Self::Silence,
        Self::Interpreted,
    ];

    pub(crate) const fn example(self) -> &'static str {
        match self {
            Self::Comparison => "`value > 75`",
            Self::Hysteresis => "`value > 75`, `clear`, `for`, `clear_for`",
            Self::Window => "`over = \"5m\"`, `avg > 75 && count >= 10`",
            Self::SlidingWindow => "the same, `every = \"1m\"`",
            Self::Silence => "`absent_for = \"10m\"`",
            Self::Interpreted => {
                "`has(attributes.room) && attributes.room == \"b1\" && value > 75`"
            }
            Self::Pattern => "`sensor_id.matches(\"^s[0-9]+$\") && value > 75`",
        }
    }

    /// A section of the configuration; bounds differ, so that no two rules are the same.
    fn section(self, number: usize, more: &str) -> String {
        let bound = 70.0 + number as f64 / 16.0;
        let keys = match self {
            Self::Comparison => format!("when = \"value > {bound:?}\""),
            Self::Hysteresis => format!(
                "when = \"value > {bound:?}\"\nclear = \"value < {:?}\"\nfor = \"30s\"\nclear_for = \"10s\"",
                bound - 5.0
            ),
            Self::Window => format!("when = \"avg > {bound:?} && count >= 10\"\nover = \"5m\""),
            Self::SlidingWindow => {
                format!("when = \"avg > {bound:?} && count >= 10\"\nover = \"5m\"\nevery = \"1m\"")
            }
            Self::Silence => "absent_for = \"10m\"".to_owned(),
            Self::Interpreted => format!(
                "when = 'has(attributes.room) && attributes.room == \"b1\" && value > {bound:?}'"
            ),
            Self::Pattern => {
                format!("when = 'sensor_id.matches(\"^s[0-9]+$\") && value > {bound:?}'")
            }
        };
        format!("[[rule]]\nname = \"r{number}\"\n{keys}\n{more}actions = [\"alert\"]\n")
    }
}

/// Rules over a thousand sensors whose values wander.
pub(crate) struct Plant {
    engine: Engine,
    readings: Vec<Reading>,
    random: fastrand::Rng,
    now: i64,
    last_alert: i64,
    last_reading: i64,
    /// What has changed is asked for behind so many readings.
    group: i64,
}

impl Plant {
    /// Each of the `rules` is a section; `topic` gives a sensor's.
    fn new(rules: &[String], topic: impl Fn(usize) -> String) -> Result<Self> {
        let mut random = fastrand::Rng::with_seed(1);
        let attributes = Attributes::from_json(r#"{"room":"b1","unit":"C"}"#.to_owned());
        let reading = |number: usize| -> Result<Reading> {
            Ok(Reading {
                sensor_id: SensorId::new(&format!("s{number}"))
                    .map_err(|error| anyhow!("{error}"))?,
                value: random.f64() * 100.0,
                ts: Timestamp::from_millis(START),
                received_at: Timestamp::from_millis(START),
                attributes: attributes.clone(),
                topic: Some(TopicName::new(&topic(number)).map_err(|error| anyhow!("{error}"))?),
            })
        };
        Ok(Self {
            engine: Engine::new(Arc::new(compile(rules)?)),
            readings: (0..SENSORS).map(reading).collect::<Result<_>>()?,
            random: fastrand::Rng::with_seed(2),
            now: 0,
            last_alert: 0,
            last_reading: 0,
            group: GROUP,
        })
    }

    /// One reading of each sensor, and what a commit would write of what is remembered.
    fn sweep(&mut self, interval: i64) {
        self.now += interval;
        let alerts = &mut self.last_alert;
        self.engine.tick(self.now, &mut || {
            *alerts += 1;
            *alerts
        });
        for number in 0..self.readings.len() {
            let reading = &mut self.readings[number];
            let step = self.random.f64() * 4.0 - 2.0;
            reading.value = (reading.value + step).clamp(0.0, 100.0);
            reading.ts = Timestamp::from_millis(START + self.now);
            reading.received_at = reading.ts;
            self.last_reading += 1;
            let arrival = Arrival {
                reading,
                id: ReadingId(self.last_reading),
                now: self.now,
            };
            self.engine.take_reading(arrival, &mut || {
                *alerts += 1;
                *alerts
            });
            if self.last_reading % self.group == 0 {
                self.engine.changes();
            }
        }
        self.engine.changes_behind();
    }
}

/// The rules of these sections; without any those of a new installation.
pub(crate) fn compile(rules: &[String]) -> Result<RuleSet> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("rules.toml");
    fs::write(&file, rules.concat())?;
    let config =
        Config::load(Some(&file), std::iter::empty()).map_err(|faults| anyhow!("{faults}"))?;
    RuleSet::compile(&config.rules).map_err(|faults| anyhow!("{faults:?}"))
}

/// Runs on a thread with the stack that rules want.
pub(crate) fn apart<T: Send>(measure: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK_BYTES);
        let measuring = thread.spawn_scoped(scope, measure)?;
        measuring.join().ok().context("the measurement panicked")?
    })
}

fn sensor_topic(number: usize) -> String {
    format!("sensors/s{number}")
}

/// Evaluations a second of CPU time: with the mix, or with one kind alone.
pub(crate) fn evaluations(kind: Option<Kind>) -> Result<f64> {
    let kind_of = |number: usize| kind.unwrap_or(Kind::MIX[number % Kind::MIX.len()]);
    let rules: Vec<String> = (0..RULES)
        .map(|number| kind_of(number).section(number, ""))
        .collect();
    let mut plant = Plant::new(&rules, sensor_topic)?;
    // Memory is taken, topics are looked up.
    plant.sweep(INTERVAL);
    let took = time(|| (0..SWEEPS).for_each(|_| plant.sweep(INTERVAL)))?;
    Ok((RULES * SENSORS * SWEEPS) as f64 / took.as_secs_f64())
}

/// Microseconds of CPU time for a reading that one rule sees, among so many with other topics.
pub(crate) fn among(rules: usize) -> Result<f64> {
    let sections: Vec<String> = (0..rules)
        .map(|number| {
            let topics = format!("topics = [\"sensors/line{number}/#\"]\n");
            Kind::Comparison.section(number, &topics)
        })
        .collect();
    let mut plant = Plant::new(&sections, |number| {
        format!("sensors/line{}/s{number}", number % rules)
    })?;
    plant.sweep(INTERVAL);
    let sweeps = SWEEPS * 100;
    let took = time(|| (0..sweeps).for_each(|_| plant.sweep(INTERVAL)))?;
    Ok(took.as_secs_f64() * 1e6 / (SENSORS * sweeps) as f64)
}

/// Bytes for each rule and sensor, all of whose alerts are open. In a process of its own: what others gave back would be used
/// first.
pub(crate) fn memory(kind: Kind) -> Result<f64> {
    const KINDS: usize = 100;
    /// Longer than a window with its lateness.
    const LONG: usize = 40;
    let rules: Vec<String> = (0..KINDS).map(|number| kind.section(number, "")).collect();
    let mut plant = Plant::new(&rules, sensor_topic)?;
    plant
        .readings
        .iter_mut()
        .for_each(|reading| reading.value = 99.0);
    // Else what is encoded for a commit would be counted as well.
    plant.group = 10;
    let before = resident_kib(process::id())?;
    for _ in 0..LONG {
        plant
            .readings
            .iter_mut()
            .for_each(|reading| reading.value = 99.0);
        plant.sweep(10 * INTERVAL);
    }
    let after = resident_kib(process::id())?;
    Ok((after.saturating_sub(before) * 1024) as f64 / (KINDS * SENSORS) as f64)
}

fn time(work: impl FnOnce()) -> Result<Duration> {
    let before = own_thread_cpu_time()?;
    work();
    Ok(own_thread_cpu_time()? - before)
}
