//! Readings that were taken while the clock was not trusted: marked by ranges of their ids, and put right once, when it is.
//!
//! Within a boot the monotonic clock counts on, so that the difference of two offsets of the wall clock is what the times of a range
//! are wrong by. `received_at` is always the gateway's; `ts` is where it is the same. What is in a batch, or has been, keeps its
//! times: the same key is the same bytes. So does what was packed meanwhile.
//!
//! Absent on purpose: anything that is written for a reading, or for a range, while the clock is trusted.

mod mark;
mod unsettled;

use rusqlite::{Connection, OptionalExtension, params};

pub use self::mark::ClockMark;
use self::unsettled::Unsettled;
pub(super) use self::unsettled::first_unsettled;
use super::{StoreError, blocks};
use crate::clock::{self, Known, Left, STEP, Standing, Trust};
use crate::domain::reading::ReadingId;
use crate::domain::timestamp::Timestamp;

/// Rows that are put right with one group. A block has a multiple of it.
const ROWS_OF_A_SLICE: i64 = 4096;

/// What has waited for so long to be put right stays as it is, in milliseconds: it is to be packed some day.
const LONGEST_WAIT: i64 = 7 * 24 * 60 * 60 * 1000;

/// What is written of the clock: plain data.
#[derive(Clone, Debug)]
pub enum ClockChange {
    /// The gateway has started: ranges that went on end with this reading, and those of other boots are settled.
    Start {
        standing: Standing,
        last: ReadingId,
    },
    /// How the clock stands from now on.
    Stand(Standing),
    /// From this reading on it is not trusted.
    Open {
        first: ReadingId,
        offset: i64,
    },
    Close {
        first: ReadingId,
        last: ReadingId,
    },
    /// Readings of a range are to be put right by so much.
    Begin {
        first: ReadingId,
        from: ReadingId,
        shift: i64,
    },
    Slice(TimesSlice),
    /// What has waited up to this reading stays as it is.
    GiveUp(i64),
    /// Nothing of this range is to be changed any more.
    Settle(ReadingId),
}

/// Rows of one block that are put right.
#[derive(Clone, Copy, Debug)]
pub struct TimesSlice {
    /// The first of its range.
    span: i64,
    from: i64,
    to: i64,
    shift: i64,
    /// Of which the index is to be written anew.
    is_of_full_block: bool,
}

/// A range that is to be put right, slice by slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutRight {
    pub first: ReadingId,
    /// What is left of it.
    pub from: ReadingId,
    pub last: ReadingId,
    pub shift: i64,
    pub has_begun: bool,
}

impl PutRight {
    /// Takes the next slice off; `None`: nothing is left. `newest`: the last reading of the group that it goes into.
    pub fn next_slice(&mut self, newest: ReadingId) -> Option<TimesSlice> {
        let (from, last) = (self.from.0, self.last.0);
        if last < from {
            return None;
        }
        let block = blocks::Block::of(from);
        let to = (from / ROWS_OF_A_SLICE * ROWS_OF_A_SLICE + ROWS_OF_A_SLICE - 1).min(last);
        self.from = ReadingId(to + 1);
        Some(TimesSlice {
            span: self.first.0,
            from,
            to,
            shift: self.shift,
            is_of_full_block: block.last() <= newest.0,
        })
    }
}

impl TimesSlice {
    /// The last of its readings.
    pub fn last(&self) -> ReadingId {
        ReadingId(self.to)
    }

    /// How many ids it has; not all of them need be there.
    pub fn readings(&self) -> i64 {
        self.to - self.from + 1
    }

    fn write(&self, connection: &Connection) -> Result<(), StoreError> {
        let block = blocks::Block::of(self.from);
        if !blocks::is_packed(connection, block)? {
            let mut from = self.from;
            for [first, last] in kept(connection, self.from, self.to)? {
                shift(connection, from, first - 1, self.shift)?;
                from = last + 1;
            }
            shift(connection, from, self.to, self.shift)?;
            blocks::index_anew(connection, block, self.to, self.is_of_full_block)?;
        }
        connection
            .prepare_cached("UPDATE clock_span SET put_right_upto = ?2 WHERE first = ?1")?
            .execute([self.span, self.to])?;
        Ok(())
    }
}

impl ClockChange {
    pub(super) fn write(&self, connection: &Connection) -> Result<(), StoreError> {
        match self {
            Self::Start { standing, last } => {
                connection.execute(
                    "UPDATE clock_span SET last = ?1 WHERE last IS NULL",
                    [last.0],
                )?;
                connection.execute(
                    "UPDATE clock_span SET settled = 1 WHERE shift IS NULL AND boot <> ?1",
                    [clock::boot_id()],
                )?;
                stand(connection, standing)?;
            }
            Self::Stand(standing) => stand(connection, standing)?,
            Self::Open { first, offset } => {
                connection.execute(
                    "INSERT INTO clock_span (first, boot, clock_offset) VALUES (?1, ?2, ?3)",
                    params![first.0, clock::boot_id(), offset],
                )?;
            }
            Self::Close { first, last } => {
                connection.execute(
                    "UPDATE clock_span SET last = ?2 WHERE first = ?1",
                    [first.0, last.0],
                )?;
            }
            Self::Begin { first, from, shift } => {
                connection.execute(
                    "UPDATE clock_span SET shift = ?2, put_right_from = ?3, put_right_upto = ?3 - 1 WHERE first = ?1",
                    [first.0, *shift, from.0],
                )?;
            }
            Self::Slice(slice) => slice.write(connection)?,
            Self::GiveUp(upto) => {
                connection.execute(
                    "UPDATE clock_span SET put_right_from = ?1 + 1 WHERE settled = 0 AND shift IS NULL AND first <= ?1",
                    [upto],
                )?;
            }
            Self::Settle(first) => {
                connection.execute(
                    "UPDATE clock_span SET settled = 1 WHERE first = ?1",
                    [first.0],
                )?;
            }
        }
        Ok(())
    }
}

fn stand(connection: &Connection, standing: &Standing) -> Result<(), StoreError> {
    connection.execute(
        "INSERT OR REPLACE INTO clock (one, boot, clock_offset, trust) VALUES (1, ?1, ?2, ?3)",
        params![clock::boot_id(), standing.offset, standing.trust.as_str()],
    )?;
    Ok(())
}

fn shift(connection: &Connection, from: i64, to: i64, by: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE reading SET ts = ts + iif(delay = 0, ?3, 0), delay = delay + iif(delay = 0, 0, ?3) \
             WHERE id BETWEEN ?1 AND ?2",
        )?
        .execute([from, to, by])?;
    Ok(())
}

/// Runs of readings between these that keep their times.
fn kept(connection: &Connection, from: i64, to: i64) -> Result<Vec<[i64; 2]>, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT max(first, ?1), min(last, ?2) FROM clock_kept \
         WHERE first <= ?2 AND ?1 <= last ORDER BY first",
    )?;
    let runs = select.query_map([from, to], |row| Ok([row.get(0)?, row.get(1)?]))?;
    Ok(runs.collect::<Result<_, _>>()?)
}

/// Readings that go into a batch keep their times from now on.
pub(super) fn keep(connection: &Connection, readings: &[ReadingId]) -> Result<(), StoreError> {
    let Some(first) = first_unsettled(connection)? else {
        return Ok(());
    };
    let unsettled = &readings[readings.partition_point(|id| id.0 < first)..];
    let mut insert = connection
        .prepare_cached("INSERT OR REPLACE INTO clock_kept (first, last) VALUES (?1, ?2)")?;
    for run in unsettled.chunk_by(|a, b| a.0 + 1 == b.0) {
        insert.execute([run[0].0, run[run.len() - 1].0])?;
    }
    Ok(())
}

/// What is known of the clock at start.
pub(super) fn known(connection: &Connection) -> Result<Known, StoreError> {
    Ok(Known {
        left: left(connection)?,
        newest: newest_trusted(connection)?,
    })
}

/// How the clock stood when it was last looked at.
pub(super) fn left(connection: &Connection) -> Result<Option<Left>, StoreError> {
    let left = connection
        .query_row("SELECT boot, clock_offset, trust FROM clock", [], |row| {
            let trust: Box<str> = row.get(2)?;
            Ok(Left {
                boot: row.get(0)?,
                offset: row.get(1)?,
                trust: Trust::named(&trust).unwrap_or(Trust::Unsynchronised),
            })
        })
        .optional()?;
    Ok(left)
}

fn newest_trusted(connection: &Connection) -> Result<Option<Timestamp>, StoreError> {
    let mut row = connection.prepare_cached(
        "SELECT id, ts + delay FROM reading WHERE id < ?1 ORDER BY id DESC LIMIT 1",
    )?;
    let mut span = connection.prepare_cached(
        "SELECT first FROM clock_span WHERE first <= ?1 AND (last IS NULL OR ?1 <= last) \
         AND (shift IS NULL OR settled = 0) ORDER BY first DESC LIMIT 1",
    )?;
    let mut below = i64::MAX;
    loop {
        let found: Option<(i64, i64)> = row
            .query_row([below], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((id, received_at)) = found else {
            return Ok(None);
        };
        match span.query_row([id], |row| row.get(0)).optional()? {
            Some(first) => below = first,
            None => return Ok(Some(Timestamp::from_millis(received_at))),
        }
    }
}

/// Ranges that can be put right now that the clock stands at this offset, and what of them is left to be.
pub(super) fn to_put_right(
    connection: &Connection,
    standing: Standing,
) -> Result<Vec<PutRight>, StoreError> {
    let mut found = Vec::new();
    for span in Unsettled::all(connection)? {
        let Some(last) = span.last else { continue };
        let has_begun = span.shift.is_some();
        let can_begin = span.is_of_boot && standing.trust.is_trusted();
        if !has_begun && !can_begin {
            continue;
        }
        let shift = span.shift.unwrap_or(standing.offset - span.offset);
        let is_worth_it = STEP <= shift.abs();
        let from = span.first_within(connection, LONGEST_WAIT)?;
        found.push(PutRight {
            first: ReadingId(span.first),
            from: ReadingId(from.filter(|_| is_worth_it).unwrap_or(last + 1)),
            last: ReadingId(last),
            shift,
            has_begun,
        });
    }
    Ok(found)
}

/// How many readings keep their times because the machine was started anew before its clock was trusted.
pub(super) fn left_behind(connection: &Connection) -> Result<i64, StoreError> {
    let count = connection.query_row(
        "SELECT coalesce(sum(coalesce(last, (SELECT reading FROM counter)) - first + 1), 0) FROM clock_span \
         WHERE settled = 0 AND shift IS NULL AND boot <> ?1",
        [clock::boot_id()],
        |row| row.get(0),
    )?;
    Ok(count)
}
