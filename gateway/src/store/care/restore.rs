//! Putting a backup in the place of the store.
//!
//! What was stored and delivered after the backup was made had ids, too. If the present store tells up to where, new ones go on
//! behind those; if it does not, the store gets another name, in which ids begin a new life: a receiver that drops what it has
//! seen is never led to drop what it has not.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, params};

use super::check::prove;
use super::files::{
    COMPANIONS, Partial, bytes_in_use, fold_log, folder_of, has_room, hold, open_to_read,
    sync_folder_of,
};
use super::{CareError, Progress};
use crate::store::blocks::Block;
use crate::store::connection::beside;

/// A backup that is in place.
#[derive(Debug)]
pub struct Restored {
    /// The last reading that it has; those behind it are not there.
    pub last_reading: i64,
    /// The next one will have this id.
    pub next_reading: i64,
    /// Where the store is now that was there before.
    pub aside: Option<PathBuf>,
    /// Up to which id the former one went is not known: receivers see another store.
    pub has_new_store_id: bool,
}

/// The last numbers that a store has given.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Numbers {
    store_id: String,
    group: i64,
    reading: i64,
    alert: i64,
    reject: i64,
    batch: i64,
    dead_letter: i64,
}

/// Numbers other than those of readings are left free between what was and what comes.
const LEFT_FREE: i64 = 1000;

/// Puts `file` in the place of the store at `path`; what is there now goes aside under a name that ends with `label`.
pub fn restore(
    path: &Path,
    file: &Path,
    label: &str,
    progress: Progress<'_>,
) -> Result<Restored, CareError> {
    let (source, _) = open_to_read(file)?;
    if path
        .canonicalize()
        .ok()
        .is_some_and(|store| file.canonicalize().is_ok_and(|file| file == store))
    {
        let path = file.display().to_string();
        return Err(CareError::Itself { path });
    }
    let _lock = hold(path)?;
    prove(file, progress)?.must_be_sound(file)?;
    has_room(path, bytes_in_use(&source)?)?;
    let partial = Partial::beside(path, "-restore")?;
    progress("copying", 0, 1);
    partial.vacuum_from(&source)?;
    drop(source);
    let present = numbers_of_present(path, progress);
    let target = partial.open()?;
    let saved = read_numbers(&target)?;
    let known = present.filter(|present| present.store_id == saved.store_id);
    let next = known
        .as_ref()
        .map_or_else(|| renamed(&saved), |present| behind(&saved, present));
    write_numbers(&target, &next)?;
    target.close().map_err(|(_, error)| error)?;
    prove(partial.path(), progress)?.must_be_sound(file)?;
    partial.belong_as(path);
    partial.sync()?;
    let aside = put_aside(path, label)?;
    partial.place(path, true)?;
    Ok(Restored {
        last_reading: saved.reading,
        next_reading: next.reading + 1,
        aside,
        has_new_store_id: known.is_none(),
    })
}

/// `None` if there is no store, or none that can be trusted to tell them.
fn numbers_of_present(path: &Path, progress: Progress<'_>) -> Option<Numbers> {
    let found = prove(path, progress).ok()?;
    let (present, _) = open_to_read(path).ok()?;
    let numbers = read_numbers(&present).ok()?;
    found.faults.is_empty().then_some(numbers)
}

fn renamed(saved: &Numbers) -> Numbers {
    Numbers {
        store_id: format!("{:016x}", fastrand::u64(..)),
        ..behind(saved, saved)
    }
}

/// Behind all that was given by either. Readings begin with a block of the index of their own.
fn behind(saved: &Numbers, present: &Numbers) -> Numbers {
    let free = |saved: i64, present: i64| saved.max(present) + LEFT_FREE;
    let reading = saved.reading.max(present.reading) + LEFT_FREE;
    Numbers {
        store_id: saved.store_id.clone(),
        group: free(saved.group, present.group),
        reading: Block::of(reading).last(),
        alert: free(saved.alert, present.alert),
        reject: free(saved.reject, present.reject),
        batch: free(saved.batch, present.batch),
        dead_letter: free(saved.dead_letter, present.dead_letter),
    }
}

fn read_numbers(connection: &Connection) -> Result<Numbers, CareError> {
    let has_sequence = connection
        .prepare("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'")?
        .exists([])?;
    let dead_letter: Option<i64> = if has_sequence {
        let select = "SELECT seq FROM sqlite_sequence WHERE name = 'dead_letter'";
        connection
            .query_row(select, [], |row| row.get(0))
            .optional()?
    } else {
        None
    };
    let select = "SELECT store_id, commit_group, reading, alert, reject, batch FROM counter";
    Ok(connection.query_row(select, [], |row| {
        Ok(Numbers {
            store_id: row.get(0)?,
            group: row.get(1)?,
            reading: row.get(2)?,
            alert: row.get(3)?,
            reject: row.get(4)?,
            batch: row.get(5)?,
            dead_letter: dead_letter.unwrap_or(0),
        })
    })?)
}

fn write_numbers(connection: &Connection, numbers: &Numbers) -> Result<(), CareError> {
    connection.execute(
        "UPDATE counter SET store_id = ?1, commit_group = ?2, reading = ?3, alert = ?4, reject = ?5, batch = ?6",
        params![
            numbers.store_id,
            numbers.group,
            numbers.reading,
            numbers.alert,
            numbers.reject,
            numbers.batch
        ],
    )?;
    let has_sequence = connection
        .prepare("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'")?
        .exists([])?;
    if has_sequence {
        connection.execute("DELETE FROM sqlite_sequence WHERE name = 'dead_letter'", [])?;
        let insert = "INSERT INTO sqlite_sequence (name, seq) VALUES ('dead_letter', ?1)";
        connection.execute(insert, [numbers.dead_letter])?;
    }
    Ok(())
}

/// Gives the present store another name as well, so that there is one at its path at any moment. A log beside it, which only a
/// store has that is damaged or that others have open, goes along first: the new store must not find it.
fn put_aside(path: &Path, label: &str) -> Result<Option<PathBuf>, CareError> {
    let companions = || COMPANIONS.map(|suffix| (beside(path, suffix), suffix));
    let is_there = path.exists() || companions().iter().any(|(file, _)| file.exists());
    if !is_there {
        return Ok(None);
    }
    let aside = beside(path, &format!(".before-restore-{label}"));
    if aside.exists() {
        let path = aside.display().to_string();
        return Err(CareError::Exists { path });
    }
    fold_log(path);
    for (file, suffix) in companions() {
        match fs::rename(&file, beside(&aside, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(CareError::at(&file)(error));
            }
            _ => {}
        }
    }
    if path.exists() && fs::hard_link(path, &aside).is_err() {
        // Not every file system has links.
        fs::rename(path, &aside).map_err(CareError::at(path))?;
    }
    sync_folder_of(path)?;
    debug_assert!(folder_of(&aside) == folder_of(path));
    Ok(Some(aside))
}
