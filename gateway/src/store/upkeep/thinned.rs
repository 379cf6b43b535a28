//! Which times have been thinned, and to what.

use rusqlite::params;

use crate::domain::timestamp::Timestamp;
use crate::store::{Reader, StoreError};

/// A time of which only what readings come to is left, but for those that are tagged or wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thinned {
    pub from: Timestamp,
    /// The first time behind it.
    pub to: Timestamp,
    /// The width of its intervals, in milliseconds.
    pub interval_ms: i64,
}

impl Reader {
    /// The thinned parts of a time, oldest first; parts of the same resolution that meet are one. What is in none of them is as it
    /// came.
    pub fn thinned(
        &self,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> Result<Vec<Thinned>, StoreError> {
        let from = from.map_or(i64::MIN, Timestamp::millis);
        let to = to.map_or(i64::MAX, Timestamp::millis);
        self.with_connection(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT min_ts, max_ts + 1, interval FROM summary_block \
                 WHERE ?1 <= max_ts AND min_ts < ?2 ORDER BY interval DESC, min_ts",
            )?;
            let rows = select.query_map(params![from, to], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
            let mut found: Vec<Thinned> = Vec::new();
            for row in rows {
                let (begin, end, interval_ms): (i64, i64, i64) = row?;
                let (begin, end) = (begin.max(from), end.min(to));
                match found.last_mut() {
                    Some(last) if last.interval_ms == interval_ms && begin <= last.to.millis() => {
                        last.to = last.to.max(Timestamp::from_millis(end));
                    }
                    _ => found.push(Thinned {
                        from: Timestamp::from_millis(begin),
                        to: Timestamp::from_millis(end),
                        interval_ms,
                    }),
                }
            }
            found.sort_by_key(|thinned| thinned.from);
            Ok(found)
        })
    }
}
