//! Looking at what waits for uplinks: readings that are in no batch yet, recorded batches, dead letters.

use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use super::StoreError;
use super::outbox::{self, Account, Batch, UplinkKey};
use super::reader::{Reader, read_reading};
use super::reading_pages::Room;
use crate::domain::reading::{ReadingId, StoredReading};
use crate::domain::timestamp::Timestamp;

/// Which readings are asked for that wait for an uplink and are in no batch.
#[derive(Clone, Copy, Debug)]
pub struct WaitingQuery {
    pub uplink: UplinkKey,
    /// Only younger ones than this.
    pub after: ReadingId,
    /// Not younger than this.
    pub upto: ReadingId,
    pub tagged_only: bool,
    pub limit: usize,
    /// Up to the one that brings them over so many bytes.
    pub max_bytes: usize,
}

/// Readings of dead letters that are read at once have about so many bytes at most: those that were too large for a receiver
/// are large.
const LETTER_BYTES: usize = 4 << 20;

/// A reading that its receiver refused for good.
#[derive(Clone, Debug, Serialize)]
pub struct DeadLetter {
    pub id: i64,
    pub uplink: Box<str>,
    pub reading: Option<StoredReading>,
    pub status: u16,
    pub answer: Box<str>,
    pub at: Timestamp,
    pub tries: u32,
}

/// An uplink that is not configured any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forsaken {
    pub key: UplinkKey,
    pub name: Box<str>,
    /// Readings that wait for it.
    pub pending: u64,
}

impl Reader {
    /// Readings that wait and are in no batch, oldest first.
    pub fn waiting(&self, query: &WaitingQuery) -> Result<Vec<StoredReading>, StoreError> {
        self.with_connection(|connection| {
            let mut found = Vec::new();
            let mut select = connection.prepare_cached(
                "SELECT r.id, s.name, r.value, r.ts, r.delay, r.tags, r.attributes \
                 FROM outbox_entry o CROSS JOIN reading r ON r.id = o.reading CROSS JOIN sensor s ON s.key = r.sensor \
                 WHERE o.uplink = ?1 AND ?2 < o.reading AND o.reading <= ?3 AND (NOT ?4 OR r.tags IS NOT NULL) \
                 ORDER BY o.reading LIMIT ?5",
            )?;
            let (after, upto) = (query.after.0, query.upto.0);
            let limit = query.limit as i64;
            let values = params![query.uplink.0, after, upto, query.tagged_only, limit];
            let rows = select.query_map(values, read_reading)?;
            Room(query.max_bytes).fill(rows, &mut found)?;
            Ok(found)
        })
    }

    /// The reading behind which exactly the newest `count` wait that are in no batch; `None` if fewer do.
    pub fn waiting_before_newest(
        &self,
        uplink: UplinkKey,
        count: usize,
    ) -> Result<Option<ReadingId>, StoreError> {
        self.with_connection(|connection| {
            let select = "SELECT reading FROM outbox_entry WHERE uplink = ?1 ORDER BY reading DESC LIMIT 1 OFFSET ?2";
            let id = connection
                .prepare_cached(select)?
                .query_row(params![uplink.0, count as i64], |row| row.get(0))
                .optional()?;
            Ok(id.map(ReadingId))
        })
    }

    /// The reading that waits `count` behind `after`, of those that are in no batch; `None` if fewer do.
    pub fn waiting_step(
        &self,
        uplink: UplinkKey,
        after: ReadingId,
        count: usize,
    ) -> Result<Option<ReadingId>, StoreError> {
        self.with_connection(|connection| {
            let select = "SELECT reading FROM outbox_entry WHERE uplink = ?1 AND ?2 < reading ORDER BY reading LIMIT 1 OFFSET ?3";
            let id = connection
                .prepare_cached(select)?
                .query_row(params![uplink.0, after.0, count as i64], |row| row.get(0))
                .optional()?;
            Ok(id.map(ReadingId))
        })
    }

    /// The oldest and the newest reading that wait and are in no batch.
    pub fn waiting_ends(
        &self,
        uplink: UplinkKey,
    ) -> Result<Option<(ReadingId, ReadingId)>, StoreError> {
        self.with_connection(|connection| {
            let end = |function: &str| {
                let select =
                    format!("SELECT {function}(reading) FROM outbox_entry WHERE uplink = ?1");
                let mut select = connection.prepare_cached(&select)?;
                select.query_row([uplink.0], |row| row.get::<_, Option<i64>>(0))
            };
            let (oldest, newest) = (end("min")?, end("max")?);
            Ok(oldest.map(ReadingId).zip(newest.map(ReadingId)))
        })
    }

    /// The newest reading of all; zero if there is none.
    pub fn newest_reading(&self) -> Result<ReadingId, StoreError> {
        self.with_connection(|connection| {
            let newest: Option<i64> =
                connection.query_row("SELECT max(id) FROM reading", [], |row| row.get(0))?;
            Ok(ReadingId(newest.unwrap_or(0)))
        })
    }

    /// The batches of an uplink that were recorded and not settled, oldest first, at most `limit` that come after
    /// `after`.
    pub fn recorded_batches(
        &self,
        uplink: UplinkKey,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Batch>, StoreError> {
        self.with_connection(|connection| {
            let columns = outbox::COLUMNS;
            let select = format!(
                "SELECT {columns} FROM batch WHERE uplink = ?1 AND ?2 < id ORDER BY id LIMIT ?3"
            );
            let mut select = connection.prepare_cached(&select)?;
            let rows = select.query_map(params![uplink.0, after, limit as i64], outbox::read)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// When the oldest reading arrived that waits for an uplink, in a batch or not.
    pub fn outbox_oldest(&self, uplink: UplinkKey) -> Result<Option<Timestamp>, StoreError> {
        self.with_connection(|connection| {
            let oldest = connection
                .prepare_cached(
                    "SELECT ts + delay FROM reading WHERE id = (SELECT min(oldest) FROM ( \
                     SELECT min(reading) AS oldest FROM outbox_entry WHERE uplink = ?1 UNION ALL \
                     SELECT min(first) FROM batch WHERE uplink = ?1))",
                )?
                .query_row([uplink.0], |row| row.get(0))
                .optional()?;
            Ok(oldest.map(Timestamp::from_millis))
        })
    }

    /// What an uplink remembers of itself.
    pub fn account(&self, uplink: UplinkKey) -> Result<Account, StoreError> {
        self.with_connection(|connection| {
            let select = "SELECT refused, day, bytes FROM uplink WHERE key = ?1";
            let account = connection.query_row(select, [uplink.0], |row| {
                Ok(Account {
                    refused: row.get(0)?,
                    day: row.get(1)?,
                    bytes: row.get::<_, i64>(2)?.unsigned_abs(),
                })
            })?;
            Ok(account)
        })
    }

    /// Uplinks for which readings wait and which are not configured. Nothing changes that while the store is open: they are
    /// counted once.
    pub fn forsaken(&self) -> Result<&[Forsaken], StoreError> {
        if let Some(known) = self.forsaken_once().get() {
            return Ok(known);
        }
        let configured = self.uplinks();
        let forsaken = self.with_connection(|connection| {
            let mut select = connection.prepare("SELECT key, name FROM uplink")?;
            let all = select.query_map([], |row| Ok((UplinkKey(row.get(0)?), row.get(1)?)))?;
            let mut forsaken = Vec::new();
            for uplink in all {
                let (key, name) = uplink?;
                if configured.contains(&key) {
                    continue;
                }
                let pending = outbox::count(connection, key)?.unsigned_abs();
                forsaken.extend((0 < pending).then_some(Forsaken { key, name, pending }));
            }
            Ok(forsaken)
        })?;
        Ok(self.forsaken_once().get_or_init(|| forsaken.into()))
    }

    /// How many readings were refused for good.
    pub fn dead_letter_count(&self) -> Result<u64, StoreError> {
        self.with_connection(|connection| {
            let count: i64 = connection
                .prepare_cached("SELECT count(*) FROM dead_letter")?
                .query_row([], |row| row.get(0))?;
            Ok(count.unsigned_abs())
        })
    }

    /// Dead letters, oldest first: at most `limit` that come after `after`, fewer if they are large, or the one with this `id`.
    /// And whether there may be more.
    pub fn dead_letters(
        &self,
        after: i64,
        id: Option<i64>,
        limit: usize,
    ) -> Result<(Vec<DeadLetter>, bool), StoreError> {
        self.with_connection(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT r.id, s.name, r.value, r.ts, r.delay, r.tags, r.attributes, \
                 d.id, u.name, d.status, d.answer, d.at, d.tries \
                 FROM dead_letter d LEFT JOIN reading r ON r.id = d.reading LEFT JOIN sensor s ON s.key = r.sensor \
                 CROSS JOIN uplink u ON u.key = d.uplink \
                 WHERE ?1 < d.id AND (?2 IS NULL OR d.id = ?2) ORDER BY d.id LIMIT ?3",
            )?;
            let rows = select.query_map(params![after, id, limit as i64], |row| {
                let is_there = row.get::<_, Option<i64>>(0)?.is_some();
                Ok(DeadLetter {
                    reading: is_there.then(|| read_reading(row)).transpose()?,
                    id: row.get(7)?,
                    uplink: row.get(8)?,
                    status: row.get(9)?,
                    answer: row.get(10)?,
                    at: Timestamp::from_millis(row.get(11)?),
                    tries: row.get(12)?,
                })
            })?;
            let (mut letters, mut room) = (Vec::new(), Room(LETTER_BYTES));
            for letter in rows {
                letters.push(letter?);
                if let Some(DeadLetter {
                    reading: Some(reading),
                    ..
                }) = letters.last()
                {
                    room.take(reading);
                }
                if !room.is_left() {
                    break;
                }
            }
            let may_be_more = letters.len() == limit || !room.is_left();
            Ok((letters, may_be_more))
        })
    }
}
