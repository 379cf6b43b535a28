//! Rows as they are, from one file to another with the same tables.

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, params_from_iter};

use super::CareError;
use crate::background::give_way_at;

/// A value on its way.
struct AsItIs<'v>(ValueRef<'v>);

impl ToSql for AsItIs<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(self.0))
    }
}

/// Copies the rows of a table of which `which` is true, as in "id BETWEEN ?1 AND ?2".
pub(super) fn copy_rows(
    from: &Connection,
    to: &Connection,
    table: &str,
    which: &str,
    values: &[i64],
) -> Result<(), CareError> {
    let mut select = from.prepare_cached(&format!("SELECT * FROM {table} WHERE {which}"))?;
    let columns = select.column_count();
    let places = vec!["?"; columns].join(", ");
    let mut insert = to.prepare_cached(&format!("INSERT INTO {table} VALUES ({places})"))?;
    let mut rows = select.query(params_from_iter(values))?;
    let mut number = 0;
    while let Some(row) = rows.next()? {
        give_way_at(number);
        number += 1;
        for column in 0..columns {
            insert.raw_bind_parameter(column + 1, AsItIs(row.get_ref(column)?))?;
        }
        insert.raw_execute()?;
    }
    Ok(())
}

/// Removes what [`copy_rows`] has copied.
pub(super) fn remove_rows(
    to: &Connection,
    table: &str,
    which: &str,
    values: &[i64],
) -> Result<(), CareError> {
    to.prepare_cached(&format!("DELETE FROM {table} WHERE {which}"))?
        .execute(params_from_iter(values))?;
    Ok(())
}
