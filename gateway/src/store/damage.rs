//! What counts as damage of the file. Damage is healed by a new store; everything else (a newer schema, no permission, another
//! gateway, no room) is for somebody to mend, and leaves the file where it is.

use std::sync::OnceLock;
use std::{fmt, hint};

use rusqlite::{Error, ErrorCode};
use tokio::sync::Notify;

use super::{StoreError, sectors};

/// A schema number beyond those that are known by more than this is no newer gateway's.
const PLAUSIBLE_VERSIONS: i64 = 1000;

/// What is wrong with the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub(super) kind: Kind,
    detail: Box<str>,
}

/// The kinds, as the names of folders have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// There is a log and no database.
    Missing,
    Empty,
    NotADatabase,
    Truncated,
    Log,
    Malformed,
    /// The pages make sense, what they say does not.
    Nonsense,
    /// The disk does not give some of it back.
    Unread,
}

impl Kind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Empty => "empty",
            Self::NotADatabase => "not-a-database",
            Self::Truncated => "truncated",
            Self::Log => "log",
            Self::Malformed => "malformed",
            Self::Nonsense => "nonsense",
            Self::Unread => "unread",
        }
    }
}

impl Damage {
    pub(super) fn new(kind: Kind, detail: impl Into<Box<str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }

    /// What of an error is damage, met while the gateway runs. SQLite also calls malformed what the disk does not give: whether it
    /// gives anything is to be asked besides.
    pub fn of(error: &StoreError) -> Option<Self> {
        let error = match error {
            StoreError::Sqlite(error) => error,
            StoreError::Counters => return Some(Self::new(Kind::Nonsense, error.to_string())),
            _ => return None,
        };
        let kind = match error {
            Error::SqliteFailure(failure, _) => match failure.code {
                // No value that is stored comes near what is too big.
                ErrorCode::DatabaseCorrupt | ErrorCode::TooBig => Kind::Malformed,
                ErrorCode::NotADatabase => Kind::NotADatabase,
                // Also said, before memory is asked for, of an entry of an index that is said to have 2 GiB or more.
                ErrorCode::OutOfMemory if memory_can_be_had() => Kind::Malformed,
                ErrorCode::SystemIoFailure if is_of_reading(failure.extended_code) => Kind::Unread,
                _ => return None,
            },
            Error::FromSqlConversionFailure(..)
            | Error::InvalidColumnType(..)
            | Error::Utf8Error(..)
            | Error::IntegralValueOutOfRange(..) => Kind::Nonsense,
            _ => return None,
        };
        Some(Self::new(kind, error.to_string()))
    }

    /// What of an error is damage, met while the file is opened: there a statement that the schema does not know is one, too.
    pub fn at_start(error: &StoreError) -> Option<Self> {
        let detail = || error.to_string();
        match error {
            StoreError::NoCounters | StoreError::Schema(_) => {
                Some(Self::new(Kind::Nonsense, detail()))
            }
            StoreError::Newer { found, known } if known + PLAUSIBLE_VERSIONS < *found => {
                Some(Self::new(Kind::Nonsense, detail()))
            }
            StoreError::Sqlite(Error::SqliteFailure(failure, _)) if failure.extended_code == 1 => {
                Some(Self::new(Kind::Malformed, detail()))
            }
            StoreError::Sqlite(Error::SqlInputError { .. }) => {
                Some(Self::new(Kind::Malformed, detail()))
            }
            StoreError::Unreadable { source, .. } if sectors::is_of_reading(source) => {
                Some(Self::new(Kind::Unread, detail()))
            }
            error => Self::of(error),
        }
    }
}

/// Whether more than SQLite takes at once for anything that is stored: a row has a few megabytes at the most.
fn memory_can_be_had() -> bool {
    let mut bytes = Vec::<u8>::new();
    let is_had = bytes.try_reserve_exact(64 << 20).is_ok();
    // Or a compiler that sees no use of it may do without.
    hint::black_box(&bytes);
    is_had
}

/// In a statement that runs SQLite says malformed for both.
fn is_of_reading(extended_code: i32) -> bool {
    use rusqlite::ffi::{SQLITE_IOERR_CORRUPTFS, SQLITE_IOERR_READ};
    matches!(extended_code, SQLITE_IOERR_READ | SQLITE_IOERR_CORRUPTFS)
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.kind.as_str(), self.detail)
    }
}

/// Whoever meets damage says so here; who runs the gateway waits for it.
#[derive(Debug, Default)]
pub struct Alarm {
    damage: OnceLock<Damage>,
    noticed: Notify,
}

impl Alarm {
    /// Tells what was met; only the first counts.
    pub fn raise(&self, damage: Damage) {
        if self.damage.set(damage).is_ok() {
            self.noticed.notify_one();
        }
    }

    /// What was met.
    pub fn damage(&self) -> Option<&Damage> {
        self.damage.get()
    }

    /// Waits until somebody meets damage.
    pub async fn raised(&self) -> Damage {
        loop {
            if let Some(damage) = self.damage.get() {
                return damage.clone();
            }
            self.noticed.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: i32) -> StoreError {
        Error::SqliteFailure(rusqlite::ffi::Error::new(code), None).into()
    }

    #[test]
    fn only_what_a_new_store_heals_is_damage() {
        let check = |error: &StoreError, at_start: bool, while_running: bool| {
            assert_eq!(Damage::at_start(error).is_some(), at_start, "{error}");
            assert_eq!(Damage::of(error).is_some(), while_running, "{error}");
        };
        check(&failure(11), true, true);
        check(&failure(26), true, true);
        check(&failure(7), true, true);
        check(&failure(18), true, true);
        check(&failure(1), true, false);
        check(&failure(rusqlite::ffi::SQLITE_IOERR_READ), true, true);
        check(&failure(rusqlite::ffi::SQLITE_IOERR_CORRUPTFS), true, true);
        check(&StoreError::NoCounters, true, false);
        let newer = |found| StoreError::Newer { found, known: 11 };
        check(&newer(12), false, false);
        check(&newer(1 << 24), true, false);
        let bad_text = String::from_utf8(vec![0xff]).unwrap_err().utf8_error();
        check(&Error::Utf8Error(0, bad_text).into(), true, true);
        // Full, busy, no permission, read-only, cannot be opened, I/O.
        for code in [13, 5, 3, 8, 14, 10] {
            check(&failure(code), false, false);
        }
    }
}
