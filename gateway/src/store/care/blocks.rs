//! Copying readings block by block, each with what is written of it, in one short look. A block whose ids are all given changes
//! only with its rows in `reading_block` and `summary_block`, by which it is seen before the end whether it has to be copied
//! again; but for single rows that leave when nothing else makes room, which are the oldest there are.

use std::collections::BTreeMap;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension};

use super::CareError;
use super::copying::{copy_rows, remove_rows};
use crate::store::blocks::{Block, first_row_from};

/// Tables whose rows belong to a block by their numbers.
const PACKS: [&str; 3] = ["reading_pack", "packed_reading", "summary_pack"];

/// Tables that describe blocks, with the column that names the block.
const DESCRIPTIONS: [(&str, &str); 2] = [("reading_block", "number"), ("summary_block", "first")];

/// More rows than are looked through to find some that can leave.
const ROWS_COUNTED: i64 = 2 << 20;

const BETWEEN: &str = "id BETWEEN ?1 AND ?2";

/// All that is copied block by block.
pub(super) fn is_by_block(table: &str) -> bool {
    table == "reading"
        || PACKS.contains(&table)
        || DESCRIPTIONS.iter().any(|(name, _)| *name == table)
}

/// What its rows in [`DESCRIPTIONS`] say; nothing where it has none.
type Description = Vec<Option<Vec<Value>>>;

/// A block as it was copied.
#[derive(Debug)]
struct Copied {
    description: Description,
    /// Of its readings.
    rows: i64,
}

/// The blocks of a store, and which of them were copied.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    copied: BTreeMap<Block, Copied>,
}

/// What is to be done.
#[derive(Debug)]
pub(super) struct Plan {
    /// Those that are not copied as they are now.
    pub(super) changed: Vec<Block>,
    gone: Vec<Block>,
}

impl Blocks {
    /// Sees what is to be done. In a transaction of the caller.
    pub(super) fn plan(&self, from: &Connection) -> Result<Plan, CareError> {
        let mut counted = 0;
        // Of those that have rows, how many, as far as rows can leave one by one.
        let mut present: BTreeMap<Block, Option<i64>> = BTreeMap::new();
        for block in with_rows(from)? {
            let rows = (counted < ROWS_COUNTED)
                .then(|| rows(from, block))
                .transpose()?;
            counted += rows.unwrap_or(0);
            present.insert(block, rows);
        }
        for (table, column) in DESCRIPTIONS {
            let mut select = from.prepare_cached(&format!("SELECT {column} FROM {table}"))?;
            let numbers = select.query_map([], |row| row.get(0))?;
            for number in numbers.collect::<Result<Vec<i64>, _>>()? {
                present.entry(Block::numbered(number)).or_insert(Some(0));
            }
        }
        let mut changed = Vec::new();
        for (block, rows) in &present {
            let is_as_copied = match self.copied.get(block) {
                Some(copied) => {
                    rows.is_none_or(|rows| rows == copied.rows)
                        && copied.description == description(from, *block)?
                }
                None => false,
            };
            changed.extend((!is_as_copied).then_some(*block));
        }
        let gone = self.copied.keys();
        let gone = gone.filter(|block| !present.contains_key(block));
        Ok(Plan {
            changed,
            gone: gone.copied().collect(),
        })
    }

    /// Copies a block anew. In a transaction of the caller.
    pub(super) fn copy(
        &mut self,
        from: &Connection,
        to: &Connection,
        block: Block,
    ) -> Result<(), CareError> {
        remove(to, block)?;
        copy_rows(from, to, "reading", BETWEEN, &[block.first(), block.last()])?;
        for table in PACKS {
            copy_rows(from, to, table, BETWEEN, &block.packs())?;
        }
        for (table, column) in DESCRIPTIONS {
            let which = format!("{column} = ?1");
            copy_rows(from, to, table, &which, &[block.number()])?;
        }
        let given: i64 = from.query_row("SELECT reading FROM counter", [], |row| row.get(0))?;
        if block.last() <= given {
            let copied = Copied {
                description: description(from, block)?,
                rows: rows(from, block)?,
            };
            self.copied.insert(block, copied);
        }
        Ok(())
    }

    /// Copies what is to be done of a plan made in the same transaction, and removes what is gone.
    pub(super) fn end(
        &mut self,
        from: &Connection,
        to: &Connection,
        plan: &Plan,
    ) -> Result<(), CareError> {
        for block in &plan.changed {
            self.copy(from, to, *block)?;
        }
        for block in &plan.gone {
            remove(to, *block)?;
        }
        Ok(())
    }
}

fn remove(to: &Connection, block: Block) -> Result<(), CareError> {
    remove_rows(to, "reading", BETWEEN, &[block.first(), block.last()])?;
    for table in PACKS {
        remove_rows(to, table, BETWEEN, &block.packs())?;
    }
    for (table, column) in DESCRIPTIONS {
        remove_rows(to, table, &format!("{column} = ?1"), &[block.number()])?;
    }
    Ok(())
}

fn description(connection: &Connection, block: Block) -> Result<Description, CareError> {
    let of_table = |(table, column): (&str, &str)| {
        let select = format!("SELECT * FROM {table} WHERE {column} = ?1");
        let mut select = connection.prepare_cached(&select)?;
        let columns = select.column_count();
        let found = select.query_row([block.number()], |row| {
            (0..columns).map(|column| row.get(column)).collect()
        });
        Ok(found.optional()?)
    };
    DESCRIPTIONS.into_iter().map(of_table).collect()
}

/// How many rows of readings a block has.
fn rows(connection: &Connection, block: Block) -> Result<i64, CareError> {
    let mut count =
        connection.prepare_cached("SELECT count(*) FROM reading WHERE id BETWEEN ?1 AND ?2")?;
    Ok(count.query_row([block.first(), block.last()], |row| row.get(0))?)
}

/// The blocks that have rows, oldest first.
pub(super) fn with_rows(connection: &Connection) -> Result<Vec<Block>, CareError> {
    let mut blocks = Vec::new();
    let mut from = i64::MIN;
    while let Some(id) = first_row_from(connection, from)? {
        let block = Block::of(id);
        blocks.push(block);
        from = block.last().saturating_add(1);
    }
    Ok(blocks)
}
