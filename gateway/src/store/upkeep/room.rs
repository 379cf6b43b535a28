//! How much room the budget leaves.

use rusqlite::Connection;

use crate::store::checkpoints::LOG_BYTES;
use crate::store::{Reader, StoreError, connection};

/// Beside the database: the log's index, and what is written between two looks.
const BESIDE: u64 = 3 << 20;

/// Room is made when less is left than this part of what there may be, or than this.
const MARGIN: u64 = 8;
const LARGEST_MARGIN: u64 = 64 << 20;

/// What the store takes and what it may take, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Of the database, without pages that are free.
    pub used: u64,
    /// What the database may take, so that all files together are within the budget.
    pub most: u64,
    /// Pages that are free and can be given back, and the bytes of a page.
    free: u64,
    page: u64,
}

impl Room {
    /// The log is copied into the database when it is so long, and its file does not stay longer than twice that: in a small budget
    /// a small log. As much is kept free on the disk for when there is no more room.
    pub(in crate::store) fn log_bytes(max_bytes: u64) -> u64 {
        (max_bytes / 16).clamp(512 << 10, LOG_BYTES)
    }

    pub(in crate::store) fn look(
        connection: &Connection,
        log_bytes: u64,
        max_bytes: u64,
    ) -> Result<Self, StoreError> {
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let (pages, free) = (pragma("page_count")?, pragma("freelist_count")?);
        let page = pragma("page_size")?.unsigned_abs();
        // Where it is not so, only a VACUUM gives space back.
        let is_incremental = pragma("auto_vacuum")? == 2;
        let usual = Self::log_bytes(max_bytes);
        // One that somebody's long look keeps from being copied is no reason to take readings away.
        let log = log_bytes.clamp(usual, 2 * usual);
        Ok(Self {
            used: (pages - free).unsigned_abs() * page,
            most: max_bytes.saturating_sub(log + usual + BESIDE),
            page,
            free: if is_incremental {
                free.unsigned_abs()
            } else {
                0
            },
        })
    }

    /// What is left, in bytes.
    pub fn left(&self) -> u64 {
        self.most.saturating_sub(self.used)
    }

    /// With less left room is made; with half of it nothing more is taken until there is.
    pub fn margin(&self) -> u64 {
        (self.most / MARGIN).min(LARGEST_MARGIN)
    }

    /// How many pages are to be given back, if more are free than are soon used again.
    pub(super) fn to_give_back(self) -> Option<u32> {
        const AT_ONCE: u64 = 256 << 10;
        const MANY: u64 = 16 << 20;
        let free = self.free * self.page;
        let is_much = MANY.max(self.used / 4) < free || self.most < self.used + free;
        (is_much && 0 < free).then(|| (AT_ONCE / self.page) as u32)
    }

    /// Whether room is to be made.
    pub fn is_scarce(&self) -> bool {
        self.left() <= self.margin()
    }
}

impl Reader {
    /// How much room there is within a budget.
    pub fn room(&self, max_bytes: u64) -> Result<Room, StoreError> {
        let log = connection::beside(self.path(), "-wal");
        let log_bytes = log.metadata().map_or(0, |metadata| metadata.len());
        self.with_connection(|connection| Room::look(connection, log_bytes, max_bytes))
    }
}
