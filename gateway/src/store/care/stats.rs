//! What the store takes and what it holds, in figures.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};
use serde::Serialize;

use super::check::tables;
use super::files::{COMPANIONS, open_present};
use super::{CareError, Progress};
use crate::domain::reading::ReadingId;
use crate::domain::timestamp::Timestamp;
use crate::store::outbox::UplinkKey;
use crate::store::{History, connection, outbox};

/// Sensors that are shown one by one.
const SENSORS_SHOWN: i64 = 10;

/// Rows that are counted in one transaction.
const ROWS_AT_ONCE: i64 = 100_000;

/// The figures of a store. Sizes are in bytes, times in milliseconds since 1970.
#[derive(Debug, Serialize)]
pub struct Stats {
    pub path: String,
    pub store_id: String,
    pub schema: i64,
    pub database_bytes: u64,
    pub log_bytes: u64,
    pub page_bytes: i64,
    pub pages: i64,
    /// Of them those that nothing is in.
    pub free_pages: i64,
    pub readings: i64,
    /// All that readings and their index take, for each.
    pub bytes_per_reading: Option<f64>,
    pub last_reading: i64,
    /// When the first and the last that are stored were received.
    pub oldest: Option<i64>,
    pub newest: Option<i64>,
    pub sensors: i64,
    /// Those with the most readings, as far as they are written down.
    pub busiest: Vec<SensorStats>,
    pub outbox: Vec<UplinkStats>,
    /// Largest first.
    pub tables: Vec<TableStats>,
}

/// What there was of one sensor.
#[derive(Debug, Serialize)]
pub struct SensorStats {
    pub sensor_id: String,
    pub readings: i64,
}

/// What waits for one uplink.
#[derive(Debug, Serialize)]
pub struct UplinkStats {
    pub uplink: String,
    pub pending: i64,
    pub batches: i64,
    pub dead_letters: i64,
}

/// What a table takes, its own index with it.
#[derive(Debug, Serialize)]
pub struct TableStats {
    pub name: String,
    pub rows: i64,
    pub bytes: i64,
}

/// Reads the figures of the store at `path`.
pub fn stats(path: &Path, progress: Progress<'_>) -> Result<Stats, CareError> {
    let connection = open_present(path)?;
    let number = |name: &str| -> Result<i64, CareError> {
        Ok(connection.pragma_query_value(None, name, |row| row.get(0))?)
    };
    let (page_bytes, pages, free_pages) = (
        number("page_size")?,
        number("page_count")?,
        number("freelist_count")?,
    );
    let mut tables = tables_of(&connection, progress)?;
    tables.sort_by_key(|table| std::cmp::Reverse(table.bytes));
    let of = |names: &[&str], figure: fn(&TableStats) -> i64| -> i64 {
        let of_names = tables.iter().filter(|table| names.contains(&&*table.name));
        of_names.map(figure).sum()
    };
    let readings = of(&["reading"], |table| table.rows) + packed(&connection)?;
    let bytes = of(
        &["reading", "reading_block", "reading_pack", "packed_reading"],
        |table| table.bytes,
    );
    let (store_id, last_reading) =
        connection.query_row("SELECT store_id, reading FROM counter", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let history = History::open(path)?;
    let [oldest, newest] = ends(&history)?;
    Ok(Stats {
        path: path.display().to_string(),
        store_id,
        schema: connection::KNOWN_SCHEMA,
        database_bytes: path.metadata().map_err(CareError::at(path))?.len(),
        log_bytes: connection::beside(path, COMPANIONS[0])
            .metadata()
            .map_or(0, |log| log.len()),
        page_bytes,
        pages,
        free_pages,
        readings,
        bytes_per_reading: (0 < readings).then(|| bytes as f64 / readings as f64),
        last_reading,
        oldest,
        newest,
        sensors: of(&["sensor"], |table| table.rows),
        busiest: busiest(&connection)?,
        outbox: waiting(&connection)?,
        tables,
    })
}

fn ends(history: &History) -> Result<[Option<i64>; 2], CareError> {
    let Some((first, last)) = history.range(Timestamp::from_millis(i64::MIN))? else {
        return Ok([None; 2]);
    };
    let before = |id: ReadingId| ReadingId(id.0 - 1);
    let at = |id| -> Result<Option<i64>, CareError> {
        let page = history.page(before(id), 1)?;
        Ok(page.first().map(|reading| reading.received_at.millis()))
    };
    Ok([at(first)?, at(last)?])
}

/// Readings that have no row any more.
fn packed(connection: &Connection) -> Result<i64, CareError> {
    let select = "SELECT coalesce(sum(count), 0) FROM reading_block WHERE 2 <= packed";
    Ok(connection.query_row(select, [], |row| row.get(0))?)
}

/// Rows and pages of each table, one table after the other. SQLite counts pages by reading all of them.
fn tables_of(
    connection: &Connection,
    progress: Progress<'_>,
) -> Result<Vec<TableStats>, CareError> {
    let names = tables(connection)?;
    let all = names.len() as i64;
    let mut found = Vec::new();
    let mut select = connection.prepare(
        "SELECT coalesce(sum((SELECT pgsize FROM dbstat('main', 1) d WHERE d.name = s.name)), 0) \
         FROM sqlite_schema s WHERE s.tbl_name = ?1 AND s.rootpage > 0",
    )?;
    for (number, name) in (0..).zip(names) {
        progress("tables", number, all);
        found.push(TableStats {
            rows: rows(connection, &name)?,
            bytes: select.query_row([&name], |row| row.get(0))?,
            name: name.into(),
        });
    }
    Ok(found)
}

/// Counts in steps what has growing ids, and the rest at once.
fn rows(connection: &Connection, table: &str) -> Result<i64, CareError> {
    const IN_STEPS: [&str; 5] = [
        "reading",
        "reading_pack",
        "packed_reading",
        "summary_pack",
        "alert",
    ];
    if !IN_STEPS.contains(&table) {
        let select = format!("SELECT count(*) FROM {table}");
        return Ok(connection.query_row(&select, [], |row| row.get(0))?);
    }
    let mut step = connection.prepare(&format!(
        "SELECT count(*), max(id) FROM (SELECT id FROM {table} WHERE ?1 < id ORDER BY id LIMIT {ROWS_AT_ONCE})"
    ))?;
    let (mut after, mut all) = (i64::MIN, 0);
    loop {
        let (count, last): (i64, Option<i64>) =
            step.query_row([after], |row| Ok((row.get(0)?, row.get(1)?)))?;
        all += count;
        match last {
            Some(last) => after = last,
            None => return Ok(all),
        }
    }
}

fn busiest(connection: &Connection) -> Result<Vec<SensorStats>, CareError> {
    let mut select = connection.prepare(
        "SELECT name, readings FROM sensor WHERE 0 < readings ORDER BY readings DESC, key LIMIT ?1",
    )?;
    let rows = select.query_map([SENSORS_SHOWN], |row| {
        Ok(SensorStats {
            sensor_id: row.get(0)?,
            readings: row.get(1)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn waiting(connection: &Connection) -> Result<Vec<UplinkStats>, CareError> {
    let mut select = connection.prepare("SELECT key, name FROM uplink ORDER BY key")?;
    let uplinks = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let uplinks: Vec<(i64, String)> = uplinks.collect::<Result<_, _>>()?;
    let mut found = Vec::new();
    for (key, uplink) in uplinks {
        let count = |table: &str| -> Result<i64, CareError> {
            let select = format!("SELECT count(*) FROM {table} WHERE uplink = ?1");
            let count = connection.query_row(&select, [key], |row| row.get(0));
            Ok(count.optional()?.unwrap_or(0))
        };
        found.push(UplinkStats {
            uplink,
            pending: outbox::count(connection, UplinkKey(key))?,
            batches: count("batch")?,
            dead_letters: count("dead_letter")?,
        });
    }
    Ok(found)
}
