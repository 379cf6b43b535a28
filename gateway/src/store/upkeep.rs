//! What is done with readings as they grow old, a small step with each commit: packing (`blocks::packed`).
//!
//! Who looks after the store asks what is to be done next, has it written step by step, and asks again. A job whose steps were
//! not all written is found again, from wherever it stood.

use rusqlite::{Connection, OptionalExtension};

use super::blocks::{self, Block, PackingStep};
use super::{Reader, StoreError};
use crate::domain::timestamp::Timestamp;

/// Rows stay for a day at least: the view `readings` has them so long.
const ROWS_STAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A part of the upkeep that one group writes: plain data.
#[derive(Clone, Debug)]
pub struct Step(What);

#[derive(Clone, Debug)]
enum What {
    Packing(PackingStep),
}

impl Step {
    pub(super) fn write(&self, connection: &Connection) -> Result<(), StoreError> {
        match &self.0 {
            What::Packing(step) => step.write(connection),
        }
    }
}

impl Reader {
    /// What is to be done next, in the order in which it is to be written; nothing if there is nothing to do. Looks through a
    /// block of readings.
    pub fn upkeep(&self, now: Timestamp) -> Result<Vec<Step>, StoreError> {
        self.with_connection(|connection| {
            let _transaction = connection.unchecked_transaction()?;
            if let Some(block) = first_block(connection, "packed = 1")? {
                let steps = blocks::steps_to_clear(connection, block)?;
                return Ok(steps.into_iter().map(packing).collect());
            }
            if let Some(block) = first_block(connection, "packed = 0")?
                && is_old(connection, block, now)?
            {
                let steps = blocks::steps_to_pack(connection, block)?;
                return Ok(steps.into_iter().map(packing).collect());
            }
            Ok(Vec::new())
        })
    }
}

fn packing(step: PackingStep) -> Step {
    Step(What::Packing(step))
}

fn first_block(connection: &Connection, which: &str) -> Result<Option<Block>, StoreError> {
    let select = format!("SELECT min(number) FROM reading_block WHERE {which}");
    let number: Option<i64> = connection
        .prepare_cached(&select)?
        .query_row([], |row| row.get(0))?;
    Ok(number.map(Block))
}

/// Whether the last reading of the block came more than a day ago, and what is written behind of its sensors has been.
fn is_old(connection: &Connection, block: Block, now: Timestamp) -> Result<bool, StoreError> {
    let saved_upto: i64 =
        connection.query_row("SELECT sensors_saved_upto FROM counter", [], |row| {
            row.get(0)
        })?;
    if saved_upto < block.last() {
        return Ok(false);
    }
    let newest: Option<i64> = connection
        .prepare_cached(
            "SELECT ts + delay FROM reading WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT 1",
        )?
        .query_row([block.first(), block.last()], |row| row.get(0))
        .optional()?;
    Ok(newest.is_none_or(|newest| newest < now.millis() - ROWS_STAY_MS))
}
