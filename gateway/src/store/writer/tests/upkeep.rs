//! What happens to readings as they grow old, and when the budget is spent.

use std::collections::BTreeSet;

use super::story::limits;
use super::uplinks::{batch, change, settled};
use super::*;
use crate::config::WhenFull;
use crate::store::outbox::Change;
use crate::store::{Limits, Removed, SeriesQuery};

const START: i64 = 1_764_000_000_000;
const DAY: i64 = 24 * 60 * 60 * 1000;
const SENSORS: i64 = 50;

/// Readings of a group.
const PART: i64 = 10_000;

/// A store with fifty sensors that measure once a second. One in 97 readings is tagged, one in 89 goes to the cloud.
struct House {
    _place: Place,
    writer: Writer,
    stored: i64,
    tagged: BTreeSet<i64>,
    waiting: BTreeSet<i64>,
    /// By reason.
    removed: [u64; 4],
}

fn value(number: i64) -> f64 {
    f64::from((number % 1009) as u32) / 10.0
}

impl House {
    fn new() -> Self {
        let place = Place::new();
        Self {
            writer: place.open(),
            _place: place,
            stored: 0,
            tagged: BTreeSet::new(),
            waiting: BTreeSet::new(),
            removed: [0; 4],
        }
    }

    fn store(&mut self, readings: i64, forward_all: bool) {
        for _ in 0..readings / PART {
            self.store_part(forward_all);
        }
    }

    fn store_part(&mut self, forward_all: bool) {
        let mut group = Group::default();
        for _ in 0..PART {
            let number = self.stored;
            self.stored += 1;
            let ts = START + number / SENSORS * 1000;
            let new = Reading {
                sensor_id: SensorId::new(format!("s{}", number % SENSORS).as_str()).unwrap(),
                value: value(number),
                ts: Timestamp::from_millis(ts),
                received_at: Timestamp::from_millis(ts + 2),
                attributes: Attributes::default(),
                topic: None,
            };
            let is_tagged = number % 97 == 0;
            let is_forwarded = forward_all || number % 89 == 0;
            let tags = is_tagged.then(|| r#"["high"]"#.into());
            let forward = if is_forwarded {
                UplinkSet::one(0)
            } else {
                UplinkSet::NONE
            };
            let id = self
                .writer
                .add_reading(&mut group, new, tags, forward)
                .unwrap()
                .0;
            if is_tagged {
                self.tagged.insert(id);
            }
            if is_forwarded {
                self.waiting.insert(id);
            }
        }
        self.writer.commit(&group).unwrap();
    }

    fn keep_up(&mut self, now: i64, limits: &Limits) {
        while self.do_a_job(now, limits) {}
    }

    /// Whether there was one.
    fn do_a_job(&mut self, now: i64, limits: &Limits) -> bool {
        let now = Timestamp::from_millis(now);
        let steps = self.writer.reader().upkeep(Some(now), limits).unwrap();
        let is_one = !steps.is_empty();
        for step in steps {
            for (why, readings) in &step.removed {
                self.removed[*why as usize] += readings;
            }
            let mut group = Group::default();
            group.push_upkeep(step);
            self.writer.commit(&group).unwrap();
        }
        is_one
    }

    fn rows_of(&self, select: &str) -> i64 {
        let connection = &self.writer.connection;
        connection.query_row(select, [], |row| row.get(0)).unwrap()
    }

    fn removed(&self, why: Removed) -> u64 {
        self.removed[why as usize]
    }

    fn ids(&self) -> BTreeSet<i64> {
        let query = ReadingQuery::newest(usize::MAX >> 1);
        let page = self.writer.reader().readings(&query).unwrap();
        page.readings.iter().map(|reading| reading.id.0).collect()
    }

    /// Of all time, all sensors: how many readings there are or were, the smallest and the largest value.
    fn sums(&self) -> (u64, f64, f64) {
        let mut sums = (0, f64::INFINITY, f64::NEG_INFINITY);
        for number in 0..SENSORS {
            let query = SeriesQuery {
                sensor_id: SensorId::new(format!("s{number}").as_str()).unwrap(),
                from: Timestamp::from_millis(START - DAY),
                to: Timestamp::from_millis(START + 400 * DAY),
                points: 7,
            };
            for bucket in self.writer.reader().series(&query).unwrap() {
                sums.0 += bucket.count;
                sums.1 = bucket.min.min(sums.1);
                sums.2 = bucket.max.max(sums.2);
            }
        }
        sums
    }

    fn check_waiting(&self) {
        let reader = self.writer.reader();
        assert_eq!(reader.outbox_pending(None), self.waiting.len() as u64);
        let found = first_waiting(&reader, CLOUD_KEY, usize::MAX >> 1);
        assert!(found.iter().map(|reading| &reading.id.0).eq(&self.waiting));
    }
}

const FOR_EVER: u64 = u64::MAX >> 1;

#[test]
fn what_is_older_than_it_is_kept_goes_but_not_what_waits() {
    let mut house = House::new();
    house.store(120_000, false);
    let limits = limits(Some(30 * DAY), FOR_EVER, WhenFull::Thin);
    let reader = house.writer.reader();
    assert_eq!(reader.steps(), 0, "what is only added changes nothing");
    house.keep_up(START + 2 * DAY, &limits);
    assert!(0 < reader.steps());
    assert_eq!(
        house.ids().len(),
        120_000,
        "a day old: packed, and all there"
    );
    house.keep_up(START + 31 * DAY, &limits);
    // The block that fills, and one of which the sensors' sums are not written yet, are as they were.
    let full = 65_535;
    let left: BTreeSet<i64> = (1..=120_000)
        .filter(|id| full < *id || house.waiting.contains(id))
        .collect();
    assert!(house.ids() == left);
    house.check_waiting();
    assert_eq!(house.removed(Removed::Aged), 120_000 - left.len() as u64);
    // Once it is delivered it goes too.
    let first: Vec<i64> = house.waiting.range(..=full).copied().collect();
    settle(&mut house.writer, &first);
    house.keep_up(START + 31 * DAY, &limits);
    assert!(house.ids() == (full + 1..=120_000).collect());
    let (count, ..) = house.sums();
    assert_eq!(count, 120_000 - full as u64);
}

#[test]
fn what_came_by_a_clock_that_was_wrong_goes_with_what_came_behind_it() {
    for wrong in [5_000_000, START + 3650 * DAY] {
        let mut house = House::new();
        house.store(120_000, false);
        let limits = limits(Some(30 * DAY), FOR_EVER, WhenFull::Thin);
        let undated = house.writer.reader().upkeep(None, &limits).unwrap();
        assert!(undated.is_empty(), "without a time nothing is old");
        house.keep_up(START + 2 * DAY, &limits);
        let change = "UPDATE reading_block SET newest_at = ?1 WHERE number = 0";
        house.writer.connection.execute(change, [wrong]).unwrap();
        house.keep_up(START + 29 * DAY, &limits);
        assert_eq!(house.removed(Removed::Aged), 0, "{wrong}");
        house.keep_up(START + 31 * DAY, &limits);
        let (left, of_first) = (house.ids(), ..32_768);
        assert!(left.range(of_first).eq(house.waiting.range(of_first)));
        assert_ne!(house.removed(Removed::Aged), 0);
    }
}

fn settle(writer: &mut Writer, readings: &[i64]) {
    let batch = batch(writer, CLOUD_KEY, readings);
    change(writer, [Change::Record(batch.clone())]);
    change(writer, [settled(&batch, &[])]);
}

#[test]
fn a_spent_budget_thins_plain_readings_and_keeps_the_others() {
    let mut house = House::new();
    let budget = limits(None, 8 << 20, WhenFull::Thin);
    house.writer.set_budget(budget.max_bytes).unwrap();
    for _ in 0..30 {
        house.store(30_000, false);
        house.keep_up(START + DAY / 2, &budget);
        let room = house.writer.room(budget.max_bytes).unwrap();
        assert!(!room.is_scarce(), "{room:?}");
        assert!(house.writer.reader().bytes_on_disk() <= budget.max_bytes);
    }
    assert!(0 < house.removed(Removed::Thinned));
    assert_eq!(house.removed(Removed::Dropped), 0);
    assert_eq!(house.removed(Removed::Undelivered), 0);
    house.check_waiting();
    let ids = house.ids();
    assert!(ids.is_superset(&house.tagged) && ids.is_superset(&house.waiting));
    assert_eq!(ids.len() as u64 + house.removed(Removed::Thinned), 900_000);
    // What the thinned ones come to is still known, and nothing is counted twice.
    assert_eq!(house.sums(), (900_000, 0.0, 100.8));
    // Also when the gateway starts again.
    let path = house._place.folder.path().join("gateway.db");
    drop(house.writer);
    house.writer = Writer::open(&path).unwrap();
    assert_eq!(house.sums(), (900_000, 0.0, 100.8));
    assert!(house.ids() == ids);
    // With less room minutes become hours.
    let none = limits(None, 1 << 20, WhenFull::Thin);
    let hours = "SELECT count(*) FROM summary_block WHERE interval = 3600000";
    let count = |house: &House| house.rows_of(hours);
    while count(&house) == 0 {
        assert!(house.do_a_job(START, &none));
    }
    assert_eq!(house.sums(), (900_000, 0.0, 100.8));
    assert!(house.ids().is_superset(&house.tagged));
    // A unit of hours that is not long takes in what comes behind it.
    house.store(400_000, false);
    let minutes = "SELECT count(*) FROM summary_block WHERE interval = 60000";
    let mut has_more = false;
    for _ in 0..10_000 {
        assert!(house.do_a_job(START, &none));
        let found = house.rows_of(minutes);
        has_more |= 0 < found;
        if has_more && found == 0 {
            break;
        }
    }
    assert!(has_more);
    assert_eq!(count(&house), 1);
    assert_eq!(house.sums(), (1_300_000, 0.0, 100.8));
}

#[test]
fn alerts_take_no_more_than_their_share_of_the_budget() {
    let mut house = House::new();
    let budget = limits(None, 8 << 20, WhenFull::Thin);
    house.writer.set_budget(budget.max_bytes).unwrap();
    let (oldest, mut open) = ("SELECT min(id) FROM alert", 0);
    for part in 0..20 {
        if part == 14 {
            assert_eq!(house.rows_of(oldest), open);
        }
        house.store(10_000, false);
        let mut group = group(&mut house.writer, "alarmed", &[80.0]);
        for number in 0..10_000 {
            raise(&mut house.writer, &mut group);
            let (_, alert) = group.alerts.last_mut().unwrap();
            match (part, number) {
                (0, 0) => open = alert.alert_id,
                (14, 0) => (alert.episode, alert.state) = (open, AlertState::Cleared),
                _ => alert.state = AlertState::Cleared,
            }
        }
        house.stored += 1;
        house.writer.commit(&group).unwrap();
        house.keep_up(START, &budget);
        let room = house.writer.room(budget.max_bytes).unwrap();
        assert!(!room.is_scarce(), "{room:?}");
    }
    let events = house.rows_of("SELECT count(*) FROM alert");
    assert!((10_000..60_000).contains(&events), "{events}");
    assert!(open < house.rows_of(oldest), "it came to its end");
    assert_eq!(house.rows_of("SELECT max(id) FROM alert"), 200_000);
    assert_eq!(house.removed(Removed::Dropped), 0);
    assert_eq!(house.removed(Removed::Undelivered), 0);
    // They do not drive out readings.
    let left = house.ids().len() as u64 + house.removed(Removed::Thinned);
    assert_eq!(left, 200_020);
    assert!(house.removed(Removed::Thinned) < 100_000);
}

#[test]
fn the_oldest_go_where_that_is_wanted_and_what_waits_goes_last() {
    let mut house = House::new();
    let limits = limits(None, 8 << 20, WhenFull::DropOldest);
    house.writer.set_budget(limits.max_bytes).unwrap();
    for _ in 0..30 {
        house.store(30_000, false);
        house.keep_up(START, &limits);
    }
    let ids = house.ids();
    assert!(ids.is_superset(&house.waiting), "{:?}", house.removed);
    house.check_waiting();
    let dropped = house.removed(Removed::Dropped);
    assert!(0 < dropped && house.removed(Removed::Thinned) == 0);
    assert_eq!(ids.len() as u64 + dropped, 900_000);
    let oldest = ids.iter().find(|id| !house.waiting.contains(id)).unwrap();
    let gone = (1..*oldest)
        .filter(|id| !house.waiting.contains(id))
        .count();
    assert_eq!(gone as u64, dropped, "all before it, and no other");
}

#[test]
fn with_nothing_else_left_the_oldest_that_waits_goes_and_is_counted() {
    let mut house = House::new();
    let limits = limits(None, 10 << 20, WhenFull::Thin);
    house.writer.set_budget(limits.max_bytes).unwrap();
    for _ in 0..8 {
        house.store(30_000, true);
        house.keep_up(START, &limits);
        let room = house.writer.room(limits.max_bytes).unwrap();
        assert!(!room.is_scarce(), "{room:?} {:?}", house.removed);
    }
    let ids = house.ids();
    let gone = house.removed(Removed::Undelivered);
    assert_eq!(gone, 240_000 - ids.len() as u64);
    assert!(0 < gone);
    house.waiting = house.waiting.split_off(ids.first().unwrap());
    assert!(house.waiting == ids);
    house.check_waiting();
}

#[test]
fn what_goes_into_a_batch_meanwhile_stays_and_what_is_gone_goes_into_none() {
    let mut house = House::new();
    house.store(10_000, true);
    let scarce = limits(None, 1 << 20, WhenFull::Thin);
    let mut steps = house.writer.reader().upkeep(None, &scarce).unwrap();
    assert_eq!((steps.len(), steps[0].removed[0].1), (1, 1024));
    let ids = |range: std::ops::RangeInclusive<i64>| range.collect::<Vec<_>>();
    // The look was before it, the step comes behind it.
    let first = batch(&mut house.writer, CLOUD_KEY, &ids(513..=600));
    change(&mut house.writer, [Change::Record(first)]);
    let mut group = Group::default();
    group.push_upkeep(steps.remove(0));
    house.writer.commit(&group).unwrap();
    // It was read before the step.
    let second = batch(&mut house.writer, CLOUD_KEY, &ids(900..=1100));
    change(&mut house.writer, [Change::Record(second)]);
    let reader = house.writer.reader();
    let recorded = reader.recorded_batches(CLOUD_KEY, 0, 9).unwrap();
    let recorded = recorded.iter().flat_map(|batch| &batch.readings);
    let wanted = ids(513..=600).into_iter().chain(1025..=1100);
    assert!(recorded.map(|id| id.0).eq(wanted.clone()));
    assert!(house.ids().is_superset(&wanted.collect()));
    let gone = 1024 - 88;
    assert_eq!(house.ids().len(), 10_000 - gone);
    assert_eq!(reader.outbox_pending(None), 10_000 - gone as u64);
}

#[test]
fn who_wants_to_refuse_loses_nothing() {
    let mut house = House::new();
    let limits = limits(None, 4 << 20, WhenFull::Refuse);
    house.store(200_000, false);
    house.keep_up(START + 2 * DAY, &limits);
    house.store(100_000, false);
    house.keep_up(START, &limits);
    assert_eq!(house.ids().len(), 300_000);
    assert!(house.writer.room(limits.max_bytes).unwrap().is_scarce());
    assert_eq!(house.removed, [0; 4]);
}
