//! Rows of a group that are only appended: readings with their places in the outbox.

use rusqlite::{Connection, Statement, ToSql, params};

use super::outbox::Growth;
use super::writer::Pending;
use super::{Group, StoreError, blocks};
use crate::domain::reading::{Attributes, ReadingId};

/// Writes readings, new sensors and what goes into the outbox, and adds by how much that grows.
pub(super) fn write_readings(
    connection: &Connection,
    group: &Group,
    uplinks: &Pending,
    growths: &mut Vec<Growth>,
) -> Result<(), StoreError> {
    let mut sensor =
        connection.prepare_cached("INSERT INTO sensor (key, name, readings) VALUES (?1, ?2, 0)")?;
    for new in &group.sensors {
        sensor.execute(params![new.key, new.name])?;
    }
    let columns = "sensor, value, ts, delay, tags, attributes";
    insert_numbered(
        connection,
        ("reading", columns),
        &group.readings,
        |new| new.id.0,
        |row, new| {
            let ts = new.reading.ts.millis();
            row.bind(new.sensor)?;
            row.bind(new.reading.value)?;
            row.bind(ts)?;
            row.bind(new.reading.received_at.millis().saturating_sub(ts))?;
            row.bind(&new.tags)?;
            row.bind(new.reading.attributes.stored())
        },
    )?;
    let mut entries = Vec::new();
    let mut forwarded = vec![0; uplinks.len()];
    for new in &group.readings {
        for place in new.forward.places() {
            if let Some((key, _)) = uplinks.get(place) {
                entries.push([key.0, new.id.0]);
                forwarded[place] += 1;
            }
        }
    }
    let into = ("outbox_entry", "uplink, reading");
    insert(connection, into, &entries, |row, [uplink, reading]| {
        row.bind(uplink)?;
        row.bind(reading)
    })?;
    growths.extend(
        uplinks
            .iter()
            .zip(forwarded)
            .map(|((key, _), by)| (*key, by)),
    );
    Ok(())
}

/// Rows that are inserted by one statement where there are so many: what a statement costs beside its rows is shared by them.
const AT_ONCE: usize = 16;

/// A row whose values are given one after the other.
pub(super) struct NewRow<'s, 'c> {
    statement: &'s mut Statement<'c>,
    last: usize,
}

impl NewRow<'_, '_> {
    pub(super) fn bind(&mut self, value: impl ToSql) -> rusqlite::Result<()> {
        self.last += 1;
        self.statement.raw_bind_parameter(self.last, value)
    }
}

/// Inserts rows with ids that grow beyond all that are there: where one follows the other SQLite gives it, and need not look for its
/// place.
pub(super) fn insert_numbered<T>(
    connection: &Connection,
    (table, columns): (&str, &str),
    rows: &[T],
    id: impl Fn(&T) -> i64,
    bind: impl Fn(&mut NewRow<'_, '_>, &T) -> rusqlite::Result<()>,
) -> Result<(), StoreError> {
    let with_id = format!("id, {columns}");
    for run in rows.chunk_by(|one, next| id(one) + 1 == id(next)) {
        let (first, others) = run.split_at(1);
        insert(connection, (table, &with_id), first, |row, one| {
            row.bind(id(one))?;
            bind(row, one)
        })?;
        insert(connection, (table, columns), others, &bind)?;
        if run.last().map(&id) != Some(connection.last_insert_rowid()) {
            return Err(StoreError::Counters);
        }
    }
    Ok(())
}

/// Inserts rows. After an error some of them are there: who calls gives up the transaction.
pub(super) fn insert<T>(
    connection: &Connection,
    (table, columns): (&str, &str),
    rows: &[T],
    bind: impl Fn(&mut NewRow<'_, '_>, &T) -> rusqlite::Result<()>,
) -> Result<(), StoreError> {
    let (many, rest) = rows.split_at(rows.len() - rows.len() % AT_ONCE);
    for (rows, count) in [(many, AT_ONCE), (rest, 1)] {
        if rows.is_empty() {
            continue;
        }
        let row = vec!["?"; columns.split(',').count()].join(", ");
        let values = vec![format!("({row})"); count].join(", ");
        // OR FAIL: SQLite need not remember how the pages were before each statement.
        let insert = format!("INSERT OR FAIL INTO {table} ({columns}) VALUES {values}");
        let mut insert = connection.prepare_cached(&insert)?;
        for part in rows.chunks(count) {
            let mut row = NewRow {
                statement: &mut insert,
                last: 0,
            };
            part.iter().try_for_each(|one| bind(&mut row, one))?;
            insert.raw_execute()?;
        }
    }
    Ok(())
}

/// The attributes of a reading; none if it is not there.
pub(super) fn attributes_of(
    connection: &Connection,
    id: ReadingId,
) -> Result<Attributes, StoreError> {
    let found = blocks::find(connection, None, id.0)?;
    let attributes = found.and_then(|stored| stored.columns.attributes);
    Ok(attributes
        .map(|text| Attributes::from_json(text.into()))
        .unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::connection::open_empty;

    fn stored(connection: &Connection) -> Vec<[i64; 2]> {
        let mut select = connection.prepare("SELECT id, n FROM numbered").unwrap();
        let rows = select.query_map([], |row| Ok([row.get(0)?, row.get(1)?]));
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn each_row_gets_its_own_id() {
        let connection = open_empty().unwrap();
        let table = "CREATE TABLE numbered (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)";
        connection.execute(table, []).unwrap();
        let add = |ids: &[i64]| {
            let into = ("numbered", "n");
            insert_numbered(&connection, into, ids, |id| *id, |row, id| row.bind(id * 3))
        };
        let count = 3 * AT_ONCE as i64 + 1;
        let ids: Vec<i64> = (5..5 + count).chain([100, 101, 200]).collect();
        add(&[]).unwrap();
        add(&ids).unwrap();
        let all: Vec<_> = ids.iter().map(|id| [*id, id * 3]).collect();
        assert_eq!(stored(&connection), all);
        // One that is beyond them would be counted on from.
        connection
            .execute("INSERT INTO numbered VALUES (900, 1)", [])
            .unwrap();
        assert!(matches!(add(&[300, 301]), Err(StoreError::Counters)));
    }
}
