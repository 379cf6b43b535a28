use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::types::Value;

use super::*;
use crate::domain::alert::{Alert, AlertState};
use crate::domain::reading::{Attributes, Reading, ReadingId};
use crate::domain::sensor::SensorId;
use crate::domain::timestamp::Timestamp;
use crate::domain::uplink::UplinkSet;
use crate::store::care::check::tables;
use crate::store::outbox::{Batch, Change, Refusal, Settled, UplinkKey};
use crate::store::{Group, NewReject, Writer};

/// Full blocks that there are at the beginning.
const BLOCKS: i64 = 3;

/// A store, and somebody who changes it.
struct House {
    folder: tempfile::TempDir,
    writer: Writer,
    rng: fastrand::Rng,
    letters: i64,
}

impl House {
    fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let names: Vec<Arc<str>> = vec!["cloud".into(), "other".into()];
        let mut house = Self {
            writer: Writer::open_for(&folder.path().join("gateway.db"), &names).unwrap(),
            folder,
            rng: fastrand::Rng::with_seed(seed),
            letters: 0,
        };
        let mut group = Group::default();
        for _ in 0..(BLOCKS << 15) + 1000 {
            house.add(&mut group);
        }
        house.writer.commit(&group).unwrap();
        house
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("gateway.db")
    }

    fn add(&mut self, group: &mut Group) {
        let rng = &mut self.rng;
        let reading = Reading {
            sensor_id: SensorId::new(&format!("s{}", rng.u8(..30))).unwrap(),
            value: rng.f64(),
            ts: Timestamp::from_millis(rng.i64(0..1_000_000)),
            received_at: Timestamp::from_millis(1_000_000),
            attributes: Attributes::default(),
            topic: None,
        };
        let forward = match rng.u8(..4) {
            0 => UplinkSet::one(0),
            1 => UplinkSet::one(1),
            _ => UplinkSet::NONE,
        };
        self.writer
            .add_reading(group, reading, None, forward)
            .unwrap();
    }

    /// One commit of whatever happens to a store.
    fn live(&mut self) {
        let mut group = Group::default();
        for _ in 0..self.rng.usize(..3000) {
            self.add(&mut group);
        }
        for _ in 0..self.rng.usize(..3) {
            let id = self.writer.next_alert_id();
            let alert = Alert {
                gateway_id: "g".into(),
                alert_id: id,
                episode: id,
                rule: "high".into(),
                state: AlertState::Raised,
                sensor_id: SensorId::new("s1").unwrap(),
                value: 1.0,
                ts: Timestamp::MIN,
                reading_id: ReadingId(1),
                attributes: Attributes::default(),
                severity: None,
                message: None,
                group: None,
            };
            assert!(self.writer.add_alert(&mut group, alert));
            let reject = NewReject {
                topic: None,
                payload: vec![7; self.rng.usize(..100)].into(),
                reason: "no".into(),
                received_at: Timestamp::MIN,
            };
            self.writer.add_reject(&mut group, reject);
        }
        if let Some(id) = self.some("SELECT id FROM reject ORDER BY random() LIMIT 1") {
            self.writer.settle_reject(&mut group, id);
        }
        for change in self.deliveries() {
            group.push_outbox(change);
        }
        self.writer.commit(&group).unwrap();
    }

    /// Some of the outbox is delivered or refused, a dead letter sent again.
    fn deliveries(&mut self) -> Vec<Change> {
        let uplink = self.rng.i64(1..=2);
        let from = self.rng.i64(0..BLOCKS << 15);
        let select = format!(
            "SELECT reading FROM outbox_entry WHERE uplink = {uplink} AND {from} < reading ORDER BY reading LIMIT 200"
        );
        let readings = self.all(&select);
        if readings.is_empty() {
            return Vec::new();
        }
        let batch = Batch {
            id: self.writer.next_batch_id(),
            uplink: UplinkKey(uplink),
            gateway_id: "g".into(),
            format: "batch".into(),
            compression: "gzip".into(),
            tries: 0,
            readings: readings.into_iter().map(ReadingId).collect(),
        };
        let mut changes = vec![Change::Record(batch.clone())];
        if self.rng.bool() {
            let refused = batch.readings[..self.rng.usize(..2)].to_vec();
            self.letters += refused.len() as i64;
            changes.push(Change::Settle(Settled {
                batch,
                refused,
                refusal: Refusal::default(),
            }));
        }
        if 0 < self.letters && self.rng.bool() {
            changes.push(Change::Retry(self.rng.i64(1..=self.letters)));
        }
        changes
    }

    fn some(&self, select: &str) -> Option<i64> {
        self.all(select).pop()
    }

    fn all(&self, select: &str) -> Vec<i64> {
        let reader = connection::open_reader(&self.path()).unwrap();
        let mut select = reader.prepare(select).unwrap();
        let rows = select.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }
}

/// All rows of all tables, in the order of their keys.
fn contents(path: &Path) -> Vec<(Box<str>, Vec<Vec<Value>>)> {
    let reader = connection::open_reader(path).unwrap();
    let mut names = tables(&reader).unwrap();
    names.push("sqlite_sequence".into());
    let rows_of = |name: Box<str>| {
        let mut select = reader.prepare(&format!("SELECT * FROM {name}")).unwrap();
        let columns = select.column_count();
        let rows = select
            .query_map([], |row| {
                (0..columns).map(|column| row.get(column)).collect()
            })
            .unwrap();
        (name, rows.collect::<Result<_, _>>().unwrap())
    };
    names.into_iter().map(rows_of).collect()
}

#[test]
fn whatever_happens_meanwhile_the_copy_is_the_store_of_one_moment() {
    for seed in 1..=4 {
        let mut house = House::new(seed);
        let (path, file) = (house.path(), house.folder.path().join("b.db"));
        let mut steps = 0;
        let made = backup(&path, &file, false, &mut |doing, _, _| {
            // After its last look nothing more is to come.
            if doing == "copying" {
                steps += 1;
                house.live();
            }
        });
        let made = made.unwrap();
        assert!(BLOCKS < steps, "seed {seed}");
        assert_eq!(contents(&path), contents(&file), "seed {seed}");
        assert_eq!(
            Some(made.last_reading),
            house.some("SELECT reading FROM counter")
        );
    }
}

#[test]
fn blocks_that_change_or_go_meanwhile_are_as_they_were_at_the_end() {
    for (change, is_copied_before) in [
        // As one that is packed or thinned.
        (
            "UPDATE reading_block SET min_ts = -1 WHERE number = 0; DELETE FROM reading WHERE id % 10 = 1 AND id < 32768; \
          DELETE FROM reading_pack WHERE id < 1 << 32",
            true,
        ),
        (
            "DELETE FROM reading_block WHERE number = 1; DELETE FROM reading WHERE id >> 15 = 1; DELETE FROM reading_pack WHERE id >> 32 = 1",
            true,
        ),
        (
            "DELETE FROM reading WHERE id < 40000; DELETE FROM reading_block WHERE number = 0; DELETE FROM reading_pack WHERE id < 1 << 32",
            false,
        ),
        // As when single rows have to make room.
        (
            "DELETE FROM reading WHERE id BETWEEN 5 AND 900 OR id = 40000",
            true,
        ),
        (
            "INSERT INTO summary_block VALUES (1, 1, 60000, 0, 0, 0, 0, 0); INSERT INTO summary_pack VALUES ((1 << 32) + 1, x'00')",
            true,
        ),
        (
            "DELETE FROM alert; DELETE FROM outbox_entry WHERE reading % 3 = 0",
            true,
        ),
    ] {
        let house = House::new(9);
        let (path, file) = (house.path(), house.folder.path().join("b.db"));
        let other = connection::open_writer(&path).unwrap();
        // Nobody takes away what waits.
        other
            .execute("DELETE FROM outbox_entry WHERE reading < 65536", [])
            .unwrap();
        let mut is_changed = false;
        backup(&path, &file, false, &mut |doing, done, all| {
            // At the first step, or just before the last look.
            let is_time = !is_copied_before || done == all;
            if doing == "copying" && is_time && !std::mem::replace(&mut is_changed, true) {
                other.execute_batch(change).unwrap();
            }
        })
        .unwrap();
        assert!(is_changed);
        assert_eq!(contents(&path), contents(&file), "{change}");
    }
}
