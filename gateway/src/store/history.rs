//! The stored past, for programs beside the gateway: it is looked at in short steps, and nothing is changed.

use std::path::Path;

use rusqlite::Connection;

use super::blocks::{self, Block, BlockCache, Stored};
use super::unpacked::Names;
use super::{StoreError, bounds, connection};
use crate::domain::reading::{ReadingId, StoredReading};
use crate::domain::timestamp::Timestamp;

/// A store that may belong to a gateway that runs.
#[derive(Debug)]
pub struct History {
    connection: Connection,
    cache: BlockCache,
}

impl History {
    /// Opens the store at `path`.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            connection: connection::open_reader(path)?,
            cache: BlockCache::default(),
        })
    }

    pub(super) fn connection(&self) -> (&Connection, &BlockCache) {
        (&self.connection, &self.cache)
    }

    /// The first reading that arrived at `since` or later, and the last one there is. Arrivals grow with the ids, but for
    /// steps of the clock.
    pub fn range(&self, since: Timestamp) -> Result<Option<(ReadingId, ReadingId)>, StoreError> {
        let Some((mut first, last)) = bounds::of_readings(&self.connection)? else {
            return Ok(None);
        };
        let mut end = last + 1;
        while first < end {
            let middle = first + (end - first) / 2;
            match self.arrival_from(middle)? {
                Some((id, at)) if at < since.millis() => first = id + 1,
                _ => end = middle,
            }
        }
        Ok((first <= last).then_some((ReadingId(first), ReadingId(last))))
    }

    /// The first reading of this id or a larger one, and when it arrived.
    fn arrival_from(&self, id: i64) -> Result<Option<(i64, i64)>, StoreError> {
        let found = self.page_from(id, 1)?.pop();
        Ok(found.map(|Stored { id, columns }| (id, columns.ts.saturating_add(columns.delay))))
    }

    /// Readings behind `after`, oldest first: at most `limit`, and fewer where a part of them ends; none at the end.
    pub fn page(&self, after: ReadingId, limit: usize) -> Result<Vec<StoredReading>, StoreError> {
        let mut names = Names::new(&self.connection);
        let mut found = Vec::new();
        for stored in self.page_from(after.0.saturating_add(1), limit)? {
            found.extend(names.reading(stored)?);
        }
        Ok(found)
    }

    fn page_from(&self, mut first: i64, limit: usize) -> Result<Vec<Stored>, StoreError> {
        loop {
            let _transaction = self.connection.unchecked_transaction()?;
            let block = Block::of(first);
            if let Some(part) = self.cache.part(&self.connection, first)? {
                let found = part.between(first, part.last);
                if found.is_empty() {
                    first = part.last + 1;
                    continue;
                }
                return Ok(found.iter().rev().take(limit).cloned().collect());
            }
            let next = blocks::next_packed(&self.connection, block)?;
            let upto = next.map_or(i64::MAX, |next| next.first() - 1);
            let found = blocks::rows_from(&self.connection, (first, upto), limit)?;
            match next {
                Some(next) if found.is_empty() => first = next.first(),
                _ => return Ok(found),
            }
        }
    }
}
