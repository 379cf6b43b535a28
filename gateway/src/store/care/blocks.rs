//! Copying readings block by block, each with what is written of it, in one short look. A block that is full only changes with
//! its row in `reading_block`: by that it is seen before the end whether it has to be copied again.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension};

use super::CareError;
use super::copying::{copy_rows, remove_rows};
use crate::store::blocks::Block;

/// Tables whose rows belong to a block by their numbers.
const PACKS: [&str; 2] = ["reading_pack", "packed_reading"];

/// All that is copied block by block.
pub(super) fn is_by_block(table: &str) -> bool {
    ["reading", "reading_block"].contains(&table) || PACKS.contains(&table)
}

/// The row of a block; `None` if it has none.
type Description = Option<Vec<Value>>;

/// The blocks of a store, and which of them were copied.
#[derive(Debug)]
pub(super) struct Blocks {
    packs: Vec<&'static str>,
    copied: BTreeMap<Block, Description>,
}

/// What is to be done.
#[derive(Debug)]
pub(super) struct Plan {
    /// Those that are not copied as they are now.
    pub(super) changed: Vec<Block>,
    gone: Vec<Block>,
    /// Readings below it are gone.
    oldest: i64,
}

impl Blocks {
    pub(super) fn new(tables: &[String]) -> Self {
        let is_there = |name: &&str| tables.iter().any(|table| table == name);
        Self {
            packs: PACKS.into_iter().filter(is_there).collect(),
            copied: BTreeMap::new(),
        }
    }

    /// Sees what is to be done. In a transaction of the caller.
    pub(super) fn plan(&self, from: &Connection) -> Result<Plan, CareError> {
        let mut present: BTreeMap<Block, Description> = BTreeMap::new();
        for block in with_rows(from)? {
            present.insert(block, None);
        }
        let mut select = from.prepare_cached("SELECT number FROM reading_block")?;
        let numbers = select.query_map([], |row| row.get(0))?;
        for number in numbers.collect::<Result<Vec<i64>, _>>()? {
            let block = Block::numbered(number);
            present.insert(block, description(from, block)?);
        }
        let is_changed =
            |(block, now): &(&Block, &Description)| self.copied.get(*block) != Some(*now);
        let changed: BTreeSet<Block> = present
            .iter()
            .filter(is_changed)
            .map(|(block, _)| *block)
            .collect();
        let gone = self
            .copied
            .keys()
            .filter(|block| !present.contains_key(block));
        let oldest: Option<i64> =
            from.query_row("SELECT min(id) FROM reading", [], |row| row.get(0))?;
        Ok(Plan {
            changed: changed.into_iter().collect(),
            gone: gone.copied().collect(),
            oldest: oldest.unwrap_or(i64::MAX),
        })
    }

    /// Copies a block anew. In a transaction of the caller.
    pub(super) fn copy(
        &mut self,
        from: &Connection,
        to: &Connection,
        block: Block,
    ) -> Result<(), CareError> {
        remove(to, block, &self.packs)?;
        copy_rows(from, to, "reading", BETWEEN, &[block.first(), block.last()])?;
        for table in &self.packs {
            copy_rows(from, to, table, BETWEEN, &block.packs())?;
        }
        copy_rows(from, to, "reading_block", "number = ?1", &[block.number()])?;
        let given: i64 = from.query_row("SELECT reading FROM counter", [], |row| row.get(0))?;
        if block.last() <= given {
            self.copied.insert(block, description(from, block)?);
        }
        Ok(())
    }

    /// Removes what is gone, and copies what is to be done of a plan made in the same transaction.
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
            remove(to, *block, &self.packs)?;
        }
        remove_rows(to, "reading", "id < ?1", &[plan.oldest])
    }
}

const BETWEEN: &str = "id BETWEEN ?1 AND ?2";

fn remove(to: &Connection, block: Block, packs: &[&str]) -> Result<(), CareError> {
    remove_rows(to, "reading", BETWEEN, &[block.first(), block.last()])?;
    remove_rows(to, "reading_block", "number = ?1", &[block.number()])?;
    for table in packs {
        remove_rows(to, table, BETWEEN, &block.packs())?;
    }
    Ok(())
}

fn description(connection: &Connection, block: Block) -> Result<Description, CareError> {
    let mut select = connection.prepare_cached("SELECT * FROM reading_block WHERE number = ?1")?;
    let columns = select.column_count();
    let found = select.query_row([block.number()], |row| {
        (0..columns).map(|column| row.get(column)).collect()
    });
    Ok(found.optional()?)
}

/// The blocks that have rows, oldest first.
pub(super) fn with_rows(connection: &Connection) -> Result<Vec<Block>, CareError> {
    let mut next = connection.prepare_cached("SELECT min(id) FROM reading WHERE ?1 <= id")?;
    let mut blocks = Vec::new();
    let mut from = i64::MIN;
    while let Some(id) = next.query_row([from], |row| row.get::<_, Option<i64>>(0))? {
        let block = Block::of(id);
        blocks.push(block);
        from = block.last().saturating_add(1);
    }
    Ok(blocks)
}
