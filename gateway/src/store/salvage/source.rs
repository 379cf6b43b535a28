//! A damaged store as it can be read. What was moved aside is not written to: beside it lies a view of it, the same file under a
//! second name (or a copy, where its header cannot be read) with a log of its own, which has every page of the old log that is of use
//! and a header as it must be.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, Row};
use rustix::io::Errno;

use super::orphans::{self, Mended};
use super::pages::Pages;
use crate::store::aside::name_of;
use crate::store::connection::{self, beside};
use crate::store::inspect::HEADER;
use crate::store::reserve;
use crate::store::sectors::{self, Patched};
use crate::store::wal::USUAL_PAGE;
use crate::store::{Damage, StoreError};

/// The view's name in the folder.
const VIEW: &str = "salvage.db";

/// A damaged store, open for reading.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) connection: Connection,
    /// The database as it was moved.
    moved: PathBuf,
    /// Readings to which there is a way only since pages were mended, from one number up to another.
    late: Vec<[i64; 2]>,
}

impl Source {
    /// Opens the store `path` that was moved into `folder`, soon; `None` if nothing of it can be read.
    pub(super) fn open(folder: &Path, path: &Path) -> Result<Option<Self>, StoreError> {
        Self::open_as(folder, path, |_, _| Ok(Mended::default()))
    }

    /// Also with what hangs below pages that are lost: for that all may have to be read once.
    pub(super) fn open_whole(folder: &Path, path: &Path) -> Result<Option<Self>, StoreError> {
        Self::open_as(folder, path, orphans::find)
    }

    fn open_as(
        folder: &Path,
        path: &Path,
        mend: impl FnOnce(&Connection, &mut Pages) -> Result<Mended, StoreError>,
    ) -> Result<Option<Self>, StoreError> {
        let moved = folder.join(name_of(path, ""));
        let unreadable = |source| StoreError::Unreadable {
            path: moved.display().to_string(),
            source,
        };
        let (view, pages) = match view(folder, &moved) {
            Ok(Some(pages)) => (folder.join(VIEW), Some(pages)),
            Ok(None) => return Ok(None),
            Err(error) if reserve::is_lack_of_room(&error) => {
                close(folder);
                return Err(unreadable(error));
            }
            // No second name for a file on this file system: without what only the view has.
            Err(_) if moved.exists() => (moved.clone(), None),
            Err(error) => return Err(unreadable(error)),
        };
        let opened = connect(&view).and_then(|connection| {
            let Some(mut pages) = pages else {
                return Ok((connection, Vec::new()));
            };
            let mended = mend(&connection, &mut pages)?;
            if mended.pages.is_empty() {
                return Ok((connection, Vec::new()));
            }
            drop(connection);
            pages.write_log(&view, &mended.pages).map_err(unreadable)?;
            Ok((connect(&view)?, mended.late))
        });
        match opened {
            Ok((connection, late)) => Ok(Some(Self {
                connection,
                moved,
                late,
            })),
            Err(error) if Damage::at_start(&error).is_some() => check_disk(&moved).map(|()| None),
            Err(error) => Err(error),
        }
    }

    /// Whether it is a reading that could not be read at the beginning.
    pub(super) fn is_late(&self, reading: i64) -> bool {
        let mut late = self.late.iter();
        late.any(|[first, last]| (*first..=*last).contains(&reading))
    }

    /// An error if the disk gives nothing at all: what seems lost may come back with it.
    pub(super) fn check_disk(&self) -> Result<(), StoreError> {
        check_disk(&self.moved)
    }

    /// The names of the columns of a table and what their values are said to be; none: it is not there.
    pub(super) fn columns(&self, table: &str) -> Result<Vec<(String, String)>, StoreError> {
        let mut select = self
            .connection
            .prepare("SELECT name, type FROM pragma_table_info(?1)")?;
        // A name with a byte that has changed may be no text any more.
        let text = |row: &Row<'_>, column| -> rusqlite::Result<String> {
            let text = row.get_ref(column)?.as_bytes().unwrap_or_default();
            Ok(String::from_utf8_lossy(text).into_owned())
        };
        let columns = select.query_map([table], |row| Ok((text(row, 0)?, text(row, 1)?)))?;
        Ok(columns.collect::<Result<_, _>>()?)
    }

    /// These columns of a table, as far as it has them; NULL for the others, which a later schema brought.
    pub(super) fn list(&self, table: &str, columns: &[&str]) -> Result<String, StoreError> {
        let there = self.columns(table)?;
        let one = |column: &&str| {
            if there.iter().any(|(name, _)| name == column) {
                (*column).to_owned()
            } else {
                format!("NULL AS {column}")
            }
        };
        Ok(columns.iter().map(one).collect::<Vec<_>>().join(", "))
    }

    /// The row of a query that gives one at the most; `None` also if it cannot be read.
    pub(super) fn one<T>(
        &self,
        query: &str,
        values: impl rusqlite::Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        let found = self
            .connection
            .prepare_cached(query)
            .and_then(|mut select| select.query_row(values, read).optional());
        readable(found.map_err(StoreError::from)).map(Option::flatten)
    }
}

fn connect(view: &Path) -> Result<Connection, StoreError> {
    let connection = connection::open_reader_of_damaged(view)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

/// What was read, or nothing where damage is in the way.
pub(super) fn readable<T>(found: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if Damage::at_start(&error).is_some() => Ok(None),
        Err(error) => Err(error),
    }
}

fn check_disk(moved: &Path) -> Result<(), StoreError> {
    let files = ["", "-wal"].map(|suffix| File::open(beside(moved, suffix)));
    if files.iter().flatten().any(sectors::answers) {
        return Ok(());
    }
    Err(StoreError::Unreadable {
        path: moved.display().to_string(),
        source: Errno::IO.into(),
    })
}

/// Removes the view.
pub(super) fn close(folder: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        // A file that stays costs room, nothing else.
        fs::remove_file(beside(&folder.join(VIEW), suffix)).ok();
    }
}

/// Makes the view; `None` if there is nothing to be seen.
fn view(folder: &Path, moved: &Path) -> io::Result<Option<Pages>> {
    close(folder);
    let view = folder.join(VIEW);
    if fs::metadata(moved).map_or(0, |metadata| metadata.len()) == 0 {
        // A database without contents takes its log with it.
        File::create_new(&view)?.set_len(USUAL_PAGE as u64)?;
    } else {
        link(moved, &view)?;
    }
    let mut pages = Pages::of(moved, &view)?;
    if let Some(pages) = &mut pages {
        pages.write_log(&view, &BTreeMap::new())?;
    }
    Ok(pages)
}

/// Gives a file a second name. Where its header cannot be read SQLite opens none of it: that takes a copy.
fn link(moved: &Path, view: &Path) -> io::Result<()> {
    let mut file = File::open(moved)?;
    match file.read_exact(&mut [0; HEADER]) {
        Err(error) if sectors::is_of_reading(&error) => {
            io::copy(&mut Patched::of(file)?, &mut File::create_new(view)?).map(drop)
        }
        _ => fs::hard_link(moved, view),
    }
}

/// Where the moved store lies.
pub(super) fn folder(path: &Path, name: &str) -> PathBuf {
    path.with_file_name(name)
}
