//! Rows by a whole number, from the largest down, around what cannot be read.
//!
//! Where a page is damaged, every look for a number that it would have fails. Further down is looked in steps that grow with what is
//! lost already, and the first number that can be read again is found by halving the last step: so a page of the tree's leaves costs
//! some ten looks, a branch of a million numbers some hundreds, and what lies between two damaged pages is found unless it is small
//! beside them.

use std::mem;

use rusqlite::{Connection, Row, Statement, ToSql};

use super::source::readable;
use crate::store::StoreError;

/// A step is this part of what is lost.
const SHARE: i64 = 64;
/// So many rows in a row that make no sense are what they seem; of fewer, as of a page that is half lost, the numbers make none either.
/// More than a page of 4 KiB has, of which one takes at least six bytes.
const SENSELESS: usize = 4096 / 6;
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
            if let Some(is_end) = readable(ended)?.flatten() {
                found.next = (!is_end).then_some(high);
                return Ok(found);
            }
            let Some(next) = self.skip(&mut select, high, &mut read)? else {
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

    /// Reads rows, tells whether those were the last, and leaves in `high` where to go on, also after an error. `None`: they are not in
    /// their order, as where a page leads to another one than it should.
    fn run<T>(
        &self,
        select: &mut Statement<'_>,
        high: &mut i64,
        wanted: usize,
        found: &mut Found<T>,
        read: &mut impl FnMut(&Row<'_>) -> rusqlite::Result<Option<T>>,
    ) -> Result<Option<bool>, StoreError> {
        let most = wanted + SENSELESS;
        let mut rows = select.query((self.part, i64::MIN, *high, most as i64))?;
        let (mut taken, mut senseless, mut last, mut lowest) = (0, 0, *high, *high);
        while let Some(row) = rows.next()? {
            let number: i64 = row.get(0)?;
            if last < number {
                return Ok(None);
            }
            taken += 1;
            lowest = number.saturating_sub(1);
            let Some(row) = readable(read(row).map_err(StoreError::from))?.flatten() else {
                senseless += 1;
                continue;
            };
            found.rows.push(row);
            found.unreadable += mem::take(&mut senseless);
            (last, *high) = (number, lowest);
            if wanted <= taken {
                return Ok(Some(false));
            }
        }
        found.unreadable += senseless;
        *high = lowest;
        Ok(Some(taken < most))
    }

    /// The largest number below `bad` from which on rows can be read again, and make sense.
    fn skip<T>(
        &self,
        select: &mut Statement<'_>,
        mut bad: i64,
        read: &mut impl FnMut(&Row<'_>) -> rusqlite::Result<Option<T>>,
    ) -> Result<Option<i64>, StoreError> {
        let mut can_be_read = |high: i64| -> Result<bool, StoreError> {
            let mut look = || -> rusqlite::Result<bool> {
                let mut rows = select.query((self.part, i64::MIN, high, 1))?;
                let Some(row) = rows.next()? else {
                    return Ok(true);
                };
                Ok(row.get::<_, i64>(0)? <= high && read(row)?.is_some())
            };
            Ok(readable(look().map_err(StoreError::from))? == Some(true))
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ROWS: i64 = 2000;

    fn numbers(connection: &Connection, limit: usize) -> Vec<i64> {
        let query = "SELECT id, v FROM t WHERE ?1 IS NOT NULL AND id BETWEEN ?2 AND ?3 ORDER BY id DESC LIMIT ?4";
        let descent = Descent::new(connection, query, &0);
        let (mut all, mut high) = (Vec::new(), Some(i64::MAX));
        while let Some(from) = high {
            let read = |row: &Row<'_>| {
                let text: Option<String> = row.get(1)?;
                text.map(|_| row.get::<_, i64>(0)).transpose()
            };
            let found = descent.take(from, limit, read).unwrap();
            all.extend(found.rows);
            high = found.next;
        }
        all
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a store of nobody")]
    fn of_a_leaf_that_is_half_lost_nothing_is_lost_but_its_own_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "page_size", 1024).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT NOT NULL); \
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) \
                 INSERT INTO t SELECT i, 'a row with number ' || i FROM n",
            )
            .unwrap();
        let leaves: Vec<(u32, u32)> = {
            let leaves = "SELECT pageno, ncell FROM dbstat WHERE name = 't' AND pagetype = 'leaf'";
            let mut leaves = connection.prepare(leaves).unwrap();
            let leaves = leaves.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
            leaves.unwrap().map(Result::unwrap).collect()
        };
        assert!(40 < leaves.len());
        drop(connection);
        let whole = fs::read(&path).unwrap();
        for (page, rows) in leaves {
            // Of the list of the cells' places, and of the cells, from both ends.
            for lost in [296..1024, 30..1024, 0..512, 512..1024] {
                let mut spoiled = whole.clone();
                let at = (page as usize - 1) * 1024;
                spoiled[at + lost.start..at + lost.end].fill(0);
                fs::write(&path, spoiled).unwrap();
                let connection = Connection::open(&path).unwrap();
                for limit in [1, 7, 1000] {
                    let found = numbers(&connection, limit);
                    assert!(found.is_sorted_by(|a, b| b < a), "{found:?}");
                    let missing = ROWS as usize - found.len();
                    assert!(
                        missing <= rows as usize,
                        "{missing} of {rows}: page {page}, {lost:?}, {limit}"
                    );
                }
            }
        }
    }
}
