//! Opening the file: pragmas, the lock against a second gateway, migrations.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{self, Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, TransactionBehavior, config::DbConfig};

use super::StoreError;

/// Forward only: the file's `user_version` counts how many of them it has.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_init.sql"),
    include_str!("migrations/0002_sessions.sql"),
    include_str!("migrations/0003_alerts.sql"),
    include_str!("migrations/0004_owed.sql"),
    include_str!("migrations/0005_uplinks.sql"),
    include_str!("migrations/0006_dead_letters.sql"),
    include_str!("migrations/0007_rules.sql"),
    include_str!("migrations/0008_rules_behind.sql"),
    include_str!("migrations/0009_open_alerts.sql"),
    include_str!("migrations/0010_blocks.sql"),
    include_str!("migrations/0011_packed.sql"),
    include_str!("migrations/0012_salvage.sql"),
    include_str!("migrations/0013_clock.sql"),
    include_str!("migrations/0014_outbox_counts.sql"),
];

/// The schema of this version.
pub(super) const KNOWN_SCHEMA: i64 = MIGRATIONS.len() as i64;

/// Of a page of a new file: a commit writes whole pages, and a card wears by them (decision 8).
pub(super) const PAGE_BYTES: u16 = 1024;

/// How long a statement waits for another process that holds a lock, such as an SQLite shell.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Pages that a connection keeps in memory, in KiB. What SQLite remembers of each comes on top: with pages of 1 KiB it is a quarter.
const CACHE_KIB: u32 = 1600;

/// More than there are, so that none is prepared twice.
const CACHED_STATEMENTS: usize = 64;

/// Holds the store for this process until it is dropped.
#[derive(Debug)]
pub(super) struct StoreLock {
    _file: File,
}

/// Creates the folder and takes the lock; a second gateway on the same store is refused.
pub(super) fn lock(path: &Path) -> Result<StoreLock, StoreError> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        create_folder(folder).map_err(|source| StoreError::Folder {
            folder: folder.display().to_string(),
            source,
        })?;
    }
    let lock_path = beside(path, "-lock");
    let shown = || lock_path.display().to_string();
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock_path)
        .map_err(|source| StoreError::Lock {
            path: shown(),
            source,
        })?;
    match file.try_lock() {
        Ok(()) => Ok(StoreLock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse {
            path: path.display().to_string(),
        }),
        Err(TryLockError::Error(source)) => Err(StoreError::Lock {
            path: shown(),
            source,
        }),
    }
}

/// Creates a folder, and sees to it that it is there after a power cut: SQLite does that only for what is in it.
fn create_folder(folder: &Path) -> io::Result<()> {
    let folder = path::absolute(folder)?;
    let new = folder.ancestors().take_while(|above| !above.is_dir());
    let new = new.count();
    fs::create_dir_all(&folder)?;
    // Also when it was there: whoever made it may have been killed before it was safe.
    for above in folder.ancestors().skip(1).take(new.max(1)) {
        // One that may not be read is not ours either.
        if let Ok(above) = File::open(above) {
            above.sync_all()?;
        }
    }
    Ok(())
}

/// The path of a file that belongs to the database, such as its write-ahead log (`-wal`).
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Opens the one write connection: WAL, and an fsync of the log before each COMMIT returns.
#[expect(clippy::disallowed_methods, reason = "the one lawful site for writing")]
pub(super) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Dropped, it leaves the log: a sync of the database may have failed to make safe what is in it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // Only a new file takes these. Space can be given back bit by bit.
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update(None, "auto_vacuum", "incremental")?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::NoWriteAheadLog {
            path: path.display().to_string(),
            mode,
        });
    }
    connection.pragma_update(None, "synchronous", "full")?;
    // Its failure would not be told: see `checkpoints`.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "cache_size", -i64::from(CACHE_KIB))?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    migrate(&mut connection)?;
    Ok(connection)
}

/// Closes a database that nobody else has open, with all of it in its one file and synced.
pub(super) fn close_new(connection: Connection) -> Result<(), StoreError> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    close_without_log(connection)
}

/// Closes a writer, and takes the log away unless somebody reads.
pub(super) fn close_without_log(connection: Connection) -> Result<(), StoreError> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    connection.close().map_err(|(_, error)| error.into())
}

/// Opens a connection that copies the log into the database, and does nothing else: no sync either. What commits show is synced in the
/// log, and who copies syncs the database.
#[expect(clippy::disallowed_methods, reason = "it writes nothing of its own")]
pub(super) fn open_copier(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "synchronous", "off")?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(connection)
}

/// Opens a look at the store as it is, which lasts until it is closed.
pub(super) fn open_pin(path: &Path) -> Result<Connection, StoreError> {
    let pin = open_reader(path)?;
    pin.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema")?;
    Ok(pin)
}

/// Opens a connection that cannot write.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let connection = open_to_read(path)?;
    connection.pragma_update(None, "cache_size", -i64::from(CACHE_KIB))?;
    Ok(connection)
}

/// As [`open_reader`], where the schema may be damaged: with what of it makes sense.
pub(super) fn open_reader_of_damaged(path: &Path) -> Result<Connection, StoreError> {
    let connection = open_to_read(path)?;
    // Ahead of the first statement that reads the schema, as that about the cache does.
    connection.pragma_update(None, "writable_schema", true)?;
    connection.pragma_update(None, "cache_size", -i64::from(CACHE_KIB))?;
    Ok(connection)
}

#[expect(clippy::disallowed_methods, reason = "the one lawful site for reading")]
fn open_to_read(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}

/// A database with nothing but the tables as they are now.
pub(super) fn open_empty() -> Result<Connection, StoreError> {
    let mut connection = Connection::open_in_memory()?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// All of what is missing in one transaction: a start that is cut short, or finds the disk full, leaves a file that the version
/// before can still read.
fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if KNOWN_SCHEMA < found {
        return Err(StoreError::Newer {
            found,
            known: KNOWN_SCHEMA,
        });
    }
    if found == KNOWN_SCHEMA {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", KNOWN_SCHEMA)?;
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Writer;

    #[test]
    fn an_ack_stands_on_wal_and_full_sync() {
        let folder = tempfile::tempdir().unwrap();
        let connection = open_writer(&folder.path().join("gateway.db")).unwrap();
        let text = |name| -> String {
            connection
                .pragma_query_value(None, name, |row| row.get(0))
                .unwrap()
        };
        let number = |name| -> i64 {
            connection
                .pragma_query_value(None, name, |row| row.get(0))
                .unwrap()
        };
        assert_eq!(text("journal_mode"), "wal");
        assert_eq!(number("synchronous"), 2, "2 is FULL");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "as an older gateway left it")]
    fn what_an_older_gateway_left_is_taken_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.db");
        let older = Connection::open(&path).unwrap();
        for migration in &MIGRATIONS[..2] {
            older.execute_batch(migration).unwrap();
        }
        older.pragma_update(None, "user_version", 2).unwrap();
        older
            .execute_batch(
                "INSERT INTO counter VALUES (1, 'abc', 9, 4, 2, 0, 1, 0);
                 INSERT INTO sensor VALUES (1, 's1', 0, NULL, NULL);
                 INSERT INTO reading VALUES (1, 1, 60, 7, 0, NULL, NULL), (2, 1, 90, 8, 0, NULL, '{\"a\":1}'),
                                            (3, 1, 10, 9, 0, NULL, NULL), (4, 1, 95, 9, 0, NULL, NULL);
                 INSERT INTO alert VALUES (1, 1, 'high', 'raised', 1, 90, 8, 2), (2, 2, 'high', 'raised', 1, 95, 9, 4);
                 INSERT INTO outbox_entry VALUES (1), (2), (4);
                 INSERT INTO batch VALUES (1, 'edge-1', 'batch', 'gzip', x'0101');
                 INSERT INTO retained VALUES ('alerts/s1', x'61', 1, 8, '', NULL), ('alerts', x'62', 1, 8, '', NULL);
                 INSERT INTO dead_letter VALUES (1, 3, 400, 'no', 5);",
            )
            .unwrap();
        drop(older);
        let writer = Writer::open(&path).unwrap();
        let reader = writer.reader();
        assert_eq!(reader.outbox_pending(None), 3);
        assert_eq!(reader.uplinks().len(), 1);
        let alerts = writer.last_alerts(&"edge-1".into(), 9).unwrap();
        assert_eq!((alerts.len(), alerts[0].value), (1, 95.0));
        let retained = writer.broker_state().unwrap().retained;
        assert_eq!((retained.len(), retained[0].topic.as_str()), (1, "alerts"));
        let letters = reader.dead_letters(0, None, 9).unwrap().0;
        assert_eq!((letters.len(), &*letters[0].uplink), (1, "cloud"));
    }

    #[test]
    fn a_newer_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.db");
        let connection = open_writer(&path).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        drop(connection);
        assert!(matches!(
            open_writer(&path),
            Err(StoreError::Newer { found: 99, .. })
        ));
    }

    #[test]
    fn a_second_gateway_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/gateway.db");
        let _held = lock(&path).unwrap();
        assert!(matches!(lock(&path), Err(StoreError::InUse { .. })));
    }

    #[test]
    fn the_hot_table_has_no_second_index() {
        let folder = tempfile::tempdir().unwrap();
        let connection = open_writer(&folder.path().join("gateway.db")).unwrap();
        let indexes: i64 = connection
            .query_row(
                "SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND tbl_name IN ('reading', 'outbox_entry', 'alert')",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(indexes, 0);
    }
}
