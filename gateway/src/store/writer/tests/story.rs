//! A store of many readings, a list of what should be in it, and what may happen to it.

use super::*;
use crate::config::WhenFull;
use crate::store::{Bucket, Limits, SeriesQuery};

pub(super) const START: i64 = 1_764_000_000_000;

pub(super) fn limits(keep: Option<i64>, max_bytes: u64, when_full: WhenFull) -> Limits {
    Limits {
        keep,
        max_bytes,
        when_full,
    }
}

/// What was stored: id, sensor, time and value.
pub(super) type Model = Vec<(i64, usize, i64, f64)>;

/// A store, what should be in it, and a seed's say in what happens to it.
pub(super) struct Story {
    pub(super) place: Place,
    /// `None` only while it is opened again.
    pub(super) writer: Option<Writer>,
    pub(super) model: Model,
    pub(super) rng: fastrand::Rng,
}

pub(super) fn sensor(number: usize) -> SensorId {
    SensorId::new(format!("s{number}").as_str()).unwrap()
}

impl Story {
    pub(super) fn new(seed: u64) -> Self {
        let place = Place::new();
        Self {
            writer: Some(place.open()),
            place,
            model: Vec::new(),
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    pub(super) fn writer(&mut self) -> &mut Writer {
        self.writer.as_mut().unwrap()
    }

    /// Half of the readings are of one sensor, some of many; some clocks are wrong by years, all go up and down a little.
    pub(super) fn reading(&mut self, number: i64) -> (usize, i64, f64) {
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

    pub(super) fn add(&mut self, group: &mut Group, (number, ts, value): (usize, i64, f64)) {
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

    pub(super) fn store(&mut self, readings: i64) {
        let mut group = Group::default();
        for _ in 0..readings {
            let next = self.reading(self.model.len() as i64);
            self.add(&mut group, next);
        }
        self.commit(&group);
    }

    /// Commits, now and then at the second try.
    pub(super) fn commit(&mut self, group: &Group) {
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
    pub(super) fn pack(&mut self) {
        let now = Timestamp::from_millis(START * 4);
        let mut left = self.rng.usize(1..200);
        loop {
            let steps = self
                .writer()
                .reader()
                .upkeep(Some(now), &limits(None, u64::MAX / 2, WhenFull::Refuse))
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
    pub(super) fn check_history(&mut self) {
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

    pub(super) fn restart(&mut self, is_clean: bool, meanwhile: &str) {
        let writer = self.writer.take().unwrap();
        if is_clean {
            writer.end();
        } else {
            drop(writer);
        }
        self.sql(meanwhile);
        self.writer = Some(self.place.open());
    }

    pub(super) fn sql(&self, statements: &str) {
        let path = self.place.folder.path().join("gateway.db");
        let connection = connection::open_writer(&path).unwrap();
        connection.execute_batch(statements).unwrap();
    }

    pub(super) fn rows_of(&self, select: &str) -> i64 {
        let writer = self.writer.as_ref().unwrap();
        let connection = &writer.connection;
        connection.query_row(select, [], |row| row.get(0)).unwrap()
    }

    pub(super) fn some_time(&mut self) -> Option<Timestamp> {
        let length = 10 * self.model.len() as i64;
        let ts = match self.rng.u32(..10) {
            0..3 => return None,
            3 => self.rng.i64(..START),
            _ => START + self.rng.i64(-1000..length + 1000),
        };
        Some(Timestamp::from_millis(ts))
    }

    pub(super) fn some_sensor(&mut self) -> usize {
        let most = [1, 4, 100, 3100][self.rng.usize(..4)];
        self.rng.usize(..most)
    }

    #[track_caller]
    pub(super) fn check(&mut self, queries: usize) {
        for _ in 0..queries {
            let number = self.some_sensor();
            self.check_pages(Some(number));
            self.check_series(number);
        }
        self.check_pages(None);
    }

    #[track_caller]
    pub(super) fn check_pages(&mut self, number: Option<usize>) {
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
    pub(super) fn check_series(&mut self, number: usize) {
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

pub(super) fn series_of(model: &Model, number: usize, query: &SeriesQuery) -> Vec<Bucket> {
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
