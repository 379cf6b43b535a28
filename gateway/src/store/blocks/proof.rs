//! Whether what is written of a block is what its rows say.

use rusqlite::{Connection, OptionalExtension};

use super::{Block, FullBlock, StoreError, entries_of};

/// True if there is an index of this block and its rows say something else. To be called in a transaction.
pub(in crate::store) fn is_wrong(
    connection: &Connection,
    block: Block,
) -> Result<bool, StoreError> {
    let times: Option<[i64; 2]> = connection
        .prepare_cached("SELECT min_ts, max_ts FROM reading_block WHERE number = ?1")?
        .query_row([block.number()], |row| Ok([row.get(0)?, row.get(1)?]))
        .optional()?;
    let mut select = connection.prepare_cached(
        "SELECT id, pieces FROM reading_pack WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
    )?;
    let packs = select.query_map(block.packs(), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let packs: Vec<(i64, Vec<u8>)> = packs.collect::<Result<_, _>>()?;
    let Some(times) = times else {
        return Ok(!packs.is_empty());
    };
    let expected = FullBlock::of(block, &entries_of(connection, block)?);
    Ok(expected.is_none_or(|expected| expected.times != times || expected.packs != packs))
}
