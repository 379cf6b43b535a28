//! Stored readings by sensor and time, a page at a time. The table has no second index: what is to be read of it the blocks
//! say (`blocks`), and it is read in steps, each well under a second.

use rusqlite::{Connection, OptionalExtension, params};

use super::StoreError;
use super::blocks::{self, Block, BlockCache, Stored, Stretch, Walk, in_steps};
use super::bounds::{self, Bounds};
use super::reader::{Reader, read_reading};
use super::unpacked::Names;
use crate::background::give_way_at;
use crate::domain::reading::{ReadingId, StoredReading};
use crate::domain::sensor::SensorId;
use crate::domain::timestamp::Timestamp;

/// About what a reading takes beside tags and attributes.
pub(super) const BYTES_BESIDE_TEXTS: usize = 200;

/// Which readings a page of them shows, newest first.
#[derive(Clone, Debug)]
pub struct ReadingQuery {
    pub sensor_id: Option<SensorId>,
    /// Only readings that were measured then or later.
    pub from: Option<Timestamp>,
    /// Only readings that were measured before.
    pub to: Option<Timestamp>,
    /// Only readings with a smaller id.
    pub before: Option<ReadingId>,
    pub limit: usize,
    /// The page ends with the reading that brings it over so many bytes,
    pub max_bytes: usize,
    /// or when about so many were looked through, however few were found.
    pub max_looked_through: usize,
}

impl ReadingQuery {
    /// The newest readings of all sensors, without other bounds.
    pub fn newest(limit: usize) -> Self {
        Self {
            sensor_id: None,
            from: None,
            to: None,
            before: None,
            limit,
            max_bytes: usize::MAX,
            max_looked_through: usize::MAX,
        }
    }
}

/// A page of readings and where the next begins.
#[derive(Debug, Default)]
pub struct ReadingPage {
    pub readings: Vec<StoredReading>,
    /// To be passed as `before`; `None` at the end.
    pub next: Option<ReadingId>,
}

impl Reader {
    /// A page of readings, newest first. Of each block only those that may be of the sensor and the time are read.
    pub fn readings(&self, query: &ReadingQuery) -> Result<ReadingPage, StoreError> {
        self.with_connection(|connection| {
            let (sensor, times) = (query.sensor_id.as_ref(), [query.from, query.to]);
            let Some(bounds) = Bounds::find(connection, sensor, times)? else {
                return Ok(ReadingPage::default());
            };
            let Some((oldest, newest)) = bounds::of_readings(connection)? else {
                return Ok(ReadingPage::default());
            };
            let newest = match bounds.sensor {
                Some(key) => self.sensors().last_reading_of(key).unwrap_or(0),
                None => newest,
            };
            let before = query.before;
            let upper = before.map_or(newest, |id| newest.min(id.0.saturating_sub(1)));
            let mut walk = Walk::new(connection, &bounds, (oldest, upper));
            PageInHand::new(query, self.cache()).fill(&mut walk, &bounds)
        })
    }
}

/// A page while it is filled.
struct PageInHand<'q> {
    query: &'q ReadingQuery,
    cache: &'q BlockCache,
    readings: Vec<StoredReading>,
    room: Room,
    looked_through: usize,
}

impl<'q> PageInHand<'q> {
    fn new(query: &'q ReadingQuery, cache: &'q BlockCache) -> Self {
        Self {
            query,
            cache,
            readings: Vec::new(),
            room: Room(query.max_bytes),
            looked_through: 0,
        }
    }

    fn fill(mut self, walk: &mut Walk<'_>, bounds: &Bounds) -> Result<ReadingPage, StoreError> {
        loop {
            if self.query.max_looked_through <= self.looked_through + walk.rows() {
                let next = walk.has_come_to().map(ReadingId);
                return Ok(self.ending(next));
            }
            let connection = walk.connection();
            match walk.next(|_| false)? {
                None => return Ok(self.ending(None)),
                Some(Stretch::Between { lower, upper }) => {
                    self.look_through(connection, bounds, (lower, upper))?;
                }
                Some(Stretch::These(ids)) => self.look_up(connection, bounds, &ids)?,
            }
            if self.is_full() {
                // A page that is full is followed by another one, if only by an empty one.
                let next = self.readings.last().map(|reading| reading.id);
                return Ok(self.ending(next));
            }
        }
    }

    fn is_full(&self) -> bool {
        self.query.limit <= self.readings.len() || !self.room.is_left()
    }

    fn ending(self, next: Option<ReadingId>) -> ReadingPage {
        ReadingPage {
            readings: self.readings,
            next,
        }
    }

    fn look_through(
        &mut self,
        connection: &Connection,
        bounds: &Bounds,
        (lower, upper): (i64, i64),
    ) -> Result<(), StoreError> {
        let Bounds { sensor, from, to } = bounds;
        self.looked_through += (upper - lower) as usize + 1;
        let _transaction = connection.unchecked_transaction()?;
        if self.look_through_packed(connection, bounds, (lower, upper))? {
            return Ok(());
        }
        let wanted = (self.query.limit - self.readings.len()) as i64;
        let mut select = connection.prepare_cached(
            "SELECT r.id, s.name, r.value, r.ts, r.delay, r.tags, r.attributes \
             FROM reading r CROSS JOIN sensor s ON s.key = r.sensor \
             WHERE r.id BETWEEN ?1 AND ?2 AND (?3 IS NULL OR r.sensor = ?3) \
             AND (?5 IS NULL OR ?5 <= r.ts) AND (?6 IS NULL OR r.ts < ?6) \
             ORDER BY r.id DESC LIMIT ?4",
        )?;
        let values = params![lower, upper, sensor, wanted, from, to];
        let rows = select.query_map(values, read_reading)?;
        self.room.fill(rows, &mut self.readings)?;
        Ok(())
    }

    /// Whether the block is packed.
    fn look_through_packed(
        &mut self,
        connection: &Connection,
        bounds: &Bounds,
        (lower, upper): (i64, i64),
    ) -> Result<bool, StoreError> {
        let mut names = Names::new(connection);
        let block = Block::of(upper);
        if let Some(sensor) = bounds.sensor {
            if !blocks::is_packed(connection, block)? {
                return Ok(false);
            }
            for stored in blocks::between(connection, blocks::key(sensor), (lower, upper))? {
                self.take(stored, bounds, &mut names)?;
                if self.is_full() {
                    break;
                }
            }
            return Ok(true);
        }
        let mut upper = upper;
        while lower <= upper {
            let Some(part) = self.cache.part(connection, upper)? else {
                return Ok(false);
            };
            for stored in part.between(lower, upper) {
                self.take(stored.clone(), bounds, &mut names)?;
                if self.is_full() {
                    return Ok(true);
                }
            }
            upper = part.first - 1;
        }
        Ok(true)
    }

    fn take(
        &mut self,
        stored: Stored,
        bounds: &Bounds,
        names: &mut Names<'_>,
    ) -> Result<(), StoreError> {
        let ts = stored.columns.ts;
        if bounds.meet([ts, ts])
            && let Some(reading) = names.reading(stored)?
        {
            self.room.take(&reading);
            self.readings.push(reading);
        }
        Ok(())
    }

    fn look_up(
        &mut self,
        connection: &Connection,
        bounds: &Bounds,
        ids: &[i64],
    ) -> Result<(), StoreError> {
        let Bounds { sensor, from, to } = bounds;
        let mut select = connection.prepare_cached(
            "SELECT r.id, s.name, r.value, r.ts, r.delay, r.tags, r.attributes \
             FROM reading r CROSS JOIN sensor s ON s.key = r.sensor \
             WHERE r.id = ?1 AND r.sensor = ?2 \
             AND (?3 IS NULL OR ?3 <= r.ts) AND (?4 IS NULL OR r.ts < ?4)",
        )?;
        let mut is_there = connection.prepare_cached("SELECT 1 FROM reading WHERE id = ?1")?;
        let mut names = Names::new(connection);
        in_steps(connection, ids, |id| {
            let found = select
                .query_row(params![id, sensor, from, to], read_reading)
                .optional()?;
            self.looked_through += 1;
            if let Some(reading) = found {
                self.room.take(&reading);
                self.readings.push(reading);
            } else if !is_there.exists([id])?
                // It was packed since the way to it was found.
                && let Some(stored) = blocks::find(connection, sensor.and_then(blocks::key), id)?
            {
                self.take(stored, bounds, &mut names)?;
            }
            Ok(!self.is_full())
        })
    }
}

/// The readings from the first to the last of these ids that are asked for, newest first. A page with `next` is not all of them.
pub(super) fn page_between(
    (connection, cache): (&Connection, &BlockCache),
    query: &ReadingQuery,
    (first, last): (ReadingId, ReadingId),
) -> Result<ReadingPage, StoreError> {
    let (sensor, times) = (query.sensor_id.as_ref(), [query.from, query.to]);
    let Some(bounds) = Bounds::find(connection, sensor, times)? else {
        return Ok(ReadingPage::default());
    };
    let mut walk = Walk::new(connection, &bounds, (first.0, last.0));
    PageInHand::new(query, cache).fill(&mut walk, &bounds)
}

/// Bytes that readings may still take.
pub(super) struct Room(pub(super) usize);

impl Room {
    pub(super) fn is_left(&self) -> bool {
        0 < self.0
    }

    /// Takes rows until one is larger than what is left: that one is the last.
    pub(super) fn fill(
        &mut self,
        rows: impl Iterator<Item = rusqlite::Result<StoredReading>>,
        readings: &mut Vec<StoredReading>,
    ) -> rusqlite::Result<()> {
        for (number, reading) in rows.enumerate() {
            give_way_at(number);
            let reading = reading?;
            self.take(&reading);
            readings.push(reading);
            if !self.is_left() {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn take(&mut self, reading: &StoredReading) {
        let texts = reading.tags.get().len() + reading.attributes.get().len();
        self.0 = self.0.saturating_sub(texts + BYTES_BESIDE_TEXTS);
    }
}
