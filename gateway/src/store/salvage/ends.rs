//! Small tables of a damaged store: read from one end and, where damage is in the way, from the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::source::{Source, readable};
use crate::domain::sensor::SensorId;
use crate::store::StoreError;

/// Reads the rows of a query from both ends, sorted by these columns.
pub(super) fn both(
    source: &Source,
    select: &str,
    order: &[&str],
    mut read: impl FnMut(&Row<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    for direction in ["ASC", "DESC"] {
        let order: Vec<_> = order
            .iter()
            .map(|column| format!("{column} {direction}"))
            .collect();
        let query = format!("{select} ORDER BY {}", order.join(", "));
        let mut pass = || -> Result<(), StoreError> {
            let mut select = source.connection.prepare(&query)?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                // One row that makes no sense says nothing of the next.
                readable(read(row))?;
            }
            Ok(())
        };
        if readable(pass())?.is_some() {
            break;
        }
    }
    Ok(())
}

/// Copies a table, the columns that both have. A value that is not of its column's kind leaves its row out.
pub(super) fn copy(
    source: &Source,
    target: &Connection,
    table: &str,
    order: &[&str],
) -> Result<(), StoreError> {
    let Some(there) = readable(source.columns(table))? else {
        return Ok(());
    };
    let mut columns = target.prepare("SELECT name, type FROM pragma_table_info(?1)")?;
    let columns = columns.query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let columns: Vec<(String, String)> = columns.collect::<Result<_, _>>()?;
    let is_there = |(name, _): &(String, String)| there.iter().any(|(other, _)| other == name);
    let columns: Vec<_> = columns.into_iter().filter(is_there).collect();
    if columns.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    let list = names.join(", ");
    let marks = vec!["?"; names.len()].join(", ");
    let mut insert = target.prepare(&format!(
        "INSERT OR IGNORE INTO {table} ({list}) VALUES ({marks})"
    ))?;
    both(
        source,
        &format!("SELECT {list} FROM {table}"),
        order,
        |row| {
            let mut values = Vec::with_capacity(columns.len());
            for (place, (_, kind)) in columns.iter().enumerate() {
                let value: Value = row.get(place)?;
                if !is_of_kind(&value, kind) {
                    return Ok(());
                }
                values.push(value);
            }
            insert.execute(params_from_iter(values))?;
            Ok(())
        },
    )
}

fn is_of_kind(value: &Value, kind: &str) -> bool {
    match value {
        Value::Null => true,
        Value::Integer(_) => kind == "INTEGER" || kind == "REAL",
        Value::Real(_) => kind == "REAL",
        // As the text that it was when it was written.
        Value::Text(_) => kind == "TEXT",
        Value::Blob(_) => kind == "BLOB",
    }
}

/// The names of the sensors, out of the table and out of its index.
pub(super) fn sensors(source: &Source) -> Result<BTreeMap<i64, SensorId>, StoreError> {
    let mut names = BTreeMap::new();
    let index = "SELECT key, name FROM sensor INDEXED BY sqlite_autoindex_sensor_1";
    for (select, order) in [("SELECT key, name FROM sensor", "key"), (index, "name")] {
        both(source, select, &[order], |row| {
            let (key, name): (i64, String) = (row.get(0)?, row.get(1)?);
            let gateway = SensorId::gateway();
            let known = if name == gateway.as_str() {
                Some(gateway)
            } else {
                SensorId::new(&name).ok()
            };
            if let Some(name) = known {
                names.entry(key).or_insert(name);
            }
            Ok(())
        })?;
    }
    Ok(names)
}

/// The name of a sensor; a made-up one if it cannot be read.
pub(super) fn name(sensors: &BTreeMap<i64, SensorId>, key: i64) -> SensorId {
    let known = sensors.get(&key).cloned();
    known.unwrap_or_else(|| SensorId::from_stored(Arc::from(format!("unknown/{key}"))))
}

/// The numbers of the uplinks for which readings wait in the outbox.
pub(super) fn uplinks(source: &Source) -> Result<Vec<i64>, StoreError> {
    if !has_uplinks(source)? {
        return Ok(vec![1]);
    }
    let mut keys = Vec::new();
    let next = "SELECT min(uplink) FROM outbox_entry WHERE ?1 < uplink";
    let mut last = i64::MIN;
    loop {
        let found = source.one(next, [last], |row| row.get::<_, Option<i64>>(0))?;
        match found.flatten() {
            Some(key) => keys.push(key),
            None => break,
        }
        last = *keys.last().unwrap_or(&last);
    }
    // Where the way to one is damaged its name still says that there is one.
    both(source, "SELECT key FROM uplink", &["key"], |row| {
        keys.push(row.get(0)?);
        Ok(())
    })?;
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
}

/// The readings that wait for an uplink, for a descent.
pub(super) fn outbox_query(source: &Source) -> Result<String, StoreError> {
    let uplink = if has_uplinks(source)? { "uplink" } else { "1" };
    Ok(format!(
        "SELECT reading FROM outbox_entry WHERE {uplink} = ?1 AND reading BETWEEN ?2 AND ?3 ORDER BY reading DESC LIMIT ?4"
    ))
}

fn has_uplinks(source: &Source) -> Result<bool, StoreError> {
    let columns = readable(source.columns("outbox_entry"))?.unwrap_or_default();
    Ok(columns.iter().any(|(name, _)| name == "uplink"))
}
