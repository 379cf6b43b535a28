//! Rows by a whole number, from the largest down, around what cannot be read.
//!
//! Where a page is damaged, every look for a number that it would have fails. Further down is looked in steps that grow with what is
//! lost already, and the first number that can be read again is found by halving the last step: so a page of the tree's leaves costs
//! some ten looks, a branch of a million numbers some hundreds, and what lies between two damaged pages is found unless it is small
//! beside them.

use rusqlite::{Connection, Row, Statement, ToSql};

use super::source::readable;
use crate::store::StoreError;

/// A step is this part of what is lost.
const SHARE: i64 = 64;
/// Numbers that are missing in one place, beyond which the store has jumped ahead rather than lost them.
const JUMP: i64 = 1 << 22;

/// Which rows: `query` gives the number as the first column, takes the part of a key of two (or anything) as `?1`, the smallest
/// and the largest number as `?2` and `?3`, sorts downwards and takes the limit as `?4`.
pub(super) struct Descent<'c> {
    connection: &'c Connection,
    query: &'c str,
    part: &'c dyn ToSql,
}

/// What a part of a descent found.
pub(super) struct Found<T> {
    pub(super) rows: Vec<T>,
    /// Where it goes on; `None` at the end.
    pub(super) next: Option<i64>,
    pub(super) unreadable: u64,
}

impl<'c> Descent<'c> {
    pub(super) fn new(connection: &'c Connection, query: &'c str, part: &'c dyn ToSql) -> Self {
        Self {
            connection,
            query,
            part,
        }
    }

    /// At most `limit` rows from `high` down. `read` says `None` of a row that makes no sense.
    pub(super) fn take<T>(
        &self,
        mut high: i64,
        limit: usize,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<Option<T>>,
    ) -> Result<Found<T>, StoreError> {
        let mut found = Found {
            rows: Vec::new(),
            next: None,
            unreadable: 0,
        };
        let prepared = self.connection.prepare_cached(self.query);
        // A table that is not there, or whose root is gone.
        let Some(mut select) = readable(prepared.map_err(StoreError::from))? else {
            return Ok(found);
        };
        loop {
            let wanted = limit.saturating_sub(found.rows.len()).max(1);
            let ended = self.run(&mut select, &mut high, wanted, &mut found, &mut read);
            if let Some(taken) = readable(ended)? {
                found.next = (taken == wanted).then_some(high);
                return Ok(found);
            }
            let Some(next) = self.skip(&mut select, high)? else {
                found.unreadable += 1;
                return Ok(found);
            };
            let lost = high.saturating_sub(next);
            found.unreadable += if JUMP < lost { 1 } else { lost.unsigned_abs() };
            high = next;
            if limit <= found.rows.len() {
                found.next = Some(high);
                return Ok(found);
            }
        }
    }

    /// Reads rows, tells how many, and leaves in `high` where to go on, also after an error.
    fn run<T>(
        &self,
        select: &mut Statement<'_>,
        high: &mut i64,
        wanted: usize,
        found: &mut Found<T>,
        read: &mut impl FnMut(&Row<'_>) -> rusqlite::Result<Option<T>>,
    ) -> Result<usize, StoreError> {
        let mut rows = select.query((self.part, i64::MIN, *high, wanted as i64))?;
        let mut taken = 0;
        while let Some(row) = rows.next()? {
            let number: i64 = row.get(0)?;
            match readable(read(row).map_err(StoreError::from))?.flatten() {
                Some(row) => found.rows.push(row),
                None => found.unreadable += 1,
            }
            *high = number.saturating_sub(1);
            taken += 1;
        }
        Ok(taken)
    }

    /// The largest number below `bad` from which on rows can be read again.
    fn skip(&self, select: &mut Statement<'_>, mut bad: i64) -> Result<Option<i64>, StoreError> {
        let mut can_be_read = |high: i64| -> Result<bool, StoreError> {
            let mut look = || -> rusqlite::Result<()> {
                let mut rows = select.query((self.part, i64::MIN, high, 1))?;
                rows.next().map(|_| ())
            };
            Ok(readable(look().map_err(StoreError::from))?.is_some())
        };
        let start = bad;
        let mut step = 1;
        let mut good = loop {
            if bad <= 0 {
                return Ok(None);
            }
            let next = (bad - step).max(0);
            if can_be_read(next)? {
                break next;
            }
            bad = next;
            step = 1 + start.saturating_sub(bad) / SHARE;
        };
        while 1 < bad - good {
            let middle = good + (bad - good) / 2;
            if can_be_read(middle)? {
                good = middle;
            } else {
                bad = middle;
            }
        }
        Ok(Some(good))
    }
}
