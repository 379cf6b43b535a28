//! Files beside the store: opening them, and putting a new one in its place.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::CareError;
use crate::store::{Damage, StoreError, connection};

/// What lies beside a database and belongs to it.
pub(super) const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// Pages that stay in memory while a file is written, in KiB.
const CACHE_KIB: i64 = 8192;

/// A store that is only looked at; a gateway may be writing to it. Comes with the number of its schema.
pub(super) fn open_to_read(path: &Path) -> Result<(Connection, i64), CareError> {
    let shown = path.display().to_string();
    match path.metadata() {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => {
            let reason = "it is no file".to_owned();
            return Err(CareError::NotAStore {
                path: shown,
                reason,
            });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(CareError::Missing { path: shown });
        }
        Err(error) => return Err(CareError::at(path)(error)),
    }
    let opened = connection::open_reader(path).and_then(|connection| {
        let schema: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let has_counters = connection
            .prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'counter'")?
            .exists([])?;
        Ok((connection, schema, has_counters))
    });
    let not_a_store = |reason: String| CareError::NotAStore {
        path: shown.clone(),
        reason,
    };
    match opened {
        Ok((_, _, false)) => Err(not_a_store("it has other tables".to_owned())),
        Ok((_, found, true)) if connection::KNOWN_SCHEMA < found => {
            let known = connection::KNOWN_SCHEMA;
            Err(StoreError::Newer { found, known }.into())
        }
        Ok((connection, schema, true)) => Ok((connection, schema)),
        Err(StoreError::Sqlite(error))
            if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) =>
        {
            Err(not_a_store("it is no SQLite database".to_owned()))
        }
        Err(error) if Damage::of(&error).is_some() => Err(CareError::Damaged {
            path: shown.clone(),
            count: 1,
            first: error.to_string(),
        }),
        Err(other) => Err(other.into()),
    }
}

/// As [`open_to_read`], for what knows only the newest schema.
pub(super) fn open_present(path: &Path) -> Result<Connection, CareError> {
    match open_to_read(path)? {
        (connection, schema) if schema == connection::KNOWN_SCHEMA => Ok(connection),
        (_, found) => Err(CareError::Older {
            path: path.display().to_string(),
            found,
            known: connection::KNOWN_SCHEMA,
        }),
    }
}

/// Bytes that the pages of a database take which are not free.
pub(super) fn bytes_in_use(connection: &Connection) -> Result<u64, CareError> {
    let number = |name: &str| -> rusqlite::Result<i64> {
        connection.pragma_query_value(None, name, |row| row.get(0))
    };
    let pages = number("page_count")? - number("freelist_count")?;
    Ok(pages.unsigned_abs() * number("page_size")?.unsigned_abs())
}

/// Refuses what would not fit beside this file.
pub(super) fn has_room(file: &Path, needed: u64) -> Result<(), CareError> {
    let folder = folder_of(file);
    // Where the system does not say, the writing will.
    let Ok(found) = rustix::fs::statvfs(folder) else {
        return Ok(());
    };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    if needed <= free {
        return Ok(());
    }
    Err(CareError::NoRoom {
        folder: folder.display().to_string(),
        needed,
        free,
    })
}

/// The folder of a file.
pub(super) fn folder_of(file: &Path) -> &Path {
    let folder = file.parent().filter(|path| !path.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// What is in a folder is there also after a power cut.
pub(super) fn sync_folder_of(file: &Path) -> Result<(), CareError> {
    let folder = folder_of(file);
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(CareError::at(folder))
}

/// A file that becomes another one when it is whole; nobody else makes the same.
#[derive(Debug)]
pub(super) struct Partial {
    path: PathBuf,
    file: File,
    is_placed: bool,
}

impl Partial {
    /// Makes it, empty, beside `file`. What a former try has left is gone.
    pub(super) fn beside(file: &Path, suffix: &str) -> Result<Self, CareError> {
        let path = connection::beside(file, suffix);
        let partial = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(CareError::at(&path))?;
        let is_ours = || -> io::Result<bool> {
            match partial.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(false),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // The other one may have ended in this moment.
            Ok(partial.metadata()?.ino() == path.metadata()?.ino())
        };
        if !is_ours().map_err(CareError::at(&path))? {
            let path = file.display().to_string();
            return Err(CareError::Busy { path });
        }
        partial.set_len(0).map_err(CareError::at(&path))?;
        Ok(Self {
            path,
            file: partial,
            is_placed: false,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// To be written without a journal: a file that is not whole is thrown away.
    #[expect(clippy::disallowed_methods, reason = "nothing is acknowledged from it")]
    pub(super) fn open(&self) -> Result<Connection, CareError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.pragma_update_and_check(None, "journal_mode", "off", |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "off")?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.pragma_update(None, "foreign_keys", "off")?;
        Ok(connection)
    }

    /// Writes all that a database has into it, and nothing that it has not; so that space can be given back bit by bit.
    pub(super) fn vacuum_from(&self, source: &Connection) -> Result<(), CareError> {
        let path = self.path.to_string_lossy();
        let mode: i64 = source.pragma_query_value(None, "auto_vacuum", |row| row.get(0))?;
        if mode == 0 {
            source.pragma_update(None, "auto_vacuum", "incremental")?;
        }
        source.pragma_update(None, "page_size", connection::PAGE_BYTES)?;
        source.execute("VACUUM INTO ?1", [&*path])?;
        Ok(())
    }

    /// What was written up to now is on disk.
    pub(super) fn sync(&self) -> Result<(), CareError> {
        self.file.sync_all().map_err(CareError::at(&self.path))
    }

    /// Takes over who may read the file of this path, where it can.
    pub(super) fn belong_as(&self, other: &Path) {
        if let Ok(of) = other.metadata() {
            self.file.set_permissions(of.permissions()).ok();
        }
        let owner = other.metadata().or_else(|_| folder_of(other).metadata());
        if let Ok(of) = owner {
            // Only root may give files away; everybody else's are his already.
            chown(&self.path, Some(of.uid()), Some(of.gid())).ok();
        }
    }

    /// Puts it, synced, in the place of `file`.
    pub(super) fn place(mut self, file: &Path, overwrite: bool) -> Result<(), CareError> {
        self.sync()?;
        let flags = if overwrite {
            RenameFlags::empty()
        } else {
            RenameFlags::NOREPLACE
        };
        let exists = || CareError::Exists {
            path: file.display().to_string(),
        };
        match renameat_with(CWD, &self.path, CWD, file, flags) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Err(exists()),
            // Not every file system can refuse.
            Err(Errno::INVAL | Errno::NOSYS) => {
                if !overwrite && file.exists() {
                    return Err(exists());
                }
                fs::rename(&self.path, file).map_err(CareError::at(file))?;
            }
            Err(error) => return Err(CareError::at(file)(error.into())),
        }
        self.is_placed = true;
        sync_folder_of(file)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_placed {
            fs::remove_file(&self.path).ok();
        }
    }
}

/// Holds the store, so that no gateway starts on it.
pub(super) fn hold(path: &Path) -> Result<connection::StoreLock, CareError> {
    connection::lock(path).map_err(|error| match error {
        StoreError::InUse { path } => CareError::Runs { path },
        other => other.into(),
    })
}

/// Copies the log into the database, so that it is one file; false if that cannot be done, or others have it open.
#[expect(clippy::disallowed_methods, reason = "it writes nothing of its own")]
pub(super) fn fold_log(path: &Path) -> bool {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let fold = || -> rusqlite::Result<()> {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        connection.close().map_err(|(_, error)| error)
    };
    fold().is_ok() && !connection::beside(path, COMPANIONS[0]).exists()
}
