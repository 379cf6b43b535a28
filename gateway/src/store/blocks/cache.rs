//! The packed block that was looked through last. Whoever goes through all readings page by page comes to the same block many
//! times, and to unpack one takes some milliseconds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use super::packed::{Stored, between};
use super::{Block, StoreError};

/// A block as its row described it: where that has changed, its readings may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    block: Block,
    packed: i64,
    bytes: i64,
    count: i64,
}

type Kept = Option<(Version, Arc<[Stored]>)>;

/// Readings of one packed block.
#[derive(Debug, Default)]
pub(in crate::store) struct BlockCache {
    kept: Mutex<Kept>,
    was_asked: AtomicBool,
}

impl BlockCache {
    /// All readings of a packed block, newest first; `None` if it is not packed.
    pub(in crate::store) fn block(
        &self,
        connection: &Connection,
        block: Block,
    ) -> Result<Option<Arc<[Stored]>>, StoreError> {
        let Some(version) = Version::of(connection, block)? else {
            return Ok(None);
        };
        self.was_asked.store(true, Ordering::Relaxed);
        if let Some((known, readings)) = &*self.kept()
            && *known == version
        {
            return Ok(Some(Arc::clone(readings)));
        }
        let readings = between(connection, None, (block.first(), block.last()))?;
        let readings: Arc<[Stored]> = readings.into();
        *self.kept() = Some((version, Arc::clone(&readings)));
        Ok(Some(readings))
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

/// Those between two ids, of all readings of a block.
pub(in crate::store) fn within(readings: &[Stored], lower: i64, upper: i64) -> &[Stored] {
    let first = readings.partition_point(|stored| upper < stored.id);
    let last = readings.partition_point(|stored| lower <= stored.id);
    &readings[first.min(last)..last]
}

impl Version {
    fn of(connection: &Connection, block: Block) -> Result<Option<Self>, StoreError> {
        let mut select = connection.prepare_cached(
            "SELECT packed, bytes, count FROM reading_block WHERE number = ?1 AND 0 < packed",
        )?;
        let mut rows = select.query([block.0])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        Ok(Some(Self {
            block,
            packed: row.get(0)?,
            bytes: row.get(1)?,
            count: row.get(2)?,
        }))
    }
}
