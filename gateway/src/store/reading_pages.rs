//! Stored readings by sensor and time, a page at a time. The table has no second index: it is looked through in steps, each
//! well under a second.

use rusqlite::{Connection, params};

use super::StoreError;
use super::bounds::{Bounds, end};
use super::reader::{Reader, Room, read_reading};
use crate::domain::reading::{ReadingId, StoredReading};
use crate::domain::sensor::SensorId;
use crate::domain::timestamp::Timestamp;

/// So many readings are looked through in one transaction: well under a second, also on a small board.
const SCAN_ROWS: i64 = 200_000;

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
    /// A page of readings, newest first. For a rare sensor or time it looks through the table from the sensor's newest reading
    /// on, a bounded part in each transaction.
    pub fn readings(&self, query: &ReadingQuery) -> Result<ReadingPage, StoreError> {
        self.with_connection(|connection| {
            let (sensor, times) = (query.sensor_id.as_ref(), [query.from, query.to]);
            let Some(bounds) = Bounds::find(connection, sensor, times)? else {
                return Ok(ReadingPage::default());
            };
            let newest = match bounds.sensor {
                Some(key) => self.sensors().last_reading_of(key),
                None => end(connection, "SELECT max(id) FROM reading")?,
            };
            let newest = newest.unwrap_or(0);
            let oldest = end(connection, "SELECT min(id) FROM reading")?.unwrap_or(0);
            let before = query.before;
            let upper = before.map_or(newest, |id| newest.min(id.0.saturating_sub(1)));
            look_through(connection, query, &bounds, (oldest, upper))
        })
    }
}

fn look_through(
    connection: &Connection,
    query: &ReadingQuery,
    bounds: &Bounds,
    (oldest, mut upper): (i64, i64),
) -> Result<ReadingPage, StoreError> {
    let (mut readings, mut room) = (Vec::new(), Room(query.max_bytes));
    let mut looked_through = 0;
    let Bounds { sensor, from, to } = bounds;
    let mut select = connection.prepare_cached(
        "SELECT r.id, s.name, r.value, r.ts, r.delay, r.tags, r.attributes \
         FROM reading r CROSS JOIN sensor s ON s.key = r.sensor \
         WHERE r.id BETWEEN ?1 AND ?2 AND (?3 IS NULL OR r.sensor = ?3) \
         AND (?5 IS NULL OR ?5 <= r.ts) AND (?6 IS NULL OR r.ts < ?6) \
         ORDER BY r.id DESC LIMIT ?4",
    )?;
    while oldest <= upper && looked_through < query.max_looked_through {
        let lower = upper.saturating_sub(SCAN_ROWS) + 1;
        let wanted = (query.limit - readings.len()) as i64;
        let values = params![lower, upper, sensor, wanted, from, to];
        room.fill(select.query_map(values, read_reading)?, &mut readings)?;
        if query.limit <= readings.len() || !room.is_left() {
            // A page that is full is followed by another one, if only by an empty one.
            let next = readings.last().map(|reading: &StoredReading| reading.id);
            return Ok(ReadingPage { readings, next });
        }
        upper = lower - 1;
        looked_through += SCAN_ROWS as usize;
    }
    let next = (oldest <= upper).then_some(ReadingId(upper + 1));
    Ok(ReadingPage { readings, next })
}
