//! SQLite's write-ahead log, and what a failed sync does to it and to the database.
//!
//! A sync that failed says nothing of what it should have written, and the next one may succeed without it: the system
//! takes the pages for written, and shows them until it forgets them. So nothing that a failed sync was to make safe is
//! taken for safe before it was written again and synced by a sync of its own:
//!
//! - A group whose sync failed is written again to the same place in the log, or, where it turned out to be there, the log
//!   is written over itself ([`write_log_again`]). So is what a former process has left: its last sync may have failed.
//! - Pages that were copied into the database, with a sync that failed, are copied again. SQLite does that for those that
//!   the failed copying took, not for those before them, which it has counted as copied: [`Checkpoints::copy_again`].
//!
//! SQLite does not say when the copying that it does by itself fails. So it never does it; [`Checkpoints`] does.
//!
//! Nobody is acknowledged while the committer copies. So most of a log is copied ahead by a thread of its own, while commits go on, and
//! the committer copies the last of it. The thread never copies all: a log that counts as copied in full may begin anew, and what was
//! copied ahead is synced only after it counts. A look at the store that was opened a commit before ([`Ahead::pin`]) sees to that.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rusqlite::{Connection, ErrorCode};

use super::StoreError;
use super::connection::{self, beside};

/// The log is copied into the database when its pages have so many bytes. Larger means fewer
/// rewrites of the same page and a larger file beside the database.
pub(super) const LOG_BYTES: u64 = 16 << 20;

/// So long a part of the log, by how long it may be: the committer itself copies no more where it can be avoided, and as much is
/// new before it is copied ahead once more. That begins with eight of them, and the committer may end it from twelve on.
const SHORT: u64 = 16;

/// Lengths of the log's header and of that of each page in it.
const HEADER: u64 = 32;
const PAGE_HEADER: u64 = 24;

/// When the log is copied, and whether that can be trusted.
#[derive(Debug)]
pub(super) struct Checkpoints {
    database: PathBuf,
    /// Bytes of pages in the log with which it is copied.
    bytes: u64,
    /// Of one of them, once that is known.
    page: Option<u64>,
    /// The last copying failed, perhaps in its sync.
    is_doubtful: bool,
    /// Once it is open it stays so: closing it would take SQLite's locks away from this process.
    file: Option<Arc<File>>,
    ahead: Option<Ahead>,
    /// How long the log was when the last of them began.
    ahead_from: u64,
    trouble: Option<StoreError>,
}

/// Copying beside the commits.
#[derive(Debug)]
struct Ahead {
    /// A look at the store: what was committed after it is not copied.
    pin: Connection,
    /// Of the log when it was opened.
    pages: u64,
    /// From the next commit on.
    copier: Option<JoinHandle<Result<(), StoreError>>>,
}

/// How many pages the log has, and how many of them SQLite counts as copied.
struct Status {
    pages: u64,
    copied: u64,
}

impl Checkpoints {
    pub(super) fn of(database: &Path) -> Self {
        Self {
            database: database.to_owned(),
            bytes: LOG_BYTES,
            page: None,
            // The process before may have been killed between copying and syncing.
            is_doubtful: true,
            file: None,
            ahead: None,
            ahead_from: 0,
            trouble: None,
        }
    }

    /// Copies it when it has so many bytes, and does not let its file stay larger than twice that.
    pub(super) fn bound(&mut self, connection: &Connection, bytes: u64) -> Result<(), StoreError> {
        self.bytes = bytes;
        let limit = i64::try_from(2 * bytes).unwrap_or(i64::MAX);
        connection.pragma_update_and_check(None, "journal_size_limit", limit, |_| Ok(()))?;
        Ok(())
    }

    /// As long as readers of the connection before, after it was opened anew.
    pub(super) fn bound_again(&mut self, connection: &Connection) -> Result<(), StoreError> {
        if self.bytes == LOG_BYTES {
            return Ok(());
        }
        self.bound(connection, self.bytes)
    }

    /// What keeps the log from being copied.
    pub(super) fn trouble(&self) -> Option<&StoreError> {
        self.trouble.as_ref()
    }

    /// Copies the log if it is long, or if that failed before.
    pub(super) fn copy_if_due(&mut self, connection: &Connection) {
        self.trouble = self.copy_what_is_due(connection).err();
    }

    fn copy_what_is_due(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let copier = self.ahead.as_ref().and_then(|ahead| ahead.copier.as_ref());
        if copier.is_some_and(JoinHandle::is_finished) {
            self.end_ahead();
        }
        if self.is_doubtful {
            return self.copy_if_free(connection, "PASSIVE");
        }
        let Status { pages, copied } = status(connection)?;
        let page = self.page_bytes(connection)?;
        let (bytes, left) = (pages * page, pages.saturating_sub(copied) * page);
        let short = self.bytes / SHORT;
        let is_short = 12 * short <= bytes && left <= short && self.ahead.is_none();
        if 0 < left && (self.bytes <= bytes || is_short) {
            return self.copy_if_free(connection, "PASSIVE");
        }
        let is_new = bytes < self.ahead_from || self.ahead_from + short <= bytes;
        if let Some(ahead) = &self.ahead {
            if ahead.copier.is_none() && ahead.pages < pages {
                // If it cannot begin now, it may be with the next commit; if never, the committer will tell.
                self.copy_ahead().ok();
            }
        } else if 8 * short <= bytes && short < left && is_new {
            self.ahead_from = bytes;
            let pin = connection::open_pin(&self.database).ok();
            self.ahead = pin.map(|pin| Ahead {
                pin,
                pages,
                copier: None,
            });
        }
        Ok(())
    }

    /// Begins to copy beside the commits, up to where the log was pinned.
    fn copy_ahead(&mut self) -> Result<(), StoreError> {
        let (path, file) = (self.database.clone(), self.file()?);
        let copy = move || {
            let copier = connection::open_copier(&path)?;
            copier.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
            file.sync_data().map_err(|source| failed(&path, source))
        };
        let started = thread::Builder::new().name("log copier".to_owned());
        let started = started.spawn(copy);
        let copier = started.map_err(|source| failed(&self.database, source))?;
        if let Some(ahead) = &mut self.ahead {
            ahead.copier = Some(copier);
        }
        Ok(())
    }

    /// Waits for what is copied ahead, if there is something.
    pub(super) fn end_ahead(&mut self) {
        let Some(Ahead { pin, copier, .. }) = self.ahead.take() else {
            return;
        };
        if let Some(copier) = copier {
            self.is_doubtful |= match copier.join() {
                Ok(Ok(())) => false,
                Ok(Err(error)) => is_doubt(&error),
                Err(_) => true,
            };
        }
        drop(pin);
    }

    fn file(&mut self) -> Result<Arc<File>, StoreError> {
        if let Some(file) = &self.file {
            return Ok(Arc::clone(file));
        }
        let opened = File::options().write(true).open(&self.database);
        let opened = opened.map_err(|source| failed(&self.database, source))?;
        Ok(Arc::clone(self.file.insert(Arc::new(opened))))
    }

    fn page_bytes(&mut self, connection: &Connection) -> Result<u64, StoreError> {
        if let Some(bytes) = self.page {
            return Ok(bytes);
        }
        let bytes: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        Ok(*self.page.insert(bytes.unsigned_abs()))
    }

    /// Copies the log into the database and syncs it; an error if a reader kept part of it from being copied.
    pub(super) fn copy(&mut self, connection: &Connection, mode: &str) -> Result<(), StoreError> {
        self.end_ahead();
        if self.is_doubtful {
            self.copy_again(connection)?;
        }
        let copy = format!("PRAGMA wal_checkpoint({mode})");
        let copied = connection.query_row(&copy, [], |row| row.get::<_, i64>(0));
        let copied = copied.map_err(StoreError::from);
        self.is_doubtful = copied.as_ref().is_err_and(is_doubt);
        match copied? {
            0 => Ok(()),
            _ => Err(StoreError::CheckpointBusy),
        }
    }

    /// As far as no reader is in the way.
    pub(super) fn copy_if_free(
        &mut self,
        connection: &Connection,
        mode: &str,
    ) -> Result<(), StoreError> {
        match self.copy(connection, mode) {
            Err(StoreError::CheckpointBusy) => Ok(()),
            other => other,
        }
    }

    /// Another file is the database now.
    pub(super) fn renew(&mut self) {
        (self.file, self.is_doubtful) = (None, false);
    }

    /// Whether the database may lack what SQLite takes for copied.
    pub(super) fn is_doubtful(&self) -> bool {
        self.is_doubtful
    }

    /// Copies what SQLite counts as copied once more, and syncs it.
    fn copy_again(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let Status { copied, .. } = status(connection)?;
        if copied == 0 {
            return Ok(());
        }
        let file = self.file()?;
        let again = (|| {
            copy_pages(&File::open(beside(&self.database, "-wal"))?, &file, copied)?;
            file.sync_all()
        })();
        again.map_err(|source| failed(&self.database, source))
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.end_ahead();
    }
}

/// Whether a sync may have failed: a database that cannot grow was not synced, and nothing counts as copied for it.
fn is_doubt(error: &StoreError) -> bool {
    !matches!(error, StoreError::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull))
}

fn failed(path: &Path, source: io::Error) -> StoreError {
    StoreError::Log {
        path: path.display().to_string(),
        source,
    }
}

fn status(connection: &Connection) -> Result<Status, StoreError> {
    let mut look = connection.prepare_cached("PRAGMA wal_checkpoint(NOOP)")?;
    // -1: there is none.
    let number = |number: i64| u64::try_from(number).unwrap_or(0);
    let status = look.query_row([], |row| {
        Ok(Status {
            pages: number(row.get(1)?),
            copied: number(row.get(2)?),
        })
    })?;
    Ok(status)
}

/// Copies the first so many pages of the log to their places, each as it is last among them.
fn copy_pages(log: &File, database: &File, count: u64) -> io::Result<()> {
    let mut header = [0; HEADER as usize];
    log.read_exact_at(&mut header, 0)?;
    let size = u64::from(four(&header[8..]));
    let mut last = HashMap::new();
    for place in 0..count {
        let at = HEADER + place * (PAGE_HEADER + size);
        let mut number = [0; 4];
        log.read_exact_at(&mut number, at)?;
        last.insert(four(&number), at + PAGE_HEADER);
    }
    let mut page = vec![0; size as usize];
    for (number, at) in last {
        log.read_exact_at(&mut page, at)?;
        database.write_all_at(&page, (u64::from(number) - 1) * size)?;
    }
    Ok(())
}

fn four(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// Writes the log over itself and syncs it, so that what can be read of it is safe. Nobody may be writing to it.
pub(super) fn write_log_again(database: &Path) -> Result<(), StoreError> {
    let path = beside(database, "-wal");
    let unreadable = |source| StoreError::Unreadable {
        path: path.display().to_string(),
        source,
    };
    let log = match File::options().read(true).write(true).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened.map_err(|source| failed(&path, source))?,
    };
    let mut chunk = vec![0; 1 << 20];
    let mut at = 0;
    loop {
        match log.read_at(&mut chunk, at).map_err(unreadable)? {
            0 => return log.sync_all().map_err(|source| failed(&path, source)),
            count => {
                let written = log.write_all_at(&chunk[..count], at);
                written.map_err(|source| failed(&path, source))?;
                at += count as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::connection::{open_reader, open_writer};

    /// What a sync dropped is in the log alone.
    #[test]
    fn pages_that_were_counted_as_copied_are_copied_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.db");
        let connection = open_writer(&path).unwrap();
        let mut checkpoints = Checkpoints::of(&path);
        checkpoints.copy(&connection, "TRUNCATE").unwrap();
        let before = std::fs::read(&path).unwrap();
        connection
            .execute_batch("CREATE TABLE t (v); INSERT INTO t VALUES (randomblob(20000))")
            .unwrap();
        // It keeps the log from being copied in full.
        let old = open_reader(&path).unwrap();
        old.execute_batch("BEGIN; SELECT count(*) FROM t").unwrap();
        connection
            .execute_batch("INSERT INTO t VALUES (1)")
            .unwrap();
        checkpoints.copy_if_free(&connection, "PASSIVE").unwrap();
        let status = status(&connection).unwrap();
        assert!(0 < status.copied && status.copied < status.pages);
        let copied = std::fs::read(&path).unwrap();
        assert!(before != copied);
        let database = File::options().write(true).open(&path).unwrap();
        database.write_all_at(&before, 0).unwrap();
        checkpoints.is_doubtful = true;
        checkpoints.copy_again(&connection).unwrap();
        let again = std::fs::read(&path).unwrap();
        let pages = |bytes: &[u8]| bytes.chunks(1024).map(<[u8]>::to_vec).collect::<Vec<_>>();
        let (before, copied, again) = (pages(&before), pages(&copied), pages(&again));
        for (number, page) in copied.iter().enumerate() {
            // One that is in the rest of the log as well was left out by SQLite.
            if before.get(number) != Some(page) {
                assert!(again[number] == *page, "page {number}");
            }
        }
    }

    const INSERT: &str = "INSERT INTO t VALUES (randomblob(900))";

    /// A log of some 52 KiB, which is copied ahead from 32 KiB on and has 64 KiB at the most, and what copies it.
    fn long_log(path: &Path) -> (Connection, Checkpoints) {
        let connection = open_writer(path).unwrap();
        let mut checkpoints = Checkpoints::of(path);
        checkpoints.copy(&connection, "TRUNCATE").unwrap();
        checkpoints.bound(&connection, 64 << 10).unwrap();
        connection
            .execute_batch("CREATE TABLE t (v); INSERT INTO t VALUES (randomblob(40000))")
            .unwrap();
        (connection, checkpoints)
    }

    fn pages(connection: &Connection) -> (u64, u64) {
        let Status { pages, copied } = status(connection).unwrap();
        (pages, copied)
    }

    #[test]
    fn most_of_a_log_is_copied_ahead_never_all_and_the_last_of_it_by_the_committer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.db");
        let (connection, mut checkpoints) = long_log(&path);
        checkpoints.copy_if_due(&connection);
        let (pinned, _) = pages(&connection);
        assert!(checkpoints.ahead.as_ref().unwrap().copier.is_none());
        checkpoints.copy_if_due(&connection);
        let ahead = checkpoints.ahead.as_ref().unwrap();
        assert!(ahead.copier.is_none(), "nothing was committed since");
        connection.execute_batch(INSERT).unwrap();
        checkpoints.copy_if_due(&connection);
        assert!(checkpoints.ahead.as_ref().unwrap().copier.is_some());
        checkpoints.end_ahead();
        let (all, copied) = pages(&connection);
        assert_eq!(copied, pinned);
        assert!(copied < all);
        // As long as it is not so long that the committer may end it.
        while pages(&connection).0 < 48 {
            connection.execute_batch(INSERT).unwrap();
        }
        while pages(&connection).0 != pages(&connection).1 {
            assert!(pages(&connection).0 < 64);
            connection.execute_batch(INSERT).unwrap();
            checkpoints.copy_if_due(&connection);
        }
        assert!(checkpoints.trouble().is_none());
        let rows = |connection: &Connection| -> i64 {
            let count = "SELECT count(*) FROM t";
            connection.query_row(count, [], |row| row.get(0)).unwrap()
        };
        let before = rows(&connection);
        drop((connection, checkpoints));
        assert_eq!(rows(&open_reader(&path).unwrap()), before);
    }

    #[test]
    fn what_could_not_be_copied_ahead_is_copied_again_by_the_committer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.db");
        let full = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL);
        let full = || StoreError::Sqlite(rusqlite::Error::SqliteFailure(full, None));
        let broken = || failed(Path::new("a"), io::ErrorKind::Other.into());
        let ends: [(bool, Box<dyn Fn() -> StoreError + Send + Sync>); 2] =
            [(true, Box::new(broken)), (false, Box::new(full))];
        for (is_doubtful, error) in ends {
            std::fs::remove_file(&path).ok();
            let (connection, mut checkpoints) = long_log(&path);
            let error = error();
            checkpoints.ahead = Some(Ahead {
                pin: open_reader(&path).unwrap(),
                pages: 0,
                copier: Some(thread::spawn(|| Err(error))),
            });
            checkpoints.end_ahead();
            assert_eq!(checkpoints.is_doubtful(), is_doubtful);
            checkpoints.copy_if_due(&connection);
            assert!(!checkpoints.is_doubtful());
            let (pages, copied) = pages(&connection);
            assert_eq!(pages == copied, is_doubtful);
        }
    }

    #[test]
    fn a_log_that_is_written_over_itself_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.db");
        write_log_again(&path).unwrap();
        let connection = open_writer(&path).unwrap();
        let log = || std::fs::read(beside(&path, "-wal")).unwrap();
        let before = log();
        assert!(!before.is_empty());
        write_log_again(&path).unwrap();
        assert!(before == log());
        drop(connection);
    }
}
