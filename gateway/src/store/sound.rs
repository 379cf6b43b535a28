//! Whether an open file can be the gateway's store: its tables are there, and its counters are not behind its rows.

use rusqlite::Connection;

use super::{StoreError, connection};

/// Each table and view with its columns.
const SHAPE: &str = "SELECT s.name || '.' || c.name FROM sqlite_schema s, pragma_table_info(s.name) c \
                     WHERE s.type IN ('table', 'view') ORDER BY 1";

/// Every table, view and column must be there; more may be.
pub(super) fn check_schema(connection: &Connection) -> Result<(), StoreError> {
    let shape = |connection: &Connection| -> Result<Vec<String>, StoreError> {
        let mut select = connection.prepare(SHAPE)?;
        let names = select.query_map([], |row| row.get(0))?;
        Ok(names.collect::<Result<_, _>>()?)
    };
    let there = shape(connection)?;
    let expected = shape(&connection::open_empty()?)?;
    match expected.into_iter().find(|name| !there.contains(name)) {
        None => Ok(()),
        Some(missing) => Err(StoreError::Schema(missing.into())),
    }
}

/// The counters of readings, alerts, rejects and batches.
pub(super) fn check_counters(connection: &Connection, given: [i64; 4]) -> Result<(), StoreError> {
    let tables = ["reading", "alert", "reject", "batch"];
    for (table, given) in tables.into_iter().zip(given) {
        let select = format!("SELECT coalesce(max(id), 0) FROM {table}");
        let largest: i64 = connection.query_row(&select, [], |row| row.get(0))?;
        if given < largest {
            return Err(StoreError::Counters);
        }
    }
    Ok(())
}
