//! The index of a block whose rows were changed.

use rusqlite::Connection;

use super::{Block, FullBlock, entries_of};
use crate::store::StoreError;

/// Takes away what the index says of a block, and, if it is full and `is_done`, says it anew.
pub(in crate::store) fn index_anew(
    connection: &Connection,
    block: Block,
    is_done: bool,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM reading_block WHERE number = ?1")?
        .execute([block.0])?;
    connection
        .prepare_cached("DELETE FROM reading_pack WHERE id BETWEEN ?1 AND ?2")?
        .execute(block.packs())?;
    if is_done && let Some(full) = FullBlock::of(block, &entries_of(connection, block)?) {
        full.write(connection)?;
    }
    Ok(())
}
