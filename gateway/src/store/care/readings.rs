//! Looking through all readings and the index behind them, a block at a time.

use rusqlite::{Connection, OptionalExtension};

use super::blocks::with_rows;
use super::invariants::Found;
use super::{CareError, Progress};
use crate::store::blocks::{self, Block};

/// Each is of a sensor and can be told, and the index says what the rows say.
pub(super) fn look_through(
    connection: &Connection,
    found: &mut Found,
    progress: Progress<'_>,
) -> Result<(), CareError> {
    let mut numbers: Vec<Block> = with_rows(connection)?;
    let mut select = connection.prepare("SELECT number FROM reading_block ORDER BY number")?;
    let described = select.query_map([], |row| row.get(0).map(Block::numbered))?;
    numbers.extend(described.collect::<Result<Vec<_>, _>>()?);
    numbers.sort_unstable();
    numbers.dedup();
    let all = numbers.len() as i64;
    let mut packed = connection
        .prepare_cached("SELECT count FROM reading_block WHERE number = ?1 AND 1 <= packed")?;
    let mut look = connection.prepare_cached(
        "SELECT count(*), \
         coalesce(sum(typeof(value) <> 'real' OR typeof(ts) <> 'integer' OR typeof(delay) <> 'integer'), 0), \
         coalesce(sum(NOT json_valid(coalesce(tags, '[]')) OR NOT json_valid(coalesce(attributes, '{}'))), 0), \
         coalesce(sum(sensor NOT BETWEEN 1 AND (SELECT max(key) FROM sensor)), 0) \
         FROM reading WHERE id BETWEEN ?1 AND ?2",
    )?;
    let (mut faults, mut count) = (Vec::new(), 0);
    for (number, block) in (0..).zip(numbers) {
        progress("readings", number, all);
        let _look = connection.unchecked_transaction()?;
        let (first, last) = (block.first(), block.last());
        let counted: [i64; 4] = look.query_row([first, last], |row| {
            Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?])
        })?;
        let packed: Option<i64> = packed
            .query_row([block.number()], |row| row.get(0))
            .optional()?;
        count += counted[0] + packed.unwrap_or(0) - blocks::rows_in_packs(connection, Some(block))?;
        let kinds = [
            "that are no readings",
            "whose tags or attributes are no JSON",
            "of sensors that are not there",
        ];
        for (rows, kind) in counted[1..].iter().zip(kinds) {
            if 0 < *rows {
                faults.push(format!(
                    "readings: {rows} rows {kind} between {first} and {last}"
                ));
            }
        }
        if let Some(what) = blocks::is_wrong(connection, block)? {
            faults.push(format!(
                "{what}: not as the readings from {first} to {last} should have them"
            ));
        }
    }
    found.readings = count;
    found.faults_of(faults);
    Ok(())
}
