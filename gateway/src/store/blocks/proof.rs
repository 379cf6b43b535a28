//! Whether what is written of a block is what its readings say.

use rusqlite::{Connection, OptionalExtension};

use super::columns::pieces_of;
use super::packed::packs_of;
use super::{Block, FullBlock, StoreError, entries_of, place_of};

/// What is wrong with what is written of a block, if anything is. To be called in a transaction.
pub(in crate::store) fn is_wrong(
    connection: &Connection,
    block: Block,
) -> Result<Option<&'static str>, StoreError> {
    let packed: Option<(i64, i64)> = connection
        .prepare_cached("SELECT packed, count FROM reading_block WHERE number = ?1")?
        .query_row([block.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (is_wrong, what) = match packed {
        Some((0, _)) => (is_index_wrong(connection, block)?, "index"),
        Some((_, count)) => (
            are_packs_wrong(connection, block, count)?,
            "packed readings",
        ),
        None => (has_packs(connection, block)?, "index"),
    };
    Ok(is_wrong.then_some(what))
}

/// The index of a block of which nothing was taken away is that of its rows.
fn is_index_wrong(connection: &Connection, block: Block) -> Result<bool, StoreError> {
    let entries = entries_of(connection, block)?;
    // Ids begin with 1.
    let first = place_of(block.first().max(1));
    let all = usize::from(place_of(block.last()) - first) + 1;
    if entries.len() < all {
        return Ok(false);
    }
    let times: [i64; 2] = connection
        .prepare_cached("SELECT min_ts, max_ts FROM reading_block WHERE number = ?1")?
        .query_row([block.0], |row| Ok([row.get(0)?, row.get(1)?]))?;
    let mut select = connection.prepare_cached(
        "SELECT id, pieces FROM reading_pack WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
    )?;
    let packs = select.query_map(block.packs(), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let packs: Vec<(i64, Vec<u8>)> = packs.collect::<Result<_, _>>()?;
    let expected = FullBlock::of(block, &entries);
    Ok(expected.is_none_or(|expected| expected.times != times || expected.packs != packs))
}

/// They can be read, and are as many as is said of them.
fn are_packs_wrong(connection: &Connection, block: Block, count: i64) -> Result<bool, StoreError> {
    let mut found = 0;
    for (pack, bytes) in packs_of(connection, block)? {
        match pieces_of(pack, &bytes, None) {
            Some(pieces) => {
                let readings = pieces.iter().map(|piece| piece.readings.len());
                found += readings.sum::<usize>();
            }
            None => return Ok(true),
        }
    }
    Ok(found as i64 != count)
}

fn has_packs(connection: &Connection, block: Block) -> Result<bool, StoreError> {
    let mut select = connection
        .prepare_cached("SELECT 1 FROM reading_pack WHERE id BETWEEN ?1 AND ?2 LIMIT 1")?;
    Ok(select.exists(block.packs())?)
}
