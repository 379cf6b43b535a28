//! Readings by sensor and time through the index behind the table, against a list that is looked through.

use super::*;
use crate::config::WhenFull;
use crate::store::{Bucket, Limits, SeriesQuery};

const START: i64 = 1_764_000_000_000;

pub(super) fn limits(keep: Option<i64>, max_bytes: u64, when_full: WhenFull) -> Limits {
    Limits {
        keep,
        max_bytes,
        when_full,
    }
}

/// What was stored: id, sensor, time and value.
type Model = Vec<(i64, usize, i64, f64)>;

/// A store, what should be in it, and a seed's say in what happens to it.
struct Story {
    place: Place,
    /// `None` only while it is opened again.
    writer: Option<Writer>,
    model: Model,
    rng: fastrand::Rng,
}

fn sensor(number: usize) -> SensorId {
    SensorId::new(format!("s{number}").as_str()).unwrap()
}

impl Story {
    fn new(seed: u64) -> Self {
        let place = Place::new();
        Self {
            writer: Some(place.open()),
            place,
            model: Vec::new(),
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    fn writer(&mut self) -> &mut Writer {
        self.writer.as_mut().unwrap()
    }

    /// Half of the readings are of one sensor, some of many; some clocks are wrong by years, all go up and down a little.
    fn reading(&mut self, number: i64) -> (usize, i64, f64) {
        let sensor = match self.rng.u32(..100) {
            0..50 => 0,
            50..60 => self.rng.usize(1..4),
            60..95 => self.rng.usize(4..100),
            _ => self.rng.usize(100..3000),
        };
        let clock = match self.rng.u32(..1000) {
            0 => 0,
            1 => START * 2,
            _ if sensor == 2 => 3_600_000,
            _ => START,
        };
        let ts = clock + 10 * number + self.rng.i64(..5000);
        (sensor, ts, (self.rng.f64() - 0.5) * 1000.0)
    }

    fn add(&mut self, group: &mut Group, (number, ts, value): (usize, i64, f64)) {
        let new = Reading {
            sensor_id: sensor(number),
            value,
            ts: Timestamp::from_millis(ts),
            received_at: Timestamp::from_millis(ts + 3),
            attributes: Attributes::default(),
            topic: None,
        };
        let writer = self.writer();
        let forward = match number {
            7..20 => UplinkSet::one(0),
            _ => UplinkSet::NONE,
        };
        let id = writer.add_reading(group, new, None, forward);
        self.model.push((id.unwrap().0, number, ts, value));
    }

    fn store(&mut self, readings: i64) {
        let mut group = Group::default();
        for _ in 0..readings {
            let next = self.reading(self.model.len() as i64);
            self.add(&mut group, next);
        }
        self.commit(&group);
    }

    /// Commits, now and then at the second try.
    fn commit(&mut self, group: &Group) {
        let trouble = self.rng.u32(..4);
        let writer = self.writer();
        if trouble == 0 {
            let pages = "page_count";
            let pages: i64 = writer
                .connection
                .pragma_query_value(None, pages, |row| row.get(0))
                .unwrap();
            let most = "max_page_count";
            writer
                .connection
                .pragma_update(None, most, pages + 2)
                .unwrap();
        }
        // The connection that is opened anew after a failure has room again.
        if writer.commit(group).is_err() {
            writer.commit(group).unwrap();
        }
        if trouble == 1 {
            // As after an I/O error in the COMMIT whose rows turn out to be on disk.
            writer.given.group -= 1;
            writer.is_doubtful = true;
            writer.commit(group).unwrap();
        }
    }

    /// Packs what is old, or a part of it: the gateway may be killed, or may try again, behind each step.
    fn pack(&mut self) {
        let now = Timestamp::from_millis(START * 4);
        let mut left = self.rng.usize(1..200);
        loop {
            let steps = self
                .writer()
                .reader()
                .upkeep(now, &limits(None, u64::MAX / 2, WhenFull::Refuse))
                .unwrap();
            if steps.is_empty() {
                return;
            }
            for step in steps {
                let mut group = Group::default();
                group.push_upkeep(step);
                self.commit(&group);
                left -= 1;
                if left == 0 {
                    return;
                }
            }
        }
    }

    /// All readings, oldest first, as programs beside the gateway see them.
    fn check_history(&mut self) {
        let history = self.writer().reader().history().unwrap();
        let (mut after, mut found) = (ReadingId(0), Vec::new());
        loop {
            let page = history.page(after, self.rng.usize(1..40_000)).unwrap();
            let Some(last) = page.last() else { break };
            after = last.id;
            found.extend(
                page.into_iter()
                    .map(|reading| (reading.id.0, reading.ts.millis(), reading.value)),
            );
        }
        let expected = self
            .model
            .iter()
            .map(|(id, _, ts, value)| (*id, *ts, *value));
        assert!(expected.eq(found));
        let waiting = waiting(&self.writer().reader(), CLOUD_KEY);
        let expected = self.model.iter().filter(|(_, of, ..)| (7..20).contains(of));
        let expected = expected.map(|(id, ..)| *id).take(waiting.len());
        assert!(waiting.iter().map(|reading| reading.id.0).eq(expected));
    }

    fn restart(&mut self, is_clean: bool, meanwhile: &str) {
        let writer = self.writer.take().unwrap();
        if is_clean {
            writer.close(0).unwrap();
        } else {
            drop(writer);
        }
        self.sql(meanwhile);
        self.writer = Some(self.place.open());
    }

    fn sql(&self, statements: &str) {
        let path = self.place.folder.path().join("gateway.db");
        let connection = connection::open_writer(&path).unwrap();
        connection.execute_batch(statements).unwrap();
    }

    fn rows_of(&self, select: &str) -> i64 {
        let writer = self.writer.as_ref().unwrap();
        let connection = &writer.connection;
        connection.query_row(select, [], |row| row.get(0)).unwrap()
    }

    fn some_time(&mut self) -> Option<Timestamp> {
        let length = 10 * self.model.len() as i64;
        let ts = match self.rng.u32(..10) {
            0..3 => return None,
            3 => self.rng.i64(..START),
            _ => START + self.rng.i64(-1000..length + 1000),
        };
        Some(Timestamp::from_millis(ts))
    }

    fn some_sensor(&mut self) -> usize {
        let most = [1, 4, 100, 3100][self.rng.usize(..4)];
        self.rng.usize(..most)
    }

    #[track_caller]
    fn check(&mut self, queries: usize) {
        for _ in 0..queries {
            let number = self.some_sensor();
            self.check_pages(Some(number));
            self.check_series(number);
        }
        self.check_pages(None);
    }

    #[track_caller]
    fn check_pages(&mut self, number: Option<usize>) {
        let mut query = ReadingQuery {
            sensor_id: number.map(sensor),
            from: self.some_time(),
            to: self.some_time(),
            max_looked_through: [usize::MAX, 50_000][self.rng.usize(..2)],
            max_bytes: [usize::MAX, 200_000][self.rng.usize(..2)],
            ..ReadingQuery::newest([100, 1000, 100_000][self.rng.usize(..3)])
        };
        let from = query.from.map_or(i64::MIN, Timestamp::millis);
        let to = query.to.map_or(i64::MAX, Timestamp::millis);
        let expected = self.model.iter().rev().filter(|(_, of, ts, _)| {
            number.is_none_or(|number| number == *of) && from <= *ts && *ts < to
        });
        let expected: Vec<i64> = expected.map(|(id, ..)| *id).collect();
        let (reader, mut found) = (self.writer().reader(), Vec::new());
        loop {
            let page = reader.readings(&query).unwrap();
            assert!(page.readings.len() <= query.limit);
            found.extend(page.readings.iter().map(|reading| reading.id.0));
            assert!(
                page.next.is_none() || page.next != query.before,
                "it goes on"
            );
            query.before = page.next;
            if page.next.is_none() {
                break;
            }
        }
        assert!(
            found == expected,
            "{query:?}: {} {}",
            found.len(),
            expected.len()
        );
    }

    #[track_caller]
    fn check_series(&mut self, number: usize) {
        let ends = [self.some_time(), self.some_time()].map(Option::unwrap_or_default);
        let query = SeriesQuery {
            sensor_id: sensor(number),
            from: ends[0].min(ends[1]),
            to: ends[0].max(ends[1]),
            points: [1, 7, 500, 10_000][self.rng.usize(..4)],
        };
        let found = self.writer().reader().series(&query).unwrap();
        assert!(found.len() <= query.points, "{query:?}");
        let expected = series_of(&self.model, number, &query);
        assert_eq!(found.len(), expected.len(), "{query:?}");
        for (found, expected) in found.iter().zip(&expected) {
            let avg = expected.avg;
            assert!((found.avg - avg).abs() < 1e-9, "{found:?} {expected:?}");
            assert_eq!(
                *found,
                Bucket {
                    avg: found.avg,
                    ..*expected
                },
                "{query:?}"
            );
        }
    }
}

fn series_of(model: &Model, number: usize, query: &SeriesQuery) -> Vec<Bucket> {
    let (from, to) = (query.from.millis(), query.to.millis());
    let width = ((to - from) as u64).div_ceil(query.points as u64).max(1) as i64;
    let mut buckets = std::collections::BTreeMap::<i64, Vec<f64>>::new();
    for (_, of, ts, value) in model {
        if *of == number && (from..to).contains(ts) {
            let begin = from + (ts - from) / width * width;
            buckets.entry(begin).or_default().push(*value);
        }
    }
    let row = |(begin, values): (i64, Vec<f64>)| Bucket {
        ts: Timestamp::from_millis(begin),
        min: values.iter().copied().fold(f64::INFINITY, f64::min),
        avg: values.iter().sum::<f64>() / values.len() as f64,
        max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        count: values.len() as u64,
    };
    buckets.into_iter().map(row).collect()
}

#[test]
fn pages_and_series_are_those_of_a_list_whatever_happens_to_the_store() {
    let seed = std::env::var("STORE_SEED")
        .map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("STORE_SEED={seed}");
    let mut story = Story::new(seed);
    while story.model.len() < 150_000 {
        let readings = story.rng.i64(1..20_000);
        story.store(readings);
        let is_clean = story.rng.bool();
        match story.rng.u32(..8) {
            0 => story.restart(is_clean, ""),
            1 => {
                // As after a restore.
                let gap = story.rng.u32(1..100_000);
                let jump = format!("UPDATE counter SET reading = reading + {gap}");
                story.restart(is_clean, &jump);
            }
            2..4 => story.pack(),
            _ => {}
        }
        if story.rng.u32(..5) == 0 {
            story.check(2);
        }
    }
    story.check(30);
    story.check_history();
    let packed = "SELECT count(*) FROM reading_block WHERE packed = 2";
    while story.rows_of(packed) < 3 {
        story.pack();
    }
    story.check(30);
    story.check_history();
    // A part of the past is taken away, up to somewhere in a block.
    let (oldest, ..) = story.model[story.rng.usize(..70_000)];
    story.sql(&format!(
        "DELETE FROM reading_block WHERE number <= {oldest} >> 15;
         DELETE FROM reading WHERE id < {oldest} OR id >> 15 = {oldest} >> 15;"
    ));
    let oldest = (oldest | 32_767) + 1;
    story.model.retain(|(id, ..)| oldest <= *id);
    story.check(20);
}

#[test]
fn what_an_older_version_left_is_looked_through_and_indexed_by_and_by() {
    let mut story = Story::new(1);
    story.store(100_000);
    assert_eq!(story.rows_of("SELECT count(*) FROM reading_block"), 3);
    story.restart(true, "DELETE FROM reading_block; DELETE FROM reading_pack");
    story.check(5);
    // One more with each that fills.
    for blocks in [0, 2, 4, 6] {
        let found = story.rows_of("SELECT count(*) FROM reading_block");
        assert_eq!(found, blocks);
        story.check(5);
        story.store(32_768);
    }
    assert_eq!(story.rows_of("SELECT count(*) FROM reading_block"), 7);
    story.check(5);
}

#[test]
fn an_index_that_makes_no_sense_does_no_harm() {
    let mut story = Story::new(2);
    story.store(100_000);
    story.sql("UPDATE reading_pack SET pieces = x'0005ff' WHERE id % 3 = 0");
    story.check(10);
    story.sql("DELETE FROM reading_block WHERE number = 1");
    story.check(10);
}

#[test]
fn ids_beyond_what_can_be_indexed_are_looked_through() {
    let mut story = Story::new(3);
    story.store(40_000);
    story.restart(true, "UPDATE counter SET reading = 1 << 60");
    story.store(70_000);
    story.check(5);
    assert_eq!(story.rows_of("SELECT count(*) FROM reading_block"), 1);
}

#[test]
fn of_a_block_only_what_may_be_asked_for_is_read() {
    let mut story = Story::new(4);
    let mut group = Group::default();
    for number in 0..100_000_i64 {
        let of = if number % 1000 == 0 { 9 } else { 0 };
        let clock = START + if number < 50_000 { 0 } else { 86_400_000 };
        story.add(&mut group, (of, clock + number, number as f64));
    }
    story.commit(&group);
    let reader = story.writer().reader();
    let rare = ReadingQuery {
        sensor_id: Some(sensor(9)),
        // The block that fills, and a few looks.
        max_looked_through: 3000,
        ..ReadingQuery::newest(1000)
    };
    let page = reader.readings(&rare).unwrap();
    assert_eq!((page.readings.len(), page.next), (100, None));
    let early = ReadingQuery {
        sensor_id: None,
        to: Some(Timestamp::from_millis(START + 10)),
        max_looked_through: 40_000,
        ..rare
    };
    let page = reader.readings(&early).unwrap();
    assert_eq!((page.readings.len(), page.next), (10, None));
    // A series is there without the rows that it is not made from.
    let row = "DELETE FROM reading WHERE id BETWEEN 2 AND 98304";
    story.sql(row);
    let series = SeriesQuery {
        sensor_id: sensor(0),
        from: Timestamp::from_millis(START),
        to: Timestamp::from_millis(START + 2 * 86_400_000),
        points: 2,
    };
    let found = reader.series(&series).unwrap();
    assert_eq!(found.len(), 2);
    // The piece that lies in both is read.
    assert!(found.iter().all(|bucket| 49_950 - 128 < bucket.count));
}

#[test]
fn the_mean_of_the_largest_values_lies_between_them() {
    let mut story = Story::new(5);
    let mut group = Group::default();
    for number in 0..70_000_i64 {
        let value = if number % 2 == 0 { f64::MAX } else { f64::MIN };
        story.add(&mut group, (0, START + number, value));
    }
    story.commit(&group);
    for points in [1, 3] {
        let series = SeriesQuery {
            sensor_id: sensor(0),
            from: Timestamp::from_millis(START),
            to: Timestamp::from_millis(START + 70_000),
            points,
        };
        let found = story.writer().reader().series(&series).unwrap();
        assert_eq!(found.iter().map(|bucket| bucket.count).sum::<u64>(), 70_000);
        for bucket in found {
            assert_eq!((bucket.min, bucket.max), (f64::MIN, f64::MAX));
            assert!(bucket.avg.abs() < f64::MAX * 1e-3, "{bucket:?}");
        }
    }
}
