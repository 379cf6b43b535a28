//! The section `[store]`: where readings rest and how often they are written.

use std::{path::PathBuf, time::Duration};

use crate::config::kinds::{choice, duration, size, text};
use crate::config::section::Section;

/// The longest wait for a commit: publishers wait as long for their acks.
const LONGEST_GROUP_COMMIT: Duration = Duration::from_secs(60);

/// What happens when the store has no room for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Old readings become min, avg, max and count per minute, then per hour; what is tagged or not delivered goes last.
    Thin,
    /// The oldest readings go; what is not delivered goes last.
    DropOldest,
    /// Nothing is taken any more.
    Refuse,
}

const WHEN_FULL: &[(&str, WhenFull)] = &[
    ("thin", WhenFull::Thin),
    ("drop-oldest", WhenFull::DropOldest),
    ("refuse", WhenFull::Refuse),
];

/// Less than this has no room for two blocks of readings and their log.
const SMALLEST_STORE: u64 = 16 << 20;

/// More than SQLite's files can have with pages of 4 KiB: 16 TiB.
const LARGEST_STORE: u64 = 16 << 40;

const SHORTEST_KEEP: Duration = Duration::from_secs(60 * 60);
/// A hundred years: for ever.
const LONGEST_KEEP: Duration = Duration::from_secs(36_500 * 24 * 60 * 60);

/// What waits longer for a clock stays as it is.
const LONGEST_CLOCK_WAIT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Where and how the gateway stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// The SQLite file, relative to the working folder, not to the configuration's. Default: `data/gateway.db`.
    pub path: PathBuf,
    /// How long a commit waits for more readings: fewer writes, later acks. Zero commits what is there. Default: 0.
    pub group_commit: Duration,
    /// What all its files may take, in bytes. Default: 1 GiB.
    pub max_size: u64,
    /// How long readings are kept, if there is room. Default: 30 days.
    pub keep: Duration,
    /// Default: readings are thinned.
    pub when_full: WhenFull,
    /// How long a reading waits for the clock to be trusted before it may go into a batch. Default: 10 minutes.
    pub clock_wait: Duration,
}

impl Store {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let path = section.setting("path", PathBuf::from("data/gateway.db"), |value| {
            text(value).map(PathBuf::from)
        });
        let group_commit = section.setting(
            "group_commit",
            Duration::ZERO,
            duration(Duration::ZERO..=LONGEST_GROUP_COMMIT),
        );
        let max_size = section.setting("max_size", 1 << 30, size(SMALLEST_STORE..=LARGEST_STORE));
        let keep = section.setting(
            "keep",
            Duration::from_secs(30 * 24 * 60 * 60),
            duration(SHORTEST_KEEP..=LONGEST_KEEP),
        );
        let when_full = section.setting("when_full", WhenFull::Thin, choice(WHEN_FULL, &[]));
        let clock_wait = section.setting(
            "clock_wait",
            Duration::from_secs(10 * 60),
            duration(Duration::ZERO..=LONGEST_CLOCK_WAIT),
        );
        section.finish();
        Self {
            path: path.value,
            group_commit: group_commit.value,
            max_size: max_size.value,
            keep: keep.value,
            when_full: when_full.value,
            clock_wait: clock_wait.value,
        }
    }
}
