//! The beginning of a new store beside a damaged one: who it is, from which numbers on it counts, and what is needed before anybody
//! is served.
//!
//! Invariants: numbers that the damaged store gave, also those that can no more be read, are below those of the new one. It keeps
//! the `store_id` only if the counters of the damaged one could be read. The new store appears whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

use super::descent::Descent;
use super::rows::write_progress;
use super::source::{self, Source, readable};
use super::{Progress, Stage, at_once, ends};
use crate::store::StoreError;
use crate::store::aside::{self, name_of};
use crate::store::connection;
use crate::store::inspect::BYTES_OF_NUMBER;
use crate::store::writer::Writer;

/// Numbers that a store may have given without a trace: far more than a log of usual size has room for.
const JUMP: i64 = 1 << 24;
/// Numbers beyond it are none that a counter ever reached.
const LARGEST: i64 = 1 << 52;
/// The index of readings begins anew: no block has readings of both stores.
const ALIGNED: i64 = 1 << 15;

/// Small tables, and what sorts them.
const BROKER: &[(&str, &[&str])] = &[
    ("session", &["key"]),
    ("subscription", &["session", "filter"]),
    ("queued", &["session", "seq"]),
    ("exchange", &["session", "packet_id"]),
    ("will", &["session"]),
    ("retained", &["topic"]),
    ("device_status", &["device_id"]),
];

const CLOCK: &[(&str, &[&str])] = &[
    ("clock", &["one"]),
    ("clock_span", &["first"]),
    ("clock_kept", &["first"]),
];

/// How much is taken over at once. If what was read makes no sense to the new store, less is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    All,
    Counters,
}

/// The `counter` row of the damaged store.
#[derive(Debug)]
pub(super) struct Counters {
    store_id: String,
    group: i64,
    pub(super) given: [i64; 4],
    pub(super) alerts_saved_upto: i64,
    pub(super) rules_saved_upto: i64,
    rules_clock: i64,
}

/// Begins a new store at `path` in the place of those that were moved into `folders`, oldest first.
pub(in crate::store) fn begin(path: &Path, folders: &[PathBuf]) -> Result<(), StoreError> {
    let Some(newest) = folders.last() else {
        return Ok(());
    };
    let mut new = aside::new_file(path);
    for extent in [Extent::All, Extent::Counters] {
        let source = Source::open(newest, path)?;
        build(&new, path, folders, source.as_ref(), extent)?;
        drop(source);
        let tried = Writer::try_open(&new);
        match tried {
            Ok(()) => break,
            Err(error) if extent == Extent::All => {
                new = aside::new_file(path);
                tracing::warn!(%error, "sessions and rules of the damaged store make no sense and are left out");
            }
            Err(error) => return Err(error),
        }
    }
    aside::show_new_file(&new, path)
}

fn build(
    new: &Path,
    path: &Path,
    folders: &[PathBuf],
    source: Option<&Source>,
    extent: Extent,
) -> Result<(), StoreError> {
    let mut target = connection::open_writer(new)?;
    let transaction = target.transaction()?;
    let counters = source.map(read_counters).transpose()?.flatten();
    let largest = source.map(largest).transpose()?.unwrap_or(0);
    // Counters behind the rows are as good as none.
    let counters = counters.filter(|known| known.given.iter().max() >= Some(&largest));
    let log = folders
        .last()
        .map(|folder| folder.join(name_of(path, "-wal")));
    let log_bytes = log
        .and_then(|log| log.metadata().ok())
        .map_or(0, |log| log.len());
    let given = counters.iter().flat_map(|known| known.given).max();
    let jump = JUMP + i64::try_from(log_bytes / BYTES_OF_NUMBER).unwrap_or(JUMP);
    // The last number of a block.
    let last = (given.unwrap_or(0).max(largest) + jump) | (ALIGNED - 1);
    write_counters(&transaction, counters.as_ref(), last)?;
    if let Some(source) = source {
        ends::copy(source, &transaction, "salvage", &["folder"])?;
        copy_uplinks(source, &transaction)?;
        if extent == Extent::All {
            for (table, order) in BROKER.iter().chain(CLOCK) {
                ends::copy(source, &transaction, table, order)?;
            }
            // What goes on ends with its store.
            let last = counters.as_ref().map_or(largest, |known| known.given[0]);
            transaction.execute("UPDATE clock_span SET last = ?1 WHERE last IS NULL", [last])?;
            at_once::take_over(source, &transaction, counters.as_ref())?;
        }
        source.check_disk()?;
    }
    for folder in folders {
        register(&transaction, folder, last + 1)?;
    }
    transaction.commit()?;
    connection::close_new(target)
}

fn read_counters(source: &Source) -> Result<Option<Counters>, StoreError> {
    let columns = [
        "store_id",
        "commit_group",
        "reading",
        "alert",
        "reject",
        "batch",
        "alerts_saved_upto",
        "rules_saved_upto",
        "rules_clock",
    ];
    let Some(list) = readable(source.list("counter", &columns))? else {
        return Ok(None);
    };
    let found = source.one(&format!("SELECT {list} FROM counter"), [], |row| {
        let late =
            |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.unwrap_or(0));
        Ok(Counters {
            store_id: row.get(0)?,
            group: row.get(1)?,
            given: [row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?],
            alerts_saved_upto: late(6)?,
            rules_saved_upto: late(7)?,
            rules_clock: late(8)?,
        })
    })?;
    Ok(found.filter(|known| {
        let is_id = known.store_id.len() == 16
            && known.store_id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_number = |number: &i64| (0..LARGEST).contains(number);
        is_id && known.given.iter().all(is_number)
    }))
}

/// The largest number of a row that can be read.
fn largest(source: &Source) -> Result<i64, StoreError> {
    let mut largest = 0;
    // The last ids of blocks of which no rows may be left.
    let query = "SELECT number * 32768 + 32767 FROM reading_block WHERE ?1 IS NOT NULL AND number BETWEEN ?2 AND ?3 \
                 ORDER BY number DESC LIMIT ?4";
    let blocks = Descent::new(&source.connection, query, &0)
        .take(LARGEST, 1, |row| row.get::<_, i64>(0).map(Some))?;
    largest = blocks
        .rows
        .into_iter()
        .filter(|id| *id < LARGEST)
        .fold(largest, i64::max);
    for table in ["reading", "alert", "reject", "batch", "dead_letter"] {
        let query = format!(
            "SELECT id FROM {table} WHERE ?1 IS NOT NULL AND id BETWEEN ?2 AND ?3 ORDER BY id DESC LIMIT ?4"
        );
        let found = Descent::new(&source.connection, &query, &0)
            .take(LARGEST, 1, |row| row.get::<_, i64>(0).map(Some))?;
        largest = found.rows.into_iter().fold(largest, i64::max);
    }
    Ok(largest)
}

fn write_counters(
    target: &Connection,
    known: Option<&Counters>,
    last: i64,
) -> Result<(), StoreError> {
    let new_id = format!("{:016x}", fastrand::u64(..));
    let store_id = known.map_or(new_id.as_str(), |known| known.store_id.as_str());
    target.execute(
        "INSERT INTO counter (one, store_id, commit_group, reading, alert, reject, batch, sensors_saved_upto, \
         alerts_saved_upto, rules_clock, rules_saved_upto) VALUES (1, ?1, ?2, ?3, ?3, ?3, ?3, ?3, ?4, ?5, ?6)",
        params![
            store_id,
            known.map_or(0, |known| known.group),
            last,
            known.map_or(last, |known| known.alerts_saved_upto),
            known.map_or(0, |known| known.rules_clock),
            known.map_or(last, |known| known.rules_saved_upto),
        ],
    )?;
    target.execute("DELETE FROM sqlite_sequence", [])?;
    target.execute(
        "INSERT INTO sqlite_sequence (name, seq) VALUES ('dead_letter', ?1)",
        [last],
    )?;
    Ok(())
}

/// The uplinks by their numbers; one whose name cannot be read gets one that says so.
fn copy_uplinks(source: &Source, target: &Connection) -> Result<(), StoreError> {
    if readable(source.columns("uplink"))?.is_some_and(|columns| !columns.is_empty()) {
        target.execute("DELETE FROM uplink", [])?;
        ends::copy(source, target, "uplink", &["key"])?;
    }
    for key in ends::uplinks(source)? {
        let name = if key == 1 {
            "cloud".to_owned()
        } else {
            format!("unknown-{key}")
        };
        target.execute(
            "INSERT OR IGNORE INTO uplink (key, name) VALUES (?1, ?2)",
            params![key, name],
        )?;
    }
    Ok(())
}

/// Has the rows of a folder be taken over, unless that has begun already.
fn register(target: &Connection, folder: &Path, below: i64) -> Result<(), StoreError> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let is_known = target
        .prepare("SELECT 1 FROM salvage WHERE folder = ?1")?
        .exists([&name])?;
    if is_known {
        return Ok(());
    }
    let reason = fs::read_to_string(folder.join(aside::REASON)).unwrap_or_default();
    let reason = match reason.trim() {
        "" => "unknown",
        reason => reason,
    };
    let mut progress = Progress {
        folder: name.as_ref().into(),
        reason: reason.into(),
        below,
        stage: Stage::Outbox,
        part: 0,
        position: 0,
        saved: 0,
        unreadable: 0,
        alert: None,
    };
    progress.enter(Stage::Outbox, 0);
    write_progress(target, &progress)?;
    source::close(folder);
    Ok(())
}
