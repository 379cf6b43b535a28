//! The section `[store]`: where readings rest and how often they are written.

use std::{path::PathBuf, time::Duration};

use crate::config::kinds::{duration, text};
use crate::config::section::Section;

/// The longest wait for a commit: publishers wait as long for their acks.
const LONGEST_GROUP_COMMIT: Duration = Duration::from_secs(60);

/// Where and how the gateway stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// The SQLite file, relative to the working folder, not to the configuration's. Default: `data/gateway.db`.
    pub path: PathBuf,
    /// How long a commit waits for more readings: fewer writes, later acks. Zero commits what is there. Default: 0.
    pub group_commit: Duration,
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
        section.finish();
        Self {
            path: path.value,
            group_commit: group_commit.value,
        }
    }
}
