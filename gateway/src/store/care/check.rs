//! Looking a store through: SQLite's own rules first, then ours.

use std::path::Path;

use rusqlite::Connection;

use super::files::{open_present, open_to_read};
use super::invariants::{Depth, Found, examine, find_counters};
use super::{CareError, Progress};
use crate::store::{StoreError, connection};

/// What a look through a store has found.
#[derive(Debug)]
pub struct Checked {
    /// What must not be; empty for a sound store.
    pub faults: Vec<String>,
    /// What goes away by itself.
    pub notes: Vec<String>,
    pub readings: i64,
    /// A gateway runs on it: SQLite's own look at whole tables was left to a time when none does.
    pub is_in_use: bool,
}

/// Faults that SQLite tells of one table.
const FAULTS_OF_A_TABLE: i64 = 20;

impl Found {
    pub(super) fn must_be_sound(&self, path: &Path) -> Result<(), CareError> {
        let Some(first) = self.faults.first() else {
            return Ok(());
        };
        Err(CareError::Damaged {
            path: path.display().to_string(),
            count: self.faults.len(),
            first: first.clone(),
        })
    }
}

/// Looks through the store at `path`, whether a gateway runs on it or not. Changes nothing.
pub fn check(path: &Path, progress: Progress<'_>) -> Result<Checked, CareError> {
    let connection = open_present(path)?;
    let lock = match connection::lock(path) {
        Ok(lock) => Some(lock),
        Err(StoreError::InUse { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let mut found = Found::default();
    if lock.is_some() {
        by_sqlite(&connection, &mut found, progress)?;
    } else {
        small_by_sqlite(&connection, &mut found, progress)?;
    }
    if find_counters(&connection, &mut found)? {
        examine(&connection, Depth::Readings, &mut found, progress)?;
    }
    Ok(Checked {
        faults: found.faults,
        notes: found.notes,
        readings: found.readings,
        is_in_use: lock.is_none(),
    })
}

/// Opens a copy that nobody writes to and looks at all but single readings: those are as the store had them.
pub(super) fn prove(path: &Path, progress: Progress<'_>) -> Result<Found, CareError> {
    let (connection, schema) = open_to_read(path)?;
    let mut found = Found::default();
    progress("checking", 0, 2);
    ask(&connection, "quick_check", &mut found)?;
    progress("checking", 1, 2);
    let is_readable = found.faults.is_empty() && find_counters(&connection, &mut found)?;
    if is_readable && schema == connection::KNOWN_SCHEMA {
        examine(&connection, Depth::Figures, &mut found, progress)?;
    }
    Ok(found)
}

/// All of the file, table by table, and then what belongs to none.
fn by_sqlite(
    connection: &Connection,
    found: &mut Found,
    progress: Progress<'_>,
) -> Result<(), CareError> {
    let tables = tables(connection)?;
    let all = tables.len() as i64 + 1;
    for (number, table) in (0..).zip(&tables) {
        progress("tables", number, all);
        let pragma = format!("integrity_check('{table}')");
        ask(connection, &pragma, found)?;
    }
    progress("tables", all - 1, all);
    if found.faults.is_empty() {
        ask(connection, "quick_check", found)?;
    }
    Ok(())
}

/// Tables that stay small; what grows is looked through in steps, row by row.
fn small_by_sqlite(
    connection: &Connection,
    found: &mut Found,
    progress: Progress<'_>,
) -> Result<(), CareError> {
    const GROWING: [&str; 7] = [
        "reading",
        "reading_pack",
        "packed_reading",
        "summary_pack",
        "outbox_entry",
        "alert",
        "reject",
    ];
    let mut tables = tables(connection)?;
    tables.retain(|table| !GROWING.contains(&&**table));
    let all = tables.len() as i64;
    for (number, table) in (0..).zip(&tables) {
        progress("tables", number, all);
        ask(connection, &format!("integrity_check('{table}')"), found)?;
    }
    Ok(())
}

pub(super) fn tables(connection: &Connection) -> Result<Vec<Box<str>>, CareError> {
    let mut select = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY rowid")?;
    let names = select.query_map([], |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}

/// SQLite says "ok", or what is wrong, or that it cannot go on.
fn ask(connection: &Connection, pragma: &str, found: &mut Found) -> Result<(), CareError> {
    let mut select = connection.prepare(&format!("PRAGMA {pragma}"))?;
    let mut rows = select.query([])?;
    let mut told = 0;
    loop {
        match rows.next() {
            Ok(Some(row)) => {
                let said: String = row.get(0)?;
                if said != "ok" && told < FAULTS_OF_A_TABLE {
                    told += 1;
                    found.fault(format!("SQLite: {said}"));
                }
            }
            Ok(None) => return Ok(()),
            Err(error)
                if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseCorrupt) =>
            {
                found.fault(format!("SQLite: {error}"));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
    }
}
