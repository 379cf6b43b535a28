//! What is done with readings as they grow old, a small step with each commit: they are packed when they are a day old, go when
//! they are older than `keep`, and make room when the budget is spent.
//!
//! Who looks after the store asks what is to be done next, has it written step by step, and asks again. A job whose steps were
//! not all written is found again, from wherever it stood. What waits for an uplink or is a dead letter is never touched by age,
//! and by the budget only when there is nothing else.

mod alerts;
mod arrived;
mod room;
mod steps;
mod thinned;

use rusqlite::{Connection, OptionalExtension};

use self::arrived::{Arrived, CLOCK_WAS_SET};
pub use self::room::Room;
pub use self::steps::{Removed, Step};
pub use self::thinned::Thinned;
use super::blocks::{self, Block, Columns, Fate, Rewritten};
use super::clock_spans::{self, ClockChange};
use super::{Reader, StoreError, salvage};
use crate::config::WhenFull;
use crate::domain::timestamp::Timestamp;

/// Rows stay for a day at least, if there is room: the view `readings` has them so long.
const ROWS_STAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The widths of intervals to which readings are thinned, in milliseconds.
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// Parts of the budget that minutes and hours may take; the rest is for readings.
const SHARE_OF_MINUTES: u64 = 4;
const SHARE_OF_HOURS: u64 = 8;

/// So many units of minutes become one of hours.
const UNITS_AT_ONCE: i64 = 64;

/// A unit of hours takes more in until it is so long, in milliseconds, or has so many bytes: on a busy site 64 blocks may be half
/// an hour.
const LONG_UNIT: i64 = 24 * HOUR;
const LARGE_UNIT: i64 = 256 << 10;

/// So many rejects, newest first, make room after everything else.
const KEPT_REJECTS: i64 = 1000;

/// Rows that leave with one group.
const ROWS_OF_A_STEP: i64 = 1024;

/// Where all rows are in batches or refused, the next are looked at, so many times.
const WINDOWS: usize = 1000;

/// Blocks that were waited for are looked at again so many at a time.
const LOOKED_AT_AGAIN: i64 = 8;

/// What the store may keep.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// In milliseconds; `None`: for ever.
    pub keep: Option<i64>,
    pub max_bytes: u64,
    pub when_full: WhenFull,
}

impl Reader {
    /// What is to be done next, in the order in which it is to be written; nothing if there is nothing to do. Looks through a
    /// block of readings. Without a time nothing is done because of its age.
    pub fn upkeep(&self, now: Option<Timestamp>, limits: &Limits) -> Result<Vec<Step>, StoreError> {
        let room = self.room(limits.max_bytes)?;
        self.with_connection(|connection| {
            let _transaction = connection.unchecked_transaction()?;
            let job = Job { connection };
            if let Some(block) = job.first_block("packed = 1")? {
                let steps = blocks::steps_to_clear(connection, block)?;
                return Ok(steps.into_iter().map(Step::packing).collect());
            }
            if let Some(now) = now.map(Timestamp::millis) {
                if let Some(keep) = limits.keep {
                    let steps = job.age(now.saturating_sub(keep), now)?;
                    if !steps.is_empty() {
                        return Ok(steps);
                    }
                }
                let steps = job.pack(Some(now))?;
                if !steps.is_empty() {
                    return Ok(steps);
                }
            }
            if !room.is_scarce() {
                return Ok(room
                    .to_give_back()
                    .map(Step::give_back)
                    .into_iter()
                    .collect());
            }
            match limits.when_full {
                WhenFull::Refuse => Ok(Vec::new()),
                WhenFull::DropOldest => job.drop_oldest(limits.max_bytes),
                WhenFull::Thin => job.thin(limits.max_bytes),
            }
        })
    }
}

struct Job<'c> {
    connection: &'c Connection,
}

impl Job<'_> {
    fn first_block(&self, which: &str) -> Result<Option<Block>, StoreError> {
        let select = format!("SELECT min(number) FROM reading_block WHERE {which}");
        Ok(self.number(&select)?.map(Block))
    }

    fn number(&self, select: &str) -> Result<Option<i64>, StoreError> {
        let mut select = self.connection.prepare_cached(select)?;
        Ok(select.query_row([], |row| row.get(0))?)
    }

    /// Packs the oldest block that is full and not packed, if at this time its last reading came a day ago or more.
    fn pack(&self, now: Option<i64>) -> Result<Vec<Step>, StoreError> {
        let Some(block) = self.first_block("packed = 0")? else {
            return Ok(Vec::new());
        };
        // What is written behind of sensors is made up from rows.
        let saved_upto = self.number("SELECT sensors_saved_upto FROM counter")?;
        if saved_upto < Some(block.last()) {
            let is_pressed = now.is_none();
            return Ok(is_pressed.then(Step::save).into_iter().collect());
        }
        let newest: Option<i64> = self
            .connection
            .prepare_cached(
                "SELECT ts + delay FROM reading WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT 1",
            )?
            .query_row([block.first(), block.last()], |row| row.get(0))
            .optional()?;
        // One that came much later than now came by a clock that was wrong.
        if newest.zip(now).is_some_and(|(newest, now)| {
            (now - ROWS_STAY_MS..=now + ROWS_STAY_MS).contains(&newest)
        }) {
            return Ok(Vec::new());
        }
        if clock_spans::first_unsettled(self.connection)?.is_some_and(|first| first <= block.last())
        {
            // What is packed is not put right any more; without room that is the smaller harm.
            let gives_up = now.is_none().then_some(ClockChange::GiveUp(block.last()));
            return Ok(gives_up.map(Step::clock).into_iter().collect());
        }
        let steps = blocks::steps_to_pack(self.connection, block)?;
        Ok(steps.into_iter().map(Step::packing).collect())
    }

    /// Takes away what came before this time, oldest first.
    fn age(&self, before: i64, now: i64) -> Result<Vec<Step>, StoreError> {
        let is_aged = |found: Option<Arrived>| -> Result<Option<Block>, StoreError> {
            let Some(found) = found else { return Ok(None) };
            let at = found.at_or_later(self.connection, now)?;
            Ok(at.is_some_and(|at| at < before).then_some(found.first))
        };
        let oldest = Arrived::oldest(self.connection, "2 <= packed AND 0 < count")?;
        if let Some(block) = is_aged(oldest)? {
            return self.rewrite(block, Removed::Aged, |_| Fate::Remove);
        }
        if let Some(first) = is_aged(Arrived::oldest_unit(self.connection)?)? {
            return Ok(vec![self.unit_goes(first)?]);
        }
        if let Some(block) = self.no_longer_waited_for(before)? {
            return self.rewrite(block, Removed::Aged, |_| Fate::Remove);
        }
        // Those that came while the clock had not been set go when there is no room.
        let rejects = format!(
            "SELECT min(id) FROM reject WHERE received_at < {before} AND {CLOCK_WAS_SET} <= received_at"
        );
        if let Some(first) = self.number(&rejects)? {
            return Ok(vec![Step::rejects(first + ROWS_OF_A_STEP - 1, before)]);
        }
        self.alerts_go(before)
    }

    /// An old block of which only rows are left, and none of them waits any more.
    fn no_longer_waited_for(&self, before: i64) -> Result<Option<Block>, StoreError> {
        let select = format!(
            "SELECT number FROM reading_block WHERE 2 <= packed AND count = 0 AND newest_at < {before} \
             AND ({CLOCK_WAS_SET} <= newest_at OR number < coalesce((SELECT min(number) FROM reading_block WHERE 0 < count), 0)) \
             ORDER BY number LIMIT {LOOKED_AT_AGAIN}"
        );
        let mut select = self.connection.prepare_cached(&select)?;
        let numbers = select.query_map([], |row| row.get(0))?;
        for number in numbers.collect::<Result<Vec<i64>, _>>()? {
            if !blocks::is_waited_for(self.connection, Block(number))? {
                return Ok(Some(Block(number)));
            }
        }
        Ok(None)
    }

    fn drop_oldest(&self, max_bytes: u64) -> Result<Vec<Step>, StoreError> {
        if let Some(steps) = self.common_room(max_bytes)? {
            return Ok(steps);
        }
        if let Some(block) = self.first_block("2 <= packed AND 0 < count")? {
            return self.rewrite(block, Removed::Dropped, |_| Fate::Remove);
        }
        // They may be there from when readings were thinned.
        if let Some(first) = self.number("SELECT min(first) FROM summary_block")? {
            return Ok(vec![self.unit_goes(Block(first))?]);
        }
        self.last_resort()
    }

    fn thin(&self, max_bytes: u64) -> Result<Vec<Step>, StoreError> {
        if let Some(steps) = self.common_room(max_bytes)? {
            return Ok(steps);
        }
        let (minutes, hours) = (self.bytes_of(MINUTE)?, self.bytes_of(HOUR)?);
        if max_bytes / SHARE_OF_HOURS < hours {
            return self.oldest_unit_goes(HOUR);
        }
        if max_bytes / SHARE_OF_MINUTES < minutes {
            return self.minutes_become_hours();
        }
        if let Some(block) = self.first_block("packed = 2 AND 0 < count")? {
            let is_plain = |columns: &Columns| columns.tags.is_none();
            return self.rewrite(block, Removed::Thinned, |columns| {
                if is_plain(columns) {
                    Fate::Thin
                } else {
                    Fate::Keep
                }
            });
        }
        for (bytes, go) in [
            (minutes, Self::minutes_become_hours as fn(&Self) -> _),
            (hours, |job: &Self| job.oldest_unit_goes(HOUR)),
        ] {
            if 0 < bytes {
                return go(self);
            }
        }
        if let Some(block) = self.first_block("packed = 3 AND 0 < count")? {
            return self.rewrite(block, Removed::Dropped, |_| Fate::Remove);
        }
        self.last_resort()
    }

    /// What makes room and costs nobody anything, or only events beyond their share and what could not be read anyhow.
    fn common_room(&self, max_bytes: u64) -> Result<Option<Vec<Step>>, StoreError> {
        let steps = self.pack(None)?;
        if !steps.is_empty() {
            return Ok(Some(steps));
        }
        // While readings of damaged stores still come back, no block is known to be full.
        if !salvage::is_running(self.connection)?
            && let Some(block) = blocks::first_unindexed(self.connection)?
        {
            return Ok(Some(vec![Step::index(block)]));
        }
        if let Some(step) = self.alerts_over_their_share(max_bytes)? {
            return Ok(Some(vec![step]));
        }
        let old = format!("SELECT id FROM reject ORDER BY id DESC LIMIT 1 OFFSET {KEPT_REJECTS}");
        let mut old = self.connection.prepare_cached(&old)?;
        if let Some(last) = old.query_row([], |row| row.get::<_, i64>(0)).optional()?
            && let Some(first) = self.number("SELECT min(id) FROM reject")?
        {
            let upto = last.min(first + ROWS_OF_A_STEP - 1);
            return Ok(Some(vec![Step::rejects(upto, i64::MAX)]));
        }
        Ok(None)
    }

    /// Only events, what is not delivered and what has just come is left: the oldest of it goes, some rows at a time.
    fn last_resort(&self) -> Result<Vec<Step>, StoreError> {
        if let Some(ends) = self.alerts_that_may_go()? {
            return Ok(vec![self.oldest_alerts_go(ends)?]);
        }
        let mut first = 0;
        for _ in 0..WINDOWS {
            let Some(found) = blocks::first_row_from(self.connection, first)? else {
                break;
            };
            let last = found + ROWS_OF_A_STEP - 1;
            if let Some(step) = Step::rows(self.connection, found, last)? {
                return Ok(vec![step]);
            }
            first = last + 1;
        }
        Ok(Vec::new())
    }

    fn bytes_of(&self, interval: i64) -> Result<u64, StoreError> {
        let select = format!(
            "SELECT coalesce(sum(bytes), 0) FROM summary_block WHERE interval = {interval}"
        );
        Ok(self.number(&select)?.unwrap_or(0).unsigned_abs())
    }

    fn minutes_become_hours(&self) -> Result<Vec<Step>, StoreError> {
        let select = format!(
            "SELECT first FROM summary_block WHERE interval = {MINUTE} ORDER BY first LIMIT {UNITS_AT_ONCE}"
        );
        let mut select = self.connection.prepare_cached(&select)?;
        let firsts = select.query_map([], |row| Ok(Block(row.get(0)?)))?;
        let mut firsts: Vec<Block> = firsts.collect::<Result<_, _>>()?;
        if let Some(Block(first)) = firsts.first() {
            let last_hours = format!(
                "SELECT min(first) FROM (SELECT first, max_ts - min_ts AS length, bytes FROM summary_block \
                 WHERE interval = {HOUR} AND first < {first} ORDER BY first DESC LIMIT 1) \
                 WHERE length < {LONG_UNIT} AND bytes < {LARGE_UNIT}"
            );
            if let Some(first) = self.number(&last_hours)? {
                firsts.insert(0, Block(first));
            }
        }
        let merged = blocks::merge(self.connection, &firsts, HOUR)?;
        Ok(merged.map(Step::merged).into_iter().collect())
    }

    fn oldest_unit_goes(&self, interval: i64) -> Result<Vec<Step>, StoreError> {
        let select = format!("SELECT min(first) FROM summary_block WHERE interval = {interval}");
        match self.number(&select)? {
            Some(first) => Ok(vec![self.unit_goes(Block(first))?]),
            None => Ok(Vec::new()),
        }
    }

    fn unit_goes(&self, first: Block) -> Result<Step, StoreError> {
        let last = self
            .connection
            .prepare_cached("SELECT last FROM summary_block WHERE first = ?1")?
            .query_row([first.0], |row| row.get(0))?;
        Ok(Step::unit_goes(first, Block(last)))
    }

    fn rewrite(
        &self,
        block: Block,
        why: Removed,
        fate: impl Fn(&Columns) -> Fate,
    ) -> Result<Vec<Step>, StoreError> {
        let rewritten: Rewritten = blocks::rewrite(self.connection, block, MINUTE, fate)?;
        Ok(vec![Step::rewritten(rewritten, why)])
    }
}
