//! A damaged store as it can be read. What was moved aside is not written to: beside it lies a view of it, the same file under a
//! second name (or a copy, where its header cannot be read) with a log of its own, which has every page of the old log that is of use
//! and a header as it must be.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, Row};
use rustix::io::Errno;

use crate::store::aside::{self, name_of};
use crate::store::connection::{self, beside};
use crate::store::inspect::{HEADER, PAGES_AT, mend_header};
use crate::store::sectors::{self, Patched};
use crate::store::wal::{Log, LogWriter, USUAL_PAGE, number, read_at};
use crate::store::{Damage, StoreError};

/// Of pages before decision 8.
const FORMER_PAGE: usize = 4096;

/// So much of a file without a header is looked at for where its pages begin, and one in so many has to look like one.
const LOOKED_AT: u64 = 4 << 20;
const SHARE_OF_PAGES: usize = 8;

/// A header may claim so many pages more than there are: what is beyond is no number of pages.
const PLAUSIBLE_PAGES: u32 = 1 << 20;

/// The view's name in the folder.
const VIEW: &str = "salvage.db";

/// A damaged store, open for reading.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) connection: Connection,
    /// The database as it was moved.
    moved: PathBuf,
}

impl Source {
    /// Opens the store `path` that was moved into `folder`; `None` if nothing of it can be read.
    pub(super) fn open(folder: &Path, path: &Path) -> Result<Option<Self>, StoreError> {
        let moved = folder.join(name_of(path, ""));
        let view = match view(folder, &moved) {
            Ok(true) => folder.join(VIEW),
            Ok(false) => return Ok(None),
            // No second name for a file on this file system, or no room: without what only the view has.
            Err(_) if moved.exists() => moved.clone(),
            Err(source) => {
                return Err(StoreError::Unreadable {
                    path: moved.display().to_string(),
                    source,
                });
            }
        };
        let opened = connection::open_reader(&view).and_then(|connection| {
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
            connection.pragma_update(None, "cell_size_check", true)?;
            // Of a schema that is damaged what makes sense of it.
            connection.pragma_update(None, "writable_schema", true)?;
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
            Ok(connection)
        });
        match opened {
            Ok(connection) => Ok(Some(Self { connection, moved })),
            Err(error) if Damage::at_start(&error).is_some() => check_disk(&moved).map(|()| None),
            Err(error) => Err(error),
        }
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

/// Makes the view; false if there is nothing to be seen.
fn view(folder: &Path, moved: &Path) -> io::Result<bool> {
    close(folder);
    let view = folder.join(VIEW);
    let old_log = beside(moved, "-wal");
    let mut log = match File::open(&old_log) {
        Ok(file) => Log::read(&mut BufReader::with_capacity(1 << 16, Patched::of(file)?))?,
        Err(_) => None,
    };
    let length = fs::metadata(moved).map_or(0, |metadata| metadata.len());
    if length == 0 {
        if log.is_none() {
            return Ok(false);
        }
        // A database without contents takes its log with it.
        File::create_new(&view)?.set_len(USUAL_PAGE as u64)?;
    } else {
        link(moved, &view)?;
    }
    let mut database = Patched::of(File::open(&view)?)?;
    let first = first_page_size(&mut database)?;
    let page_size = log.as_ref().map_or(first, |log| log.page_size);
    let (images, committed) = log.take().map(|log| log.images()).unwrap_or_default();
    let mut old_log = File::open(&old_log).and_then(Patched::of).ok();
    let out = BufWriter::new(File::create_new(beside(&view, "-wal"))?);
    let mut writer = LogWriter::begin(out, page_size)?;
    let mut image = vec![0; page_size];
    read_at(&mut database, 0, &mut image)?;
    for (page, at) in images {
        if let Some(old_log) = &mut old_log {
            let mut of_log = vec![0; page_size];
            read_at(old_log, at, &mut of_log)?;
            if page == 1 {
                image = of_log;
            } else {
                writer.add(page, 0, &of_log)?;
            }
        }
    }
    let stored = u32::try_from(length / page_size as u64).unwrap_or(u32::MAX);
    let claimed = number(&image, PAGES_AT).min(stored.saturating_add(PLAUSIBLE_PAGES));
    let pages = stored.max(committed).max(claimed).max(1);
    if !has_schema(&image)
        && let Some(first) = usual_first_page(&view, page_size)?
    {
        image = first;
    }
    mend_header(&mut image, pages);
    writer.add(1, pages, &image)?;
    writer.end()?;
    Ok(true)
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

/// Whether the tree of the schema may begin on this first page of a database.
fn has_schema(page: &[u8]) -> bool {
    matches!(page[HEADER], 5 | 13) && page[HEADER + 3..HEADER + 5] != [0, 0]
}

/// The first page of a store that was just made: until it is written anew as a whole, a store has its schema where it had it then.
fn usual_first_page(view: &Path, page_size: usize) -> io::Result<Option<Vec<u8>>> {
    let new = aside::new_file(view);
    let made = connection::open_writer(&new).and_then(connection::close_new);
    let mut page = vec![0; page_size];
    let read = made.map_err(io::Error::other).and_then(|()| {
        let mut file = File::open(&new)?;
        let has_size = first_page_size(&mut file)? == page_size;
        read_at(&mut file, 0, &mut page)?;
        Ok(has_size.then_some(page))
    });
    // Nothing is left of it.
    aside::new_file(view);
    read
}

/// The size of its pages: ours, unless the header has another one that can be.
fn first_page_size(file: &mut (impl Read + Seek)) -> io::Result<usize> {
    let mut header = [0; HEADER];
    read_at(file, 0, &mut header)?;
    let size = usize::from(u16::from_be_bytes([header[16], header[17]]));
    let is_size = size.is_power_of_two() && (512..=1 << 15).contains(&size);
    if is_size {
        return Ok(size);
    }
    Ok(if has_usual_pages(file)? {
        USUAL_PAGE
    } else {
        FORMER_PAGE
    })
}

/// Whether pages of the usual size begin where none of the former size does.
fn has_usual_pages(file: &mut (impl Read + Seek)) -> io::Result<bool> {
    let length = file.seek(SeekFrom::End(0))?.min(LOOKED_AT);
    let mut beginning = vec![0; length as usize];
    read_at(file, 0, &mut beginning)?;
    let between = beginning.chunks_exact(USUAL_PAGE).enumerate();
    let between = between.filter(|(number, _)| !(number * USUAL_PAGE).is_multiple_of(FORMER_PAGE));
    let (mut all, mut pages) = (0, 0);
    for (_, page) in between {
        all += 1;
        pages += usize::from(may_be_page(page));
    }
    // Between them a page of the former size has anything, and pages of blobs do not show what they are.
    Ok(all == 0 || all < SHARE_OF_PAGES * pages)
}

/// Whether it begins as a page of a tree (SQLite's file format, 1.6): its kind, where its free blocks begin, how many cells it has and
/// where they begin.
fn may_be_page(page: &[u8]) -> bool {
    let two = |at: usize| usize::from(u16::from_be_bytes([page[at], page[at + 1]]));
    let (free, cells, content) = (two(1), two(3), two(5));
    matches!(page[0], 2 | 5 | 10 | 13)
        && free < page.len()
        && (8 + 2 * cells..=page.len()).contains(&content)
}

/// Where the moved store lies.
pub(super) fn folder(path: &Path, name: &str) -> PathBuf {
    path.with_file_name(name)
}
