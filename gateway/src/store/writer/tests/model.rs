//! The store against a simple model of it: random groups, batches, confirmations, upkeep, failures, kills and restarts, one step
//! at a time. What may be taken away is said in [`prunes`], what is compared in [`checks`].

mod checks;
mod faults;
mod outbox;
mod prunes;

use std::collections::{BTreeMap, BTreeSet};

use super::story::{START, limits, sensor};
use super::*;
use crate::config::WhenFull;
use crate::domain::status::{DeviceId, DeviceStatus};
use crate::store::outbox::{Account, Batch};
use crate::store::{Limits, NewReject};

/// In continuous integration; `STORE_STEPS` says more, `IT_SEED` another beginning.
const STEPS: u64 = 4_000;

/// Between two looks at everything; then other limits hold, and other uplinks are away.
const LOOK_EVERY: u64 = 500;

const UPLINKS: [&str; 2] = ["cloud", "second"];

/// Two or three blocks of rows.
const BUDGET: u64 = 8 << 20;
const HOUR: i64 = 60 * 60 * 1000;
const KEEP: i64 = HOUR;

/// Between two readings, in milliseconds: a block takes half an hour.
const PACE: i64 = 50;

/// What a reading is made of, all of it from its number.
fn made(number: i64) -> (Reading, Option<Box<str>>) {
    let mut rng = fastrand::Rng::with_seed(number.unsigned_abs());
    let received_at = START + number * PACE;
    let of = match rng.u32(..100) {
        0..40 => 0,
        40..60 => rng.usize(1..4),
        _ => rng.usize(4..300),
    };
    let delay = match rng.u32(..1000) {
        0 => received_at,
        1 => -HOUR,
        2..20 => 0,
        _ => rng.i64(0..5000),
    };
    let value = match rng.u32(..100) {
        0 => rng.f64() * 1e300,
        _ => f64::from(rng.i32(-100_000..100_000)) / 100.0,
    };
    let attributes = match rng.u32(..10) {
        0 => Attributes::from_json(format!(r#"{{"seq":{number}}}"#)),
        1 => Attributes::from_json(r#"{"unit":"C"}"#.to_owned()),
        _ => Attributes::default(),
    };
    let reading = Reading {
        sensor_id: sensor(of),
        value,
        ts: Timestamp::from_millis(received_at - delay),
        received_at: Timestamp::from_millis(received_at),
        attributes,
        topic: None,
    };
    let is_tagged = rng.u32(..20) == 0;
    (reading, is_tagged.then(|| r#"["high"]"#.into()))
}

/// What is expected of the store.
#[derive(Debug, Default)]
struct Model {
    /// The number each was made of, by id.
    readings: BTreeMap<i64, i64>,
    /// The newest of each sensor, and how many there were.
    sensors: BTreeMap<SensorId, (i64, u64)>,
    waiting: [BTreeSet<i64>; 2],
    batches: BTreeMap<i64, Batch>,
    /// By id: place of the uplink, reading, tries.
    letters: BTreeMap<i64, (usize, i64, u32)>,
    last_letter: i64,
    accounts: [Account; 2],
    alerts: BTreeMap<i64, Alert>,
    /// By the id of its first event: its newest.
    open: BTreeMap<i64, i64>,
    /// When each came.
    rejects: BTreeMap<i64, i64>,
    devices: BTreeMap<String, String>,
    /// Readings that went into minutes, of the units that are there.
    thinned: u64,
    /// By reason.
    removed: [u64; 4],
}

/// What happens to the model when the group is on disk.
type Effect = Box<dyn FnOnce(&mut Model)>;

/// The store, its model, and a seed's say in what happens to both.
struct Pair {
    place: Place,
    /// `None` only while it is opened again.
    writer: Option<Writer>,
    model: Model,
    rng: fastrand::Rng,
    /// Of the next reading.
    number: i64,
    /// Read to go into a batch, by uplink; the batch comes later.
    claims: [Vec<ReadingId>; 2],
    /// Uplinks that take nothing at the time.
    is_away: [bool; 2],
    limits: Limits,
    group: Group,
    effects: Vec<Effect>,
    /// Of this kind there were so many.
    counts: BTreeMap<&'static str, u64>,
}

#[test]
fn the_store_does_what_a_simple_model_of_it_does() {
    let number = |name: &str, or: u64| -> u64 {
        std::env::var(name).map_or(or, |text| text.parse().unwrap())
    };
    let (steps, seed) = (number("STORE_STEPS", STEPS), number("IT_SEED", 1));
    let mut pair = Pair::new(seed);
    for step in 1..=steps {
        pair.step();
        if step % LOOK_EVERY == 0 || step == steps {
            pair.check_all();
            pair.is_away = [0; 2].map(|_| pair.rng.u32(..4) == 0);
            pair.limits = pair.some_limits();
        }
    }
    let Model { removed, .. } = pair.model;
    println!(
        "seed {seed}: {steps} steps, {} readings, removed {removed:?}, {:?}",
        pair.number, pair.counts
    );
}

impl Pair {
    fn new(seed: u64) -> Self {
        let place = Place::new();
        let mut pair = Self {
            place,
            writer: None,
            model: Model::default(),
            rng: fastrand::Rng::with_seed(seed),
            number: 0,
            claims: Default::default(),
            is_away: [false; 2],
            limits: limits(None, BUDGET, WhenFull::Thin),
            group: Group::default(),
            effects: Vec::new(),
            counts: BTreeMap::new(),
        };
        pair.open();
        pair
    }

    fn open(&mut self) {
        let path = self.place.folder.path().join("gateway.db");
        let writer = Writer::open_for(&path, &UPLINKS.map(Into::into)).unwrap();
        writer.keep_open_alerts(self.model.open.keys().copied());
        self.writer = Some(writer);
    }

    fn writer(&mut self) -> &mut Writer {
        self.writer.as_mut().unwrap()
    }

    fn reader(&self) -> Reader {
        self.writer.as_ref().unwrap().reader()
    }

    fn key(place: usize) -> UplinkKey {
        UplinkKey(place as i64 + 1)
    }

    /// One thing that may happen.
    fn step(&mut self) {
        match self.rng.u32(..100) {
            0..15 => self.keep_up(),
            15..17 => self.restart(),
            17..25 => self.look(),
            _ => {
                for _ in 0..self.rng.usize(1..4) {
                    self.grow();
                }
                self.commit();
            }
        }
    }

    /// Puts something into the group.
    fn grow(&mut self) {
        match self.rng.u32(..20) {
            0..8 => self.add_readings(),
            8..10 => self.claim(),
            10..12 => self.record(),
            12..15 => self.settle(),
            15 => self.split(),
            16 => self.take_letter(),
            17 => self.add_alert(),
            18 => self.add_reject(),
            _ => self.say_something(),
        }
    }

    fn add_readings(&mut self) {
        let most = [2, 20, 400][self.rng.usize(..3)];
        for _ in 0..self.rng.usize(1..=most) {
            let number = self.number;
            self.number += 1;
            let (reading, tags) = made(number);
            let places = [(0, 40), (1, 10)].into_iter();
            let places = places.filter(|(_, percent)| self.rng.u32(..100) < *percent);
            let forward = places.map(|(place, _)| UplinkSet::one(place));
            let forward = forward.fold(UplinkSet::NONE, UplinkSet::and);
            let of = reading.sensor_id.clone();
            let writer = self.writer.as_mut().unwrap();
            let id = writer.add_reading(&mut self.group, reading, tags, forward);
            let id = id.unwrap().0;
            self.effects.push(Box::new(move |model| {
                model.readings.insert(id, number);
                let (newest, count) = model.sensors.entry(of).or_default();
                (*newest, *count) = (id, *count + 1);
                for place in forward.places() {
                    model.waiting[place].insert(id);
                }
            }));
        }
    }

    /// A new alert of a reading of its own, or the next event of one that is open.
    fn add_alert(&mut self) {
        self.add_readings();
        let mut group = std::mem::take(&mut self.group);
        raise(self.writer(), &mut group);
        let (_, alert) = group.alerts.last_mut().unwrap();
        let open: Vec<i64> = self.model.open.keys().copied().collect();
        if let Some(episode) = self.rng.choice(open).filter(|_| self.rng.u32(..3) < 2) {
            alert.episode = episode;
            alert.state = [AlertState::Acknowledged, AlertState::Cleared][self.rng.usize(..2)];
        }
        let alert = alert.clone();
        self.group = group;
        self.effects.push(Box::new(move |model| {
            let (episode, id) = (alert.episode, alert.alert_id);
            if alert.state == AlertState::Cleared {
                model.open.remove(&episode);
            } else {
                model.open.insert(episode, id);
            }
            model.alerts.insert(id, alert);
        }));
        self.commit();
    }

    fn add_reject(&mut self) {
        let received_at = START + self.number * PACE;
        let reject = NewReject {
            topic: None,
            payload: self.rng.u64(..).to_le_bytes().into(),
            reason: "no JSON".into(),
            received_at: Timestamp::from_millis(received_at),
        };
        let writer = self.writer.as_mut().unwrap();
        writer.add_reject(&mut self.group, reject);
        let id = writer.given.reject;
        self.effects.push(Box::new(move |model| {
            model.rejects.insert(id, received_at);
        }));
        let known: Vec<i64> = self.model.rejects.keys().copied().collect();
        if let Some(id) = self.rng.choice(known).filter(|_| self.rng.bool()) {
            assert!(writer.settle_reject(&mut self.group, id));
            self.effects.push(Box::new(move |model| {
                model.rejects.remove(&id);
            }));
            self.commit();
        }
    }

    fn say_something(&mut self) {
        let device = DeviceId::new(&format!("d{}", self.rng.u32(..20))).unwrap();
        let status = ["online", "offline"][self.rng.usize(..2)];
        let ts = Timestamp::from_millis(START + self.number);
        let status = DeviceStatus::new(device, status, ts).unwrap();
        let (device, text) = (status.device_id.to_string(), status.status.to_string());
        let writer = self.writer.as_mut().unwrap();
        writer.add_status(&mut self.group, status, 100).unwrap();
        self.effects.push(Box::new(move |model| {
            model.devices.insert(device, text);
        }));
    }
}
