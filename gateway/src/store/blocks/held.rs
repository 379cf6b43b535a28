//! Readings of a block that stay rows: those that wait for an uplink, are in a batch, or are dead letters.

use rusqlite::Connection;

use super::{Block, StoreError};
use crate::background::give_way_at;
use crate::store::outbox::all_batches;

/// Whether any reading of the block waits for an uplink or is a dead letter.
pub(in crate::store) fn is_waited_for(
    connection: &Connection,
    block: Block,
) -> Result<bool, StoreError> {
    Ok(!waiting_within(connection, block)?.is_empty())
}

/// Ids of readings that are in batches or are dead letters, ascending.
pub(in crate::store) fn held_between(
    connection: &Connection,
    first: i64,
    last: i64,
) -> Result<Vec<i64>, StoreError> {
    let mut select = connection
        .prepare_cached("SELECT reading FROM dead_letter WHERE reading BETWEEN ?1 AND ?2")?;
    let ids = select.query_map([first, last], |row| row.get(0))?;
    let mut ids: Vec<i64> = ids.collect::<Result<_, _>>()?;
    for batch in all_batches(connection)? {
        let of_batch = batch.readings.iter().map(|id| id.0);
        ids.extend(of_batch.filter(|id| (first..=last).contains(id)));
    }
    ids.sort_unstable();
    Ok(ids)
}

/// Ids of readings that wait for an uplink or are dead letters, ascending.
pub(super) fn waiting_within(
    connection: &Connection,
    block: Block,
) -> Result<Vec<i64>, StoreError> {
    let within = [block.first(), block.last()];
    let mut ids = held_between(connection, within[0], within[1])?;
    let mut select = connection.prepare_cached(
        "SELECT o.reading FROM uplink u CROSS JOIN outbox_entry o ON o.uplink = u.key AND o.reading BETWEEN ?1 AND ?2",
    )?;
    for (number, id) in select.query_map(within, |row| row.get(0))?.enumerate() {
        give_way_at(number);
        ids.push(id?);
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}
