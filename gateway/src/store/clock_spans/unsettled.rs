//! Ranges of readings whose times may still be put right, and which of their readings came so lately that they are waited for.

use rusqlite::{Connection, OptionalExtension};

use super::LONGEST_WAIT;
use crate::clock;
use crate::domain::reading::ReadingId;
use crate::store::{Reader, StoreError};

/// A range that is not settled.
pub(super) struct Unsettled {
    pub(super) first: i64,
    pub(super) last: Option<i64>,
    pub(super) is_of_boot: bool,
    pub(super) offset: i64,
    pub(super) shift: Option<i64>,
    from: Option<i64>,
    upto: Option<i64>,
}

impl Unsettled {
    pub(super) fn all(connection: &Connection) -> Result<Vec<Self>, StoreError> {
        let mut select = connection.prepare_cached(
            "SELECT first, last, boot = ?1, clock_offset, shift, put_right_from, put_right_upto FROM clock_span \
             WHERE settled = 0 ORDER BY first",
        )?;
        let spans = select.query_map([clock::boot_id()], |row| {
            Ok(Self {
                first: row.get(0)?,
                last: row.get(1)?,
                is_of_boot: row.get(2)?,
                offset: row.get(3)?,
                shift: row.get(4)?,
                from: row.get(5)?,
                upto: row.get(6)?,
            })
        })?;
        Ok(spans.collect::<Result<_, _>>()?)
    }

    /// The first of its readings that came less than `age` milliseconds ago, looked for by halves; those that are not put right
    /// yet, if that is under way.
    pub(super) fn first_within(
        &self,
        connection: &Connection,
        age: i64,
    ) -> Result<Option<i64>, StoreError> {
        if self.shift.is_some() {
            let next = self.upto.map_or(self.first, |upto| upto + 1);
            return Ok(self.last.is_none_or(|last| next <= last).then_some(next));
        }
        if !self.is_of_boot {
            return Ok(None);
        }
        let since = clock::monotonic() + self.offset - age;
        let mut select = connection.prepare_cached(
            "SELECT id, ts + delay FROM reading WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT 1",
        )?;
        let mut from = self.from.map_or(self.first, |from| from.max(self.first));
        let mut beyond = match self.last {
            Some(last) => last + 1,
            None => connection
                .prepare_cached("SELECT reading + 1 FROM counter")?
                .query_row([], |row| row.get(0))?,
        };
        let mut found = None;
        while from < beyond {
            let middle = from + (beyond - from) / 2;
            let row: Option<(i64, i64)> = select
                .query_row([middle, beyond - 1], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            match row {
                Some((id, received_at)) if received_at < since => from = id + 1,
                Some((id, _)) => {
                    found = Some(id);
                    beyond = middle;
                }
                None => beyond = middle,
            }
        }
        // With none there yet the next may come at any time.
        Ok(found.or(self.last.is_none().then_some(from)))
    }
}

/// From this reading on rows may still be changed, so that they may not be packed.
pub(in crate::store) fn first_unsettled(
    connection: &Connection,
) -> Result<Option<i64>, StoreError> {
    for span in Unsettled::all(connection)? {
        if let Some(first) = span.first_within(connection, LONGEST_WAIT)? {
            return Ok(Some(first));
        }
    }
    Ok(None)
}

impl Reader {
    /// From this reading on none may go into a batch: their times may still be put right. They wait for at most `wait`
    /// milliseconds, each.
    pub fn held_from(&self, wait: i64) -> Result<Option<ReadingId>, StoreError> {
        self.with_connection(|connection| {
            for span in Unsettled::all(connection)? {
                if let Some(first) = span.first_within(connection, wait)? {
                    return Ok(Some(ReadingId(first)));
                }
            }
            Ok(None)
        })
    }
}
