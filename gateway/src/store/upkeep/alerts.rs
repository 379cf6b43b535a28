//! What becomes of the events of alerts: they go with the age of their readings, and the oldest of them when they take more than
//! their share of a budget that is spent. Those of open alerts and the last one of each sensor stay.

use rusqlite::{OptionalExtension, params};

use super::{Block, Job, ROWS_OF_A_STEP, Step, StoreError};

/// The part of the budget that they may take.
const SHARE: u64 = 4;

/// What an event takes beside its texts, in bytes.
const BYTES_BESIDE_TEXTS: u64 = 40;

/// So many of the newest say how large they are.
const SAMPLE: i64 = 64;

/// Where it is looked whether there are any.
const PROBES: i64 = 100;

impl Job<'_> {
    /// Events whose readings are gone by age, but for those of open alerts and the last one of each sensor.
    pub(super) fn alerts_go(&self, before: i64) -> Result<Vec<Step>, StoreError> {
        // Blocks are taken away oldest first: all readings before the first block that is left are gone, or wait.
        let first =
            self.number("SELECT min(number) FROM reading_block WHERE 0 < count OR packed = 0")?;
        let Some(first) = first.map(|number| Block(number).first()) else {
            return Ok(Vec::new());
        };
        let gone: Option<i64> = self
            .connection
            .prepare_cached(
                "SELECT id FROM (SELECT id, reading, ts FROM alert WHERE (SELECT alerts_gone FROM counter) < id ORDER BY id LIMIT ?1) \
                 WHERE reading < ?2 AND ts < ?3 AND id <= (SELECT alerts_saved_upto FROM counter) ORDER BY id DESC LIMIT 1",
            )?
            .query_row([ROWS_OF_A_STEP, first, before], |row| row.get(0))
            .optional()?;
        Ok(gone.map(Step::alerts).into_iter().collect())
    }

    /// The oldest, if all of them take more than their share.
    pub(super) fn alerts_over_their_share(
        &self,
        max_bytes: u64,
    ) -> Result<Option<Step>, StoreError> {
        let Some([first, last]) = self.alerts_that_may_go()? else {
            return Ok(None);
        };
        let texts: Option<f64> = self
            .connection
            .prepare_cached(
                "SELECT avg(length(rule) + length(state) + coalesce(length(severity), 0) + coalesce(length(message), 0) \
                 + coalesce(length(subject_group), 0)) FROM (SELECT * FROM alert ORDER BY id DESC LIMIT ?1)",
            )?
            .query_row([SAMPLE], |row| row.get(0))?;
        let each = BYTES_BESIDE_TEXTS + texts.unwrap_or(0.0) as u64;
        if self.count_about(first, last)? * each <= max_bytes / SHARE {
            return Ok(None);
        }
        Ok(Some(self.oldest_alerts_go([first, last])?))
    }

    /// Some of the oldest of those that may go.
    pub(super) fn oldest_alerts_go(&self, [first, last]: [i64; 2]) -> Result<Step, StoreError> {
        let saved = self.number("SELECT alerts_saved_upto FROM counter")?;
        let saved = saved.unwrap_or(0);
        // What is written behind of them is made up from the others.
        Ok(if saved < first {
            Step::save()
        } else {
            Step::alerts((first + ROWS_OF_A_STEP - 1).min(last).min(saved))
        })
    }

    /// The first and the last one that were not looked at before.
    pub(super) fn alerts_that_may_go(&self) -> Result<Option<[i64; 2]>, StoreError> {
        let first = "SELECT min(id) FROM alert WHERE (SELECT alerts_gone FROM counter) < id";
        let last = "SELECT max(id) FROM alert";
        let ends = self.number(first)?.zip(self.number(last)?);
        Ok(ends.map(|(first, last)| [first, last]))
    }

    /// How many there are between these, as far as some looks tell: after a salvage most numbers between may be missing.
    fn count_about(&self, first: i64, last: i64) -> Result<u64, StoreError> {
        let length = last - first + 1;
        let step = (length / PROBES).max(1);
        let mut next = self
            .connection
            .prepare_cached("SELECT 1 FROM alert WHERE id BETWEEN ?1 AND ?2")?;
        let (mut there, mut probes) = (0, 0);
        let mut at = first;
        while at <= last {
            // One that is missing between its neighbours makes no gap.
            let upto = (at + ROWS_OF_A_STEP).min(at + step - 1);
            there += u64::from(next.exists(params![at, upto])?);
            probes += 1;
            at += step;
        }
        Ok(length.unsigned_abs() * there / probes.max(1))
    }
}
