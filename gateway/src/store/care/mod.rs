//! Looking after the store from beside the gateway: backup and restore, checks, figures, compaction.
//!
//! What reads does so in short transactions, so that a gateway that runs can go on checkpointing. What writes makes a new file,
//! looks it through, syncs it and only then puts it in its place; nothing that was there is deleted unless it was asked for.

mod backup;
mod blocks;
mod check;
mod compact;
mod copying;
mod files;
mod invariants;
mod lists;
mod readings;
mod restore;
mod stats;

use std::io;
use std::path::Path;

use super::{History, StoreError};

pub use self::backup::{BackedUp, backup};
pub use self::check::{Checked, check};
pub use self::compact::{Compacted, compact};
pub use self::restore::{Restored, restore};
pub use self::stats::{SensorStats, Stats, TableStats, UplinkStats, stats};

/// What is done at the moment, how far it is, and how far it goes; both in the same unit.
pub type Progress<'p> = &'p mut dyn FnMut(&'static str, i64, i64);

/// The past of the store at `path`, of which is said what is wrong if it cannot be read.
pub fn open_history(path: &Path) -> Result<History, CareError> {
    drop(files::open_present(path)?);
    Ok(History::open(path)?)
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum CareError {
    #[error("{path} exists already: name another file, or overwrite it with --force")]
    Exists { path: String },
    #[error("{path} is the store itself: name another file")]
    Itself { path: String },
    #[error("there is no store at {path}: look at store.path and at the working folder")]
    Missing { path: String },
    #[error("{path} is not a gateway's store: {reason}")]
    NotAStore { path: String, reason: String },
    #[error(
        "{path} is damaged ({count} faults, see `edge-gateway store check`), the first: {first}"
    )]
    Damaged {
        path: String,
        count: usize,
        first: String,
    },
    #[error(
        "{path} was written by an older gateway (schema {found}, this one has {known}): let this one run on it once"
    )]
    Older {
        path: String,
        found: i64,
        known: i64,
    },
    #[error("a gateway runs on {path}: stop it first")]
    Runs { path: String },
    #[error("{path} is being written by another backup")]
    Busy { path: String },
    #[error("{folder} has too little room: {needed} bytes are needed, {free} are free")]
    NoRoom {
        folder: String,
        needed: u64,
        free: u64,
    },
    #[error("the store was taken up by another version of the gateway meanwhile: start again")]
    Changed,
    #[error("{path}: {source}")]
    File { path: String, source: io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for CareError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl CareError {
    /// To be made of what went wrong with a file.
    fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.display().to_string();
        |source| Self::File { path, source }
    }
}
