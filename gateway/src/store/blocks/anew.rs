//! The index of a block whose rows were changed.

use rusqlite::Connection;

use super::{Block, FullBlock, entries_of};
use crate::store::StoreError;

/// What the index says of a block is said anew after its rows up to this one were changed, if the block is full. That this is
/// written as well shows who copies blocks that the rows are other ones, whatever the times come to.
pub(in crate::store) fn index_anew(
    connection: &Connection,
    block: Block,
    upto: i64,
    is_full: bool,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM reading_block WHERE number = ?1")?
        .execute([block.0])?;
    connection
        .prepare_cached("DELETE FROM reading_pack WHERE id BETWEEN ?1 AND ?2")?
        .execute(block.packs())?;
    if is_full && let Some(full) = FullBlock::of(block, &entries_of(connection, block)?) {
        full.write(connection)?;
        connection
            .prepare_cached("UPDATE reading_block SET newest_at = ?2 WHERE number = ?1")?
            .execute([block.0, upto])?;
    }
    Ok(())
}
