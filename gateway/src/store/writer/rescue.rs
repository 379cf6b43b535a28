//! Files that were deleted, renamed or replaced under the gateway. The open connection still has all of the contents: they go back to
//! the path before anything more is acknowledged.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rusqlite::Connection;

use super::Writer;
use crate::clock;
use crate::store::connection::{self, beside};
use crate::store::{StoreError, aside};

impl Writer {
    /// Sees to it that what is written is found at the path. An error says that it is not, yet.
    pub(super) fn stay_in_place(&mut self) -> Result<(), StoreError> {
        let missing = self.place.missing();
        if missing.is_empty() {
            return Ok(());
        }
        self.checkpoints.end_ahead();
        // What is in doubt is copied out of the log at its path.
        let is_whole = self.place.is_ours("-wal") || !self.checkpoints.is_doubtful();
        if self.place.is_ours("") && is_whole {
            self.renew_companions()?;
        } else {
            self.write_back()?;
        }
        if !self.place.is_ours("-lock") {
            self._lock = None;
            self._lock = Some(connection::lock(self.place.path())?);
        }
        self.checkpoints.bound_again(&self.connection)?;
        self.place.settle();
        let files: Vec<_> = missing
            .iter()
            .map(|suffix| aside::name_of(self.place.path(), suffix))
            .collect();
        tracing::warn!(
            files = files.join(", "),
            "files of the store were deleted or replaced while it was open: they are there again, with all that was stored"
        );
        Ok(())
    }

    /// The database is there, its log or what belongs to that is not: all of it goes into the database, and a log begins anew.
    fn renew_companions(&mut self) -> Result<(), StoreError> {
        self.place.close_idle();
        self.checkpoints.copy(&self.connection, "TRUNCATE")?;
        self.put_foreign_away(&["-wal", "-shm"])?;
        // Two connections of one process would share what is gone: the old one is closed first.
        drop(std::mem::replace(
            &mut self.connection,
            Connection::open_in_memory()?,
        ));
        self.connection = connection::open_writer(self.place.path())?;
        touch(&self.connection)
    }

    /// The database itself is gone: its contents are written anew.
    fn write_back(&mut self) -> Result<(), StoreError> {
        let path = self.place.path().to_owned();
        let failed = |source: io::Error| StoreError::Aside {
            path: path.display().to_string(),
            source,
        };
        fs::create_dir_all(aside::parent(&path)).map_err(failed)?;
        let new = beside(&path, "-new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        self.connection
            .execute("VACUUM INTO ?1", [new.to_string_lossy()])?;
        File::open(&new)
            .and_then(|file| file.sync_all())
            .map_err(failed)?;
        // From here on a start would go on with it.
        fs::rename(&new, beside(&path, RESCUED)).map_err(failed)?;
        aside::sync_folder(aside::parent(&path)).map_err(failed)?;
        self.put_foreign_away(&["", "-wal", "-shm", "-journal"])?;
        put_in_place(&path).map_err(failed)?;
        let opened = connection::open_writer(&path)?;
        touch(&opened)?;
        self.connection = opened;
        self.checkpoints.renew();
        Ok(())
    }

    fn put_foreign_away(&self, suffixes: &[&str]) -> Result<(), StoreError> {
        let path = self.place.path();
        let foreign: Vec<&str> = suffixes
            .iter()
            .copied()
            .filter(|suffix| beside(path, suffix).exists())
            .filter(|suffix| suffix.is_empty() || !self.place.is_ours(suffix))
            .collect();
        if foreign.is_empty() {
            return Ok(());
        }
        aside::put_away(path, &foreign, clock::now())
    }
}

/// Contents that were written anew, whole.
const RESCUED: &str = "-rescued";

/// Puts contents that were written anew where they belong, if there are any: with what belonged to the file that is gone they have
/// nothing to do any more.
pub(super) fn put_in_place(path: &Path) -> io::Result<()> {
    let rescued = beside(path, RESCUED);
    if path.exists() || !rescued.exists() {
        return Ok(());
    }
    for suffix in ["-wal", "-shm"] {
        match fs::remove_file(beside(path, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(rescued, path)?;
    aside::sync_folder(aside::parent(path))
}

/// Has log and shared memory be made, so that it is known which they are.
fn touch(connection: &Connection) -> Result<(), StoreError> {
    connection.execute("UPDATE counter SET commit_group = commit_group", [])?;
    Ok(())
}
