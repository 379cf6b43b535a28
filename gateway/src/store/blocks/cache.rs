//! The part of a packed block that was looked through last. Whoever goes through all readings page by page comes to the same
//! place many times, and to unpack it takes some milliseconds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use super::packed::{Stored, between};
use super::{Block, StoreError};

/// Ids of a part. Larger ones are unpacked less often and take more memory: some 100 bytes a reading.
const PART: i64 = 8192;

/// A part of a block as the block's row described it: where that has changed, its readings may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    first: i64,
    packed: i64,
    bytes: i64,
    count: i64,
}

type Kept = Option<(Version, Arc<Vec<Stored>>)>;

/// Readings of one packed block.
#[derive(Debug, Default)]
pub(in crate::store) struct BlockCache {
    kept: Mutex<Kept>,
    was_asked: AtomicBool,
}

impl BlockCache {
    /// The part of a packed block in which this id is, newest first, with its first and last ids; `None` if it is not packed.
    pub(in crate::store) fn part(
        &self,
        connection: &Connection,
        id: i64,
    ) -> Result<Option<Part>, StoreError> {
        let Some(version) = Version::of(connection, id)? else {
            return Ok(None);
        };
        self.was_asked.store(true, Ordering::Relaxed);
        if let Some((known, readings)) = &*self.kept()
            && *known == version
        {
            return Ok(Some(Part::of(version, readings)));
        }
        // Before there are two of them.
        self.kept().take();
        let ends = (version.first, version.first + PART - 1);
        let readings = between(connection, None, ends)?;
        let readings = Arc::new(readings);
        let part = Part::of(version, &readings);
        *self.kept() = Some((version, readings));
        Ok(Some(part))
    }

    /// Gives its memory back if nobody has asked since it was called last.
    pub(in crate::store) fn tidy(&self) {
        if !self.was_asked.swap(false, Ordering::Relaxed) {
            self.kept().take();
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Some readings that lie together.
#[derive(Debug)]
pub(in crate::store) struct Part {
    pub(in crate::store) first: i64,
    pub(in crate::store) last: i64,
    readings: Arc<Vec<Stored>>,
}

impl Part {
    fn of(version: Version, readings: &Arc<Vec<Stored>>) -> Self {
        Self {
            first: version.first,
            last: version.first + PART - 1,
            readings: Arc::clone(readings),
        }
    }

    /// Those between two ids, newest first.
    pub(in crate::store) fn between(&self, lower: i64, upper: i64) -> &[Stored] {
        let first = self.readings.partition_point(|stored| upper < stored.id);
        let last = self.readings.partition_point(|stored| lower <= stored.id);
        &self.readings[first.min(last)..last]
    }
}

impl Version {
    fn of(connection: &Connection, id: i64) -> Result<Option<Self>, StoreError> {
        let mut select = connection.prepare_cached(
            "SELECT packed, bytes, count FROM reading_block WHERE number = ?1 AND 0 < packed",
        )?;
        let mut rows = select.query([Block::of(id).0])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        Ok(Some(Self {
            first: id / PART * PART,
            packed: row.get(0)?,
            bytes: row.get(1)?,
            count: row.get(2)?,
        }))
    }
}
