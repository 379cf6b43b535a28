//! Reading the whole store once, in short steps, so that damage is found before somebody needs what it hit. Done behind the others
//! after the gateway before was killed or lost its power.

use std::sync::Arc;

use rusqlite::{Connection, Params};

use super::place::Place;
use super::{Alarm, Damage, Reader, StoreError, connection};
use crate::background::give_way_at;

/// Rows of a step.
const ROWS: i64 = 2000;

/// Tables by the whole number that sorts them.
const BY_NUMBER: [(&str, &str); 8] = [
    ("reading", "id"),
    ("alert", "id"),
    ("reject", "id"),
    ("dead_letter", "id"),
    ("batch", "id"),
    ("reading_block", "number"),
    ("reading_pack", "id"),
    ("sensor", "key"),
];

/// A walk through the store.
#[derive(Debug)]
pub struct Examination {
    /// Dropped ahead of the place.
    connection: Option<Connection>,
    place: Arc<Place>,
    alarm: Arc<Alarm>,
    table: usize,
    /// The last row that was read: its number, or uplink and reading.
    after: (i64, i64),
    rows: u64,
}

impl Reader {
    /// A walk through all of it.
    pub fn examination(&self) -> Examination {
        Examination {
            connection: None,
            place: Arc::clone(self.place()),
            alarm: Arc::clone(self.alarm()),
            table: 0,
            after: (i64::MIN, i64::MIN),
            rows: 0,
        }
    }
}

impl Examination {
    /// Reads on; false when there is nothing more to read. Damage is told, once a second look through another connection finds it
    /// as well.
    pub fn step(&mut self) -> Result<bool, StoreError> {
        let tried = self.read_on();
        if !matches!(&tried, Err(error) if Damage::of(error).is_some()) {
            return tried;
        }
        self.connection = None;
        self.read_on().inspect_err(|error| {
            let damage = self.place.damage_of(error);
            if let Some(damage) = damage.filter(|_| self.place.missing().is_empty()) {
                self.alarm.raise(damage);
            }
        })
    }

    /// Rows that were read.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    fn read_on(&mut self) -> Result<bool, StoreError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let connection = connection::open_reader(self.place.path())?;
                connection.pragma_update(None, "cell_size_check", true)?;
                connection
            }
        };
        let (taken, after) = match BY_NUMBER.get(self.table) {
            Some((table, key)) => {
                let query = format!(
                    "SELECT {key}, 0, * FROM {table} WHERE ?1 < {key} ORDER BY {key} LIMIT ?2"
                );
                read(&connection, &query, (self.after.0, ROWS))?
            }
            None => {
                let query = "SELECT uplink, reading FROM outbox_entry WHERE (?1, ?2) < (uplink, reading) \
                             ORDER BY uplink, reading LIMIT ?3";
                read(&connection, query, (self.after.0, self.after.1, ROWS))?
            }
        };
        self.connection = Some(connection);
        self.rows += taken.unsigned_abs();
        if taken == ROWS {
            self.after = after;
        } else {
            self.table += 1;
            self.after = (i64::MIN, i64::MIN);
        }
        Ok(self.table <= BY_NUMBER.len())
    }
}

/// Reads every value; tells how many rows there were and the key of the last one.
fn read(
    connection: &Connection,
    query: &str,
    values: impl Params,
) -> Result<(i64, (i64, i64)), StoreError> {
    let mut select = connection.prepare_cached(query)?;
    let columns = select.column_count();
    let mut rows = select.query(values)?;
    let (mut taken, mut last) = (0, (i64::MIN, i64::MIN));
    while let Some(row) = rows.next()? {
        give_way_at(taken as usize);
        for column in 0..columns {
            row.get_ref(column)?;
        }
        last = (row.get(0)?, row.get(1)?);
        taken += 1;
    }
    Ok((taken, last))
}
