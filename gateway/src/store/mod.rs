//! What is on disk: one SQLite file. The only room that knows SQL.
//!
//! One [`Writer`] holds the only write connection and belongs to the committer's thread; any number of
//! [`Reader`]s look on. Nothing here waits for a network, evaluates a rule or decides what a payload means.
//!
//! Invariants: ids in the file ≤ ids given ≤ the stored counters of the last commit plus the group in hand;
//! a [`Committed`] exists only after its group's rows are on disk.

use rusqlite::ErrorCode;

mod alert_pages;
mod alerts;
mod aside;
mod blocks;
mod bounds;
pub mod care;
mod checkpoints;
mod clock_spans;
mod connection;
mod damage;
mod devices;
mod examination;
mod extract;
mod ground;
mod group;
mod history;
mod inspect;
mod life;
mod mounts;
mod open_alerts;
pub mod outbox;
mod place;
mod reader;
mod reading_pages;
mod rejects;
mod reserve;
mod rows;
mod rules;
mod salvage;
mod sectors;
mod sensors;
mod series;

pub mod sessions;
mod sound;
mod unpacked;
mod upkeep;
mod waiting;
mod wal;
mod writer;

pub use alert_pages::{AlertPage, AlertQuery};
pub use clock_spans::{ClockChange, ClockMark, PutRight, TimesSlice};
pub use damage::{Alarm, Damage};
pub use examination::Examination;
pub use extract::Extract;
pub use ground::risks;
pub use group::{Group, NewReading, NewReject};
pub use history::History;
pub use life::{OutboxPlace, ReadingLife};
pub use reader::{Reader, Totals};
pub use reading_pages::{ReadingPage, ReadingQuery};
pub use rejects::Reject;
pub use rules::{RuleMemory, RuleNames, RuleState};
pub use salvage::{Progress, Salvage, Slice};
pub use sensors::{LastReading, SensorTotals, Sensors};
pub use series::{Bucket, SeriesQuery};
pub use upkeep::{Limits, Removed, Room, Step, Thinned};
pub use waiting::{DeadLetter, Forsaken, WaitingQuery};
pub use writer::{Committed, Writer};

/// What can go wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot create the folder {folder}: {source}")]
    Folder {
        folder: String,
        source: std::io::Error,
    },
    #[error("{path} is in use by another gateway")]
    InUse { path: String },
    #[error("cannot lock {path}: {source}")]
    Lock {
        path: String,
        source: std::io::Error,
    },
    #[error(
        "the store was written by a newer gateway (schema {found}, this one knows up to {known})"
    )]
    Newer { found: i64, known: i64 },
    #[error("the store's counters are missing: the file is damaged")]
    NoCounters,
    #[error("the store's counters are behind its rows: the file is damaged")]
    Counters,
    #[error("the store lacks {0}: the file is damaged")]
    Schema(Box<str>),
    #[error("cannot move files of the store {path}: {source}")]
    Aside {
        path: String,
        source: std::io::Error,
    },
    #[error("cannot read {path}: {source}")]
    Unreadable {
        path: String,
        source: std::io::Error,
    },
    #[error("{path} cannot be switched to write-ahead logging (it is in `{mode}` mode)")]
    NoWriteAheadLog { path: String, mode: String },
    #[error("the write-ahead log could not be checkpointed yet")]
    CheckpointBusy,
    #[error("cannot write {path}: {source}")]
    Log {
        path: String,
        source: std::io::Error,
    },
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

impl StoreError {
    /// Whether it is a lack of room, on the disk or in what one may have of it.
    pub fn is_lack_of_room(&self) -> bool {
        match self {
            Self::Sqlite(error) => error.sqlite_error_code() == Some(ErrorCode::DiskFull),
            Self::Log { source, .. } | Self::Unreadable { source, .. } => {
                reserve::is_lack_of_room(source)
            }
            _ => false,
        }
    }

    /// Whether the disk is to blame.
    fn is_of_disk(&self) -> bool {
        use ErrorCode::{CannotOpen, DiskFull, ReadOnly, SystemIoFailure};
        match self {
            Self::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(CannotOpen | DiskFull | ReadOnly | SystemIoFailure)
            ),
            Self::Log { .. } => true,
            other => other.is_lack_of_room(),
        }
    }
}
