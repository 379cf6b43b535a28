//! Going through the stored past from its beginning, for all of it or for a sensor and a time, in bounded memory.

use super::reading_pages::page_between;
use super::{History, ReadingQuery, StoreError};
use crate::domain::reading::{ReadingId, StoredReading};
use crate::domain::sensor::SensorId;
use crate::domain::timestamp::Timestamp;

/// Ids that are looked at together: a block of the index, where nothing speaks against it.
const SPAN: i64 = 1 << 15;
/// Where nothing is found the next look goes further.
const LONGEST_SPAN: i64 = 1 << 20;

/// Readings that are in memory at once: up to about so many bytes, and so many.
const BYTES_AT_ONCE: usize = 4 << 20;
const READINGS_AT_ONCE: usize = SPAN as usize;

/// Some of the past, oldest first. What comes meanwhile is not of it.
#[derive(Debug)]
pub struct Extract {
    history: History,
    query: ReadingQuery,
    first: i64,
    next: i64,
    last: i64,
    span: i64,
}

impl Extract {
    /// Readings of a sensor, or of all, from a time on and before another.
    pub fn new(
        history: History,
        sensor_id: Option<SensorId>,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> Result<Self, StoreError> {
        let all = history.range(Timestamp::from_millis(i64::MIN))?;
        let (first, last) = all.map_or((1, 0), |(first, last)| (first.0, last.0));
        Ok(Self {
            history,
            query: ReadingQuery {
                sensor_id,
                from,
                to,
                max_bytes: BYTES_AT_ONCE,
                ..ReadingQuery::newest(READINGS_AT_ONCE)
            },
            first,
            next: first,
            last,
            span: SPAN,
        })
    }

    /// The next of them, oldest first; they may be none. `None` at the end.
    pub fn next_page(&mut self) -> Result<Option<Vec<StoredReading>>, StoreError> {
        while self.next <= self.last {
            // Spans are powers of two and end where blocks do.
            let upto = (self.next | (self.span - 1)).min(self.last);
            let ids = (ReadingId(self.next), ReadingId(upto));
            let page = page_between(self.history.connection(), &self.query, ids)?;
            // Pages begin with the newest: of one that is too large the older half comes first.
            if page.next.is_some() && self.next < upto {
                self.span /= 2;
                continue;
            }
            self.next = upto + 1;
            let most = if page.readings.is_empty() {
                LONGEST_SPAN
            } else {
                SPAN
            };
            self.span = (self.span * 2).min(most);
            let mut readings = page.readings;
            readings.reverse();
            return Ok(Some(readings));
        }
        Ok(None)
    }

    /// How far it is, and how far it goes, in ids.
    pub fn progress(&self) -> (i64, i64) {
        (self.next - self.first, self.last + 1 - self.first)
    }
}
