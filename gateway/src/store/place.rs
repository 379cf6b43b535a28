//! Where the store's files lie, and whether they still do: what is at a path may be deleted, renamed or replaced while the gateway has
//! the file open. What it writes then is in a file that nobody finds again.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use tokio::sync::watch;

use super::connection::{self, beside};
use super::{Damage, StoreError, sectors};

/// Connections kept open between calls; more are opened while more calls run at once.
const IDLE_CONNECTIONS: usize = 2;

/// The files of an open store, by what follows the name of the database.
const FILES: [&str; 4] = ["", "-wal", "-shm", "-lock"];

/// The device and the number of a file: the same as long as it is the same file.
type Identity = Option<(u64, u64)>;

/// The path of the store, with what is open of it for reading.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    state: Mutex<State>,
    /// Goes behind all that is open.
    held: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    files: [Identity; FILES.len()],
    /// Grows when the files are others.
    epoch: u64,
    idle: Vec<Connection>,
    /// The database, for a look past SQLite. Once it is open it stays so: closing it would take SQLite's locks away from this process.
    file: Option<File>,
}

/// A connection for reading, of the files of its time.
#[derive(Debug)]
pub(super) struct Lent {
    pub(super) connection: Connection,
    epoch: u64,
}

impl Place {
    /// The files that are at the path now are the ones that are open.
    pub(super) fn of(path: &Path) -> Self {
        let place = Self {
            path: path.to_owned(),
            state: Mutex::default(),
            held: watch::Sender::default(),
        };
        place.settle();
        place
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until nobody has it any more, and nothing of it is open.
    pub(super) fn released(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut held = self.held.subscribe();
        async move { while held.changed().await.is_ok() {} }
    }

    /// Takes the files that are at the path now for those that are open, and closes what is open of others.
    pub(super) fn settle(&self) {
        let files = FILES.map(|suffix| identity(&beside(&self.path, suffix)));
        let mut state = self.state();
        if state.files[0] != files[0] {
            state.file = None;
        }
        state.files = files;
        state.epoch += 1;
        state.idle.clear();
    }

    /// Closes the connections that nobody uses.
    pub(super) fn close_idle(&self) {
        self.state().idle.clear();
    }

    /// The files that are not where they were, by what follows the name of the database.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        let files = self.state().files;
        let missing = FILES.iter().zip(files).filter(|(suffix, known)| {
            known.is_some() && identity(&beside(&self.path, suffix)) != *known
        });
        missing.map(|(suffix, _)| *suffix).collect()
    }

    /// Whether the file at the path is the one that is open.
    pub(super) fn is_ours(&self, suffix: &str) -> bool {
        let files = self.state().files;
        let known = FILES.iter().zip(files).find(|(other, _)| **other == suffix);
        known.is_some_and(|(_, known)| {
            known.is_some() && identity(&beside(&self.path, suffix)) == known
        })
    }

    pub(super) fn lend(&self) -> Result<Lent, StoreError> {
        let (epoch, idle) = {
            let mut state = self.state();
            (state.epoch, state.idle.pop())
        };
        let connection = idle.map_or_else(|| connection::open_reader(&self.path), Ok)?;
        Ok(Lent { connection, epoch })
    }

    /// Keeps a connection for the next call. One that met an error is not given back, and so closed.
    pub(super) fn give_back(&self, lent: Lent) {
        let mut state = self.state();
        if state.epoch == lent.epoch && state.idle.len() < IDLE_CONNECTIONS {
            state.idle.push(lent.connection);
        }
    }

    /// The damage that an error shows. While the disk does not give what is on it SQLite may call that malformed: then it shows
    /// nothing.
    pub(super) fn damage_of(&self, error: &StoreError) -> Option<Damage> {
        Damage::of(error).filter(|_| self.can_be_read())
    }

    /// Whether the log can be read from the disk, and some of the database.
    pub(super) fn can_be_read(&self) -> bool {
        let answers = {
            let file = &mut self.state().file;
            if file.is_none() {
                *file = File::open(&self.path).ok();
            }
            file.as_ref().is_some_and(sectors::answers)
        };
        answers && self.log_can_be_read()
    }

    fn log_can_be_read(&self) -> bool {
        match File::open(beside(&self.path, "-wal")) {
            Ok(mut log) => io::copy(&mut log, &mut io::sink()).is_ok(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn identity(path: &Path) -> Identity {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}
