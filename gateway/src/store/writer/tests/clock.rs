//! Readings that were taken while the clock was not trusted.

use super::*;
use crate::clock::{self, Standing, Trust};
use crate::domain::timestamp::Timestamp;
use crate::store::outbox::{Batch, Change};
use crate::store::{ClockChange, ClockMark, Limits, PutRight, Step};

/// As the clock of a board that has just been started, and by how much it is wrong.
const WRONG: i64 = 5_000_000;
const SHIFT: i64 = 1_764_000_000_000;

fn offset(of: i64) -> i64 {
    of - clock::monotonic()
}

fn standing(trust: Trust) -> Standing {
    let wrong = if trust.is_trusted() {
        WRONG + SHIFT
    } else {
        WRONG
    };
    Standing {
        offset: offset(wrong),
        trust,
    }
}

struct House {
    place: Place,
    writer: Writer,
}

impl House {
    fn new() -> Self {
        let place = Place::new();
        let writer = place.open();
        Self { place, writer }
    }

    fn restart(self) -> Self {
        let Self { place, writer } = self;
        drop(writer);
        let writer = place.open();
        Self { place, writer }
    }

    fn change(&mut self, changes: impl IntoIterator<Item = ClockChange>) {
        let mut group = Group::default();
        for change in changes {
            group.push_upkeep(Step::clock(change));
        }
        self.writer.commit(&group).unwrap();
    }

    /// Stores so many, every third for the cloud and every fifth with a time of its own.
    fn store(&mut self, readings: usize) {
        let mut group = Group::default();
        for number in 0..readings {
            let id = self.writer.next_reading_id().0;
            let received_at = Timestamp::from_millis(WRONG + id);
            let ts = if number % 5 == 0 {
                Timestamp::from_millis(1_700_000_000_000 + id)
            } else {
                received_at
            };
            let new = Reading {
                ts,
                received_at,
                ..reading("a", id as f64)
            };
            let forward = if number % 3 == 0 {
                UplinkSet::one(0)
            } else {
                UplinkSet::NONE
            };
            self.writer
                .add_reading(&mut group, new, None, forward)
                .unwrap();
        }
        self.writer.commit(&group).unwrap();
    }

    /// From here on the clock is not trusted.
    fn doubt(&mut self) -> ReadingId {
        let first = self.writer.next_reading_id();
        self.change([ClockChange::Open {
            first,
            offset: offset(WRONG),
        }]);
        first
    }

    fn close(&mut self, first: ReadingId) {
        let last = self.writer.last_reading_id();
        self.change([ClockChange::Close { first, last }]);
    }

    fn jobs(&self) -> Vec<PutRight> {
        self.writer.to_put_right(standing(Trust::Set)).unwrap()
    }

    /// Writes so many slices; false when nothing is left.
    fn put_right(&mut self, most: usize) -> bool {
        for mut job in self.jobs() {
            if !job.has_begun {
                self.change([ClockChange::Begin {
                    first: job.first,
                    from: job.from,
                    shift: job.shift,
                }]);
            }
            for _ in 0..most {
                let Some(slice) = job.next_slice(self.writer.last_reading_id()) else {
                    self.change([ClockChange::Settle(job.first)]);
                    break;
                };
                self.change([ClockChange::Slice(slice)]);
                self.writer.rows_changed(&slice).unwrap();
            }
        }
        !self.jobs().is_empty()
    }

    fn batch(&mut self, ids: &[i64]) -> Batch {
        let batch = Batch {
            id: self.writer.next_batch_id(),
            uplink: CLOUD_KEY,
            gateway_id: "edge-1".into(),
            format: "batch".into(),
            compression: "gzip".into(),
            tries: 0,
            readings: ids.iter().copied().map(ReadingId).collect(),
        };
        let mut group = Group::default();
        group.push_outbox(Change::Record(batch.clone()));
        self.writer.commit(&group).unwrap();
        batch
    }

    fn reading(&self, id: i64) -> StoredReading {
        let found = self.writer.reader().readings_by_id(&[ReadingId(id)]);
        found.unwrap().remove(0)
    }

    fn times(&self, id: i64) -> (i64, i64) {
        let found = self.reading(id);
        (found.ts.millis(), found.received_at.millis())
    }

    fn mark(&self, id: i64) -> Option<ClockMark> {
        self.writer.reader().clock_mark(ReadingId(id)).unwrap()
    }

    fn held(&self, wait: i64) -> Option<i64> {
        let held = self.writer.reader().held_from(wait).unwrap();
        held.map(|id| id.0)
    }

    fn number(&self, select: &str) -> i64 {
        let connection = &self.writer.connection;
        connection.query_row(select, [], |row| row.get(0)).unwrap()
    }

    /// What the rows say of times is what their index says.
    #[track_caller]
    fn check_index(&self) {
        let wrong = self.number(
            "SELECT count(*) FROM reading_block b WHERE packed = 0 AND (min_ts, max_ts) IS NOT \
             (SELECT min(ts), max(ts) FROM reading WHERE id >> 15 = b.number)",
        );
        assert_eq!(wrong, 0);
    }
}

/// Its times by the wrong clock, and whether `ts` is its own.
fn of_then(id: i64, is_own: bool) -> (i64, i64) {
    let received_at = WRONG + id;
    let ts = if is_own {
        1_700_000_000_000 + id
    } else {
        received_at
    };
    (ts, received_at)
}

fn near(found: (i64, i64), expected: (i64, i64)) -> bool {
    let is_near = |a: i64, b: i64| (a - b).abs() < 60_000;
    is_near(found.0, expected.0) && is_near(found.1, expected.1)
}

#[test]
fn readings_are_put_right_once_and_their_old_times_are_known() {
    let mut house = House::new();
    house.store(10);
    let before = house.times(2);
    let first = house.doubt();
    house.store(10);
    assert_eq!(house.mark(10), None);
    assert_eq!(house.mark(11), Some(ClockMark::Waits));
    assert!(house.jobs().is_empty(), "it still goes on");
    house.close(first);
    assert_eq!(house.jobs().len(), 1);
    while house.put_right(usize::MAX) {}
    assert!(!house.put_right(usize::MAX), "once");
    assert_eq!(house.times(2), before, "it came before");
    let own = 1_700_000_000_000 + 11;
    assert!(near(house.times(11), (own, WRONG + 11 + SHIFT)), "its own");
    assert_eq!(house.times(11).0, own);
    assert!(near(
        house.times(12),
        (WRONG + 12 + SHIFT, WRONG + 12 + SHIFT)
    ));
    for (id, is_own) in [(11, true), (12, false)] {
        let mark = house.mark(id).unwrap();
        assert!(matches!(mark, ClockMark::PutRight(_)), "{mark:?}");
        let (ts, received_at) = mark.times_of_then(&house.reading(id));
        assert_eq!((ts.millis(), received_at.millis()), of_then(id, is_own));
    }
    assert_eq!(house.held(i64::MAX / 2), None);
}

#[test]
fn what_is_in_a_batch_keeps_its_times_also_when_it_is_delivered() {
    let mut house = House::new();
    let first = house.doubt();
    house.store(9000);
    let ids = [4, 7, 10, 13, 4096, 4099, 8998];
    let batch = house.batch(&ids);
    let before = ids.map(|id| house.times(id));
    let settled = outbox::Settled {
        batch,
        refused: Vec::new(),
        refusal: outbox::Refusal::default(),
    };
    let mut group = Group::default();
    group.push_outbox(Change::Settle(settled));
    house.writer.commit(&group).unwrap();
    house.close(first);
    while house.put_right(usize::MAX) {}
    assert_eq!(ids.map(|id| house.times(id)), before);
    assert_eq!(house.mark(7), Some(ClockMark::Left));
    for id in [3, 5, 16, 4095, 4098, 8999] {
        assert!(house.times(id).1 > SHIFT, "{id}");
    }
}

#[test]
fn a_kill_in_the_middle_changes_nothing_of_what_comes_of_it() {
    let mut house = House::new();
    house.store(40_000);
    let first = house.doubt();
    house.store(60_000);
    house.close(first);
    let mut more = true;
    while more {
        more = house.put_right(1);
        let unseen = house.number(
            "SELECT count(*) FROM clock_span JOIN reading_block ON number = put_right_upto >> 15 \
             WHERE newest_at <> put_right_upto",
        );
        assert_eq!(unseen, 0, "a backup copies what has changed");
        house = house.restart();
        house.change([ClockChange::Start {
            standing: standing(Trust::Set),
            last: house.writer.last_reading_id(),
        }]);
        house.check_index();
        assert_eq!(house.number("SELECT count(*) FROM reading_block"), 3);
    }
    let shifts =
        house.number("SELECT count(DISTINCT ts + delay - id) FROM reading WHERE 40000 < id");
    assert_eq!(shifts, 1, "each by the same");
    let before = house.number(&format!(
        "SELECT count(*) FROM reading WHERE id <= 40000 AND ts + delay = {WRONG} + id"
    ));
    assert_eq!(before, 40_000);
    assert_eq!(house.number("SELECT count(*) FROM reading_block"), 3);
    // The block that fills has the times that its rows have.
    house.store(40_000);
    assert_eq!(house.number("SELECT count(*) FROM reading_block"), 4);
    house.check_index();
}

#[test]
fn the_block_that_fills_while_it_is_put_right_is_indexed_as_its_rows_are() {
    let mut house = House::new();
    let first = house.doubt();
    house.store(30_000);
    house.close(first);
    assert!(house.put_right(2));
    house.store(10_000);
    house.check_index();
    while house.put_right(usize::MAX) {}
    house.check_index();
    assert_eq!(house.number("SELECT count(*) FROM reading_block"), 1);
}

#[test]
fn after_a_start_of_the_machine_what_waited_stays_as_it_is() {
    let mut house = House::new();
    house.doubt();
    house.store(10);
    house
        .writer
        .connection
        .execute("UPDATE clock_span SET boot = 'before'", [])
        .unwrap();
    let mut house = house.restart();
    assert_eq!(house.held(i64::MAX / 2), None, "nobody waits for it");
    house.change([ClockChange::Start {
        standing: standing(Trust::Set),
        last: ReadingId(10),
    }]);
    assert!(house.jobs().is_empty());
    assert_eq!(house.mark(3), Some(ClockMark::Left));
    assert_eq!(house.times(3), of_then(3, false));
    let known = house.writer.clock_known().unwrap();
    assert_eq!(known.newest, None, "no trusted clock said anything");
    assert_eq!(known.left.unwrap().trust, Trust::Set);
}

#[test]
fn readings_wait_for_the_clock_so_long_and_no_longer() {
    let mut house = House::new();
    house.store(5);
    assert_eq!(house.held(i64::MAX / 2), None);
    house.doubt();
    assert_eq!(house.held(0), Some(6), "the next may come at any time");
    // They came a second apart, the last a second ago.
    let mut group = Group::default();
    for ago in (1..=10).rev() {
        let received_at = Timestamp::from_millis(WRONG - ago * 1000);
        let new = Reading {
            ts: received_at,
            received_at,
            ..reading("a", 1.0)
        };
        let cloud = UplinkSet::one(0);
        house
            .writer
            .add_reading(&mut group, new, None, cloud)
            .unwrap();
    }
    house.writer.commit(&group).unwrap();
    // A machine that is slow by minutes is slower than these ask for.
    assert_eq!(house.held(i64::MAX / 2), Some(6));
    assert_eq!(house.held(0), Some(16));
    let middle = house.held(5500).unwrap();
    assert!((11..=16).contains(&middle), "{middle}");
}

#[test]
fn what_may_be_put_right_is_not_packed_unless_there_is_no_room() {
    let mut house = House::new();
    house.doubt();
    house.store(70_000);
    house.writer.unsaved_readings = SAVE_SENSORS_EVERY;
    house.writer.commit(&Group::default()).unwrap();
    let limits = |max_bytes| Limits {
        keep: None,
        max_bytes,
        when_full: crate::config::WhenFull::Thin,
    };
    let later = Some(Timestamp::from_millis(SHIFT + 10 * 86_400_000));
    let steps = house.writer.reader().upkeep(later, &limits(1 << 40));
    assert!(steps.unwrap().is_empty());
    // The budget is spent: a block after the other is given up, and packed.
    for packed in [1, 2] {
        for _ in 0..100 {
            let steps = house
                .writer
                .reader()
                .upkeep(None, &limits(1 << 20))
                .unwrap();
            for step in steps {
                let mut group = Group::default();
                group.push_upkeep(step);
                house.writer.commit(&group).unwrap();
            }
            if house.number("SELECT count(*) FROM reading_block WHERE packed = 2") == packed {
                break;
            }
        }
        let found = house.number("SELECT count(*) FROM reading_block WHERE packed = 2");
        assert_eq!(found, packed);
    }
    assert_eq!(house.mark(1), Some(ClockMark::Left));
    assert_eq!(house.mark(70_000), Some(ClockMark::Waits));
}
