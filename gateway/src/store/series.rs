//! What the readings of a sensor come to, bucket by bucket, for charts. What lies within one bucket is taken from the index
//! of its block; rows are read only where it does not say enough.

use rusqlite::{Connection, OptionalExtension, params};

use super::blocks::{self, Block, Piece, Stretch, Summary, Walk, in_steps};
use super::bounds::{self, Bounds};
use super::{Reader, StoreError};
use crate::background::give_way_at;
use crate::domain::{sensor::SensorId, timestamp::Timestamp};

/// Where readings were thinned meanwhile it is looked again, so many times in all.
const TRIES: usize = 4;

/// What a chart shows.
#[derive(Clone, Debug)]
pub struct SeriesQuery {
    pub sensor_id: SensorId,
    /// Readings that were measured then or later,
    pub from: Timestamp,
    /// and before this.
    pub to: Timestamp,
    /// At most so many buckets.
    pub points: usize,
}

/// What the readings of a part of the time come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Bucket {
    /// Where it begins.
    pub ts: Timestamp,
    pub min: f64,
    pub avg: f64,
    pub max: f64,
    pub count: u64,
}

impl Reader {
    /// Buckets of equal width, oldest first, without those that have no readings. Looks at the store in short steps, however
    /// much there is.
    pub fn series(&self, query: &SeriesQuery) -> Result<Vec<Bucket>, StoreError> {
        for _ in 1..TRIES {
            let before = self.thinned_state()?;
            let found = self.series_once(query)?;
            if self.thinned_state()? == before {
                return Ok(found);
            }
        }
        self.series_once(query)
    }

    /// Changes when readings go into what they come to.
    fn thinned_state(&self) -> Result<(i64, i64), StoreError> {
        self.with_connection(|connection| {
            let select = "SELECT count(*), coalesce(sum(count), 0) FROM summary_block";
            let mut select = connection.prepare_cached(select)?;
            Ok(select.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?)
        })
    }

    fn series_once(&self, query: &SeriesQuery) -> Result<Vec<Bucket>, StoreError> {
        self.with_connection(|connection| {
            let times = [Some(query.from), Some(query.to)];
            let Some(bounds) = Bounds::find(connection, Some(&query.sensor_id), times)? else {
                return Ok(Vec::new());
            };
            let newest = bounds
                .sensor
                .and_then(|key| self.sensors().last_reading_of(key));
            let Some((newest, key)) = newest.zip(bounds.sensor) else {
                return Ok(Vec::new());
            };
            let ends = bounds::of_readings(connection)?;
            let oldest = ends.map_or(0, |(oldest, _)| oldest);
            let mut buckets = Buckets::new(query);
            if let Some(sensor) = blocks::key(key) {
                let within = [query.from.millis(), query.to.millis()];
                blocks::intervals_within(connection, sensor, within, |ts, values| {
                    buckets.take_interval(ts, values);
                })?;
            }
            // Up to the end of the block, so that it is whole.
            let upper = Block::of(newest).last();
            let mut walk = Walk::new(connection, &bounds, (oldest, upper));
            while let Some(stretch) = walk.next(|piece| buckets.take(piece))? {
                match stretch {
                    Stretch::Between { lower, upper } => {
                        look_through(connection, key, (lower, upper), &mut buckets)?;
                    }
                    Stretch::These(ids) => look_up(connection, key, &ids, &mut buckets)?,
                }
            }
            Ok(buckets.into_rows())
        })
    }
}

fn look_through(
    connection: &Connection,
    sensor: i64,
    (lower, upper): (i64, i64),
    buckets: &mut Buckets,
) -> Result<(), StoreError> {
    let _transaction = connection.unchecked_transaction()?;
    if blocks::is_packed(connection, Block::of(upper))? {
        for stored in blocks::between(connection, blocks::key(sensor), (lower, upper))? {
            buckets.add(stored.columns.ts, stored.columns.value);
        }
        return Ok(());
    }
    let mut select = connection.prepare_cached(
        "SELECT ts, value FROM reading WHERE id BETWEEN ?1 AND ?2 AND sensor = ?3",
    )?;
    let mut rows = select.query(params![lower, upper, sensor])?;
    let mut number = 0;
    while let Some(row) = rows.next()? {
        give_way_at(number);
        number += 1;
        buckets.add(row.get(0)?, row.get(1)?);
    }
    Ok(())
}

fn look_up(
    connection: &Connection,
    sensor: i64,
    ids: &[i64],
    buckets: &mut Buckets,
) -> Result<(), StoreError> {
    let mut select =
        connection.prepare_cached("SELECT ts, value FROM reading WHERE id = ?1 AND sensor = ?2")?;
    in_steps(connection, ids, |id| {
        let found = select
            .query_row([id, sensor], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        // It may have been packed since the way to it was found.
        let found = match found {
            Some(found) => Some(found),
            None => blocks::find(connection, blocks::key(sensor), id)?
                .map(|stored| (stored.columns.ts, stored.columns.value)),
        };
        if let Some((ts, value)) = found {
            buckets.add(ts, value);
        }
        Ok(true)
    })
}

/// The buckets while they are filled.
struct Buckets {
    from: i64,
    to: i64,
    /// In milliseconds.
    width: u64,
    slots: Vec<Option<Summary>>,
}

impl Buckets {
    fn new(query: &SeriesQuery) -> Self {
        let (from, to) = (query.from.millis(), query.to.millis());
        let length = to.abs_diff(from);
        let width = length.div_ceil((query.points as u64).max(1)).max(1);
        Self {
            from,
            to,
            width,
            slots: vec![None; length.div_ceil(width) as usize],
        }
    }

    /// The bucket of a time that is in one.
    fn slot(&self, ts: i64) -> Option<usize> {
        let is_within = (self.from..self.to).contains(&ts);
        is_within.then(|| (ts.abs_diff(self.from) / self.width) as usize)
    }

    fn take_interval(&mut self, ts: i64, values: Summary) {
        if let Some(slot) = self.slot(ts) {
            self.merge(slot, values);
        }
    }

    fn add(&mut self, ts: i64, value: f64) {
        if let Some(slot) = self.slot(ts) {
            self.merge(slot, Summary::of(value));
        }
    }

    /// Takes in a piece that lies within one bucket.
    fn take(&mut self, piece: &Piece) -> bool {
        let Some(known) = piece.known else {
            return false;
        };
        let [first, last] = known.times.map(|ts| self.slot(ts));
        match first {
            Some(slot) if first == last => {
                self.merge(slot, known.values);
                true
            }
            _ => false,
        }
    }

    fn merge(&mut self, slot: usize, more: Summary) {
        let sum = &mut self.slots[slot];
        *sum = Some(sum.map_or(more, |sum| sum.and(more)));
    }

    fn into_rows(self) -> Vec<Bucket> {
        let begins = (0..).map(|number: u64| self.from.wrapping_add_unsigned(number * self.width));
        let filled = self.slots.into_iter().zip(begins);
        let filled = filled.filter_map(|(slot, begin)| Some((slot?, begin)));
        let rows = filled.map(|(sum, begin)| Bucket {
            ts: Timestamp::from_millis(begin),
            min: sum.min,
            avg: sum.mean,
            max: sum.max,
            count: sum.count,
        });
        rows.collect()
    }
}
