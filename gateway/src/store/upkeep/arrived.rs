//! When the readings of a block, or of a unit of summaries, arrived, if the clock of then is to be believed. Ids only grow: where it
//! is not, they arrived before those that come behind them.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::store::StoreError;
use crate::store::blocks::Block;

/// Before this a clock had not been set, in milliseconds: 2020-01-01.
pub(super) const CLOCK_WAS_SET: i64 = 1_577_836_800_000;

/// A clock that says so much later than now was wrong.
const AHEAD_MS: i64 = 24 * 60 * 60 * 1000;

/// The first block of some readings, and when the newest of them arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived {
    pub(super) first: Block,
    newest_at: i64,
    is_unit: bool,
}

impl Arrived {
    /// Of the oldest block that is so.
    pub(super) fn oldest(connection: &Connection, which: &str) -> Result<Option<Self>, StoreError> {
        let select = format!(
            "SELECT number, newest_at FROM reading_block WHERE {which} ORDER BY number LIMIT 1"
        );
        Self::found(connection, &select, false)
    }

    /// Of the oldest unit of summaries.
    pub(super) fn oldest_unit(connection: &Connection) -> Result<Option<Self>, StoreError> {
        let select = "SELECT first, newest_at FROM summary_block ORDER BY first LIMIT 1";
        Self::found(connection, select, true)
    }

    fn found(
        connection: &Connection,
        select: &str,
        is_unit: bool,
    ) -> Result<Option<Self>, StoreError> {
        let read = |row: &Row<'_>| {
            Ok(Self {
                first: Block(row.get(0)?),
                newest_at: row.get(1)?,
                is_unit,
            })
        };
        let mut select = connection.prepare_cached(select)?;
        Ok(select.query_row([], read).optional()?)
    }

    /// When they arrived, or those behind them of which that can be said; `None`: of none.
    pub(super) fn at_or_later(
        self,
        connection: &Connection,
        now: i64,
    ) -> Result<Option<i64>, StoreError> {
        let believed = CLOCK_WAS_SET..=now.saturating_add(AHEAD_MS);
        if believed.contains(&self.newest_at) {
            return Ok(Some(self.newest_at));
        }
        let select = if self.is_unit {
            "SELECT newest_at FROM summary_block WHERE ?1 < first AND newest_at BETWEEN ?2 AND ?3 ORDER BY first LIMIT 1"
        } else {
            "SELECT newest_at FROM reading_block WHERE ?1 < number AND 2 <= packed AND newest_at BETWEEN ?2 AND ?3 ORDER BY number LIMIT 1"
        };
        let values = params![self.first.0, believed.start(), believed.end()];
        let mut select = connection.prepare_cached(select)?;
        Ok(select.query_row(values, |row| row.get(0)).optional()?)
    }
}
