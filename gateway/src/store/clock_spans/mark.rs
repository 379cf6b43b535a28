//! What the clock was for one reading.

use rusqlite::OptionalExtension;

use super::kept;
use crate::domain::reading::{ReadingId, StoredReading};
use crate::domain::timestamp::Timestamp;
use crate::store::{Reader, StoreError};

/// What the clock was for a reading that was taken while it was not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockMark {
    /// It is put right when the clock is trusted.
    Waits,
    /// So many milliseconds were added.
    PutRight(i64),
    /// It has its times of then, and keeps them.
    Left,
}

impl Reader {
    /// What the clock was for a reading; `None`: it was trusted.
    pub fn clock_mark(&self, id: ReadingId) -> Result<Option<ClockMark>, StoreError> {
        self.with_connection(|connection| {
            let found = connection
                .prepare_cached(
                    "SELECT shift, put_right_from, put_right_upto, settled FROM clock_span \
                     WHERE first <= ?1 AND (last IS NULL OR ?1 <= last) ORDER BY first DESC LIMIT 1",
                )?
                .query_row([id.0], |row| {
                    let number = |column| row.get::<_, Option<i64>>(column);
                    Ok((number(0)?, number(1)?, number(2)?, row.get(3)?))
                })
                .optional()?;
            let Some((shift, from, upto, is_settled)) = found else {
                return Ok(None);
            };
            let is_kept = !kept(connection, id.0, id.0)?.is_empty();
            let mark = match (shift, from, upto) {
                _ if is_kept => ClockMark::Left,
                (None, Some(from), _) if id.0 < from => ClockMark::Left,
                (Some(shift), Some(from), Some(upto)) if (from..=upto).contains(&id.0) => {
                    ClockMark::PutRight(shift)
                }
                (Some(_), Some(from), _) if id.0 < from => ClockMark::Left,
                _ if is_settled => ClockMark::Left,
                _ => ClockMark::Waits,
            };
            Ok(Some(mark))
        })
    }
}

impl ClockMark {
    /// When the clock of then said that a reading was measured, and that it arrived.
    pub fn times_of_then(self, reading: &StoredReading) -> (Timestamp, Timestamp) {
        let Self::PutRight(shift) = self else {
            return (reading.ts, reading.received_at);
        };
        let before = |time: Timestamp| Timestamp::from_millis(time.millis() - shift);
        let received_at = before(reading.received_at);
        if reading.ts == reading.received_at {
            (received_at, received_at)
        } else {
            (reading.ts, received_at)
        }
    }
}
