//! The stored past, for programs beside the gateway: it is looked at in short steps, and nothing is changed.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::reader::read_reading;
use super::{StoreError, connection};
use crate::domain::reading::{ReadingId, StoredReading};
use crate::domain::timestamp::Timestamp;

/// A store that may belong to a gateway that runs.
#[derive(Debug)]
pub struct History {
    connection: Connection,
}

impl History {
    /// Opens the store at `path`.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            connection: connection::open_reader(path)?,
        })
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The first reading that arrived at `since` or later, and the last one there is. Arrivals grow with the ids, but for
    /// steps of the clock.
    pub fn range(&self, since: Timestamp) -> Result<Option<(ReadingId, ReadingId)>, StoreError> {
        let ends = "SELECT min(id), max(id) FROM reading";
        let ends = self
            .connection
            .query_row(ends, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let (Some(mut first), Some(last)): (Option<i64>, Option<i64>) = ends else {
            return Ok(None);
        };
        let mut arrived = self
            .connection
            .prepare("SELECT id, ts + delay FROM reading WHERE ?1 <= id ORDER BY id LIMIT 1")?;
        let mut end = last + 1;
        while first < end {
            let middle = first + (end - first) / 2;
            let found: Option<(i64, i64)> = arrived
                .query_row([middle], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            match found {
                Some((id, at)) if at < since.millis() => first = id + 1,
                _ => end = middle,
            }
        }
        Ok((first <= last).then_some((ReadingId(first), ReadingId(last))))
    }

    /// At most `limit` readings behind `after`, oldest first.
    pub fn page(&self, after: ReadingId, limit: usize) -> Result<Vec<StoredReading>, StoreError> {
        let mut select = self.connection.prepare_cached(
            "SELECT r.id, s.name, r.value, r.ts, r.delay, r.tags, r.attributes \
             FROM reading r CROSS JOIN sensor s ON s.key = r.sensor WHERE ?1 < r.id ORDER BY r.id LIMIT ?2",
        )?;
        let rows = select.query_map(params![after.0, limit as i64], read_reading)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
