//! What can be read of a damaged store, slice by slice: first what waits for the uplinks, so that it is delivered, then dead
//! letters, alerts, readings from the newest on, what thinned ones come to, and what could not be read. What is small and is needed at once (counters, sensors,
//! sessions, retained messages, what the rules remember) is there from the new store's beginning: `begin`.
//!
//! How far it is stands in the new store, and is written with the rows: a restart goes on there, and no row comes twice.

mod at_once;
mod begin;
mod descent;
mod ends;
mod orphans;
mod other_rows;
mod pages;
mod readings;
mod rows;
mod schema;
mod source;
mod thinned;
mod tree;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;

use self::other_rows::{SavedAlert, SavedLetter, SavedReject};
use self::readings::{Readings, SavedReading};
use self::source::Source;
use self::thinned::SavedPack;
use super::{StoreError, aside};
use crate::domain::sensor::SensorId;

pub(super) use self::begin::begin;
pub(super) use self::rows::{Adoption, Rows, write};

/// Rows of a slice: a commit takes little longer with them.
const ROWS: usize = 500;
const LETTERS: usize = 50;

/// What is taken over, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Outbox,
    Letters,
    Alerts,
    Readings,
    Packed,
    Rejects,
    Done,
    /// Comes before the rejects; its number is the newest.
    Thinned,
}

/// In their order.
const STAGES: [Stage; 8] = [
    Stage::Outbox,
    Stage::Letters,
    Stage::Alerts,
    Stage::Readings,
    Stage::Packed,
    Stage::Thinned,
    Stage::Rejects,
    Stage::Done,
];

impl Stage {
    fn of(number: i64) -> Self {
        let mut stages = STAGES.into_iter();
        let found = stages.find(|stage| *stage as i64 == number);
        found.unwrap_or(Self::Done)
    }

    fn next(self) -> Self {
        let mut stages = STAGES.into_iter().skip_while(|stage| *stage != self);
        stages.nth(1).unwrap_or(Self::Done)
    }

    /// The word for it.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Outbox => "outbox",
            Self::Letters => "dead letters",
            Self::Alerts => "alerts",
            Self::Readings => "readings",
            Self::Packed => "packed readings",
            Self::Thinned => "thinned readings",
            Self::Rejects => "rejects",
            Self::Done => "done",
        }
    }
}

/// How far the salvage of a damaged store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The name of the folder beside the store.
    pub folder: Arc<str>,
    /// What was wrong.
    pub reason: Arc<str>,
    pub(super) below: i64,
    pub(super) stage: Stage,
    part: i64,
    position: i64,
    /// Rows that were taken over.
    pub saved: u64,
    /// Rows, as far as their numbers tell, that could not be read.
    pub unreadable: u64,
    /// The alert that tells of it, once it is raised.
    pub alert: Option<i64>,
}

impl Progress {
    /// What is taken over now.
    pub fn stage(&self) -> &'static str {
        self.stage.as_str()
    }

    /// Whether there is nothing more to take over.
    pub fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    fn enter(&mut self, stage: Stage, part: i64) {
        (self.stage, self.part) = (stage, part);
        self.position = match stage {
            // Their numbers are of blocks and sensors.
            Stage::Packed | Stage::Thinned => i64::MAX,
            _ => self.below - 1,
        };
    }

    fn next_stage(&mut self) {
        self.enter(self.stage.next(), 0);
    }
}

/// All that stand in the store.
pub(super) fn all(connection: &Connection) -> Result<Vec<Progress>, StoreError> {
    let mut select = connection.prepare(
        "SELECT folder, reason, below, stage, part, position, saved, unreadable, alert FROM salvage ORDER BY folder DESC",
    )?;
    let rows = select.query_map([], |row| {
        Ok(Progress {
            folder: row.get(0)?,
            reason: row.get(1)?,
            below: row.get(2)?,
            stage: Stage::of(row.get(3)?),
            part: row.get(4)?,
            position: row.get(5)?,
            saved: row.get::<_, i64>(6)?.unsigned_abs(),
            unreadable: row.get::<_, i64>(7)?.unsigned_abs(),
            alert: row.get(8)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether rows are still taken over.
pub(super) fn is_running(connection: &Connection) -> Result<bool, StoreError> {
    Ok(!all(connection)?.iter().all(Progress::is_done))
}

/// Whether there is more of one that was running, behind what was written.
pub(super) fn goes_on(connection: &Connection, written: &[Rows]) -> Result<bool, StoreError> {
    let may_be_last = written.iter().any(|rows| rows.slice.progress().is_done());
    Ok(!may_be_last || is_running(connection)?)
}

/// A damaged store that is being read.
#[derive(Debug)]
pub struct Salvage {
    folder: PathBuf,
    source: Option<Source>,
    sensors: BTreeMap<i64, SensorId>,
    uplinks: Vec<i64>,
    progress: Progress,
}

/// Rows that were read, and how far that is.
#[derive(Debug)]
pub struct Slice {
    pub(super) progress: Progress,
    pub(super) readings: Vec<SavedReading>,
    /// Uplink and reading.
    pub(super) outbox: Vec<(i64, i64)>,
    pub(super) letters: Vec<SavedLetter>,
    pub(super) alerts: Vec<SavedAlert>,
    pub(super) rejects: Vec<SavedReject>,
    pub(super) thinned: Vec<SavedPack>,
}

impl Slice {
    /// Nothing but how far it is.
    pub fn of(progress: Progress) -> Self {
        Self {
            progress,
            readings: Vec::new(),
            outbox: Vec::new(),
            letters: Vec::new(),
            alerts: Vec::new(),
            rejects: Vec::new(),
            thinned: Vec::new(),
        }
    }

    /// How far it is with it.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Says which alert tells of it.
    pub fn set_alert(&mut self, alert: i64) {
        self.progress.alert = Some(alert);
    }

    pub(super) fn row_count(&self) -> usize {
        self.readings.len()
            + self.outbox.len()
            + self.letters.len()
            + self.alerts.len()
            + self.rejects.len()
            + self.thinned.len()
    }
}

impl Salvage {
    /// Opens the damaged store that was moved away from `path`, to go on where it was left.
    pub fn open(path: &Path, progress: Progress) -> Result<Self, StoreError> {
        let folder = source::folder(path, &progress.folder);
        let source = if folder.is_dir() {
            Source::open_whole(&folder, path)?
        } else {
            None
        };
        let (mut sensors, mut uplinks) = (BTreeMap::new(), Vec::new());
        if let Some(source) = &source {
            sensors = ends::sensors(source)?;
            uplinks = ends::uplinks(source)?;
            source.check_disk()?;
        }
        Ok(Self {
            folder,
            source,
            sensors,
            uplinks,
            progress,
        })
    }

    /// Reads the next rows. Blocks on the disk. With the last slice all is done.
    pub fn next_slice(&mut self) -> Result<Slice, StoreError> {
        let mut slice = Slice::of(self.progress.clone());
        let Some(source) = &self.source else {
            self.progress.enter(Stage::Done, 0);
            slice.progress = self.progress.clone();
            return Ok(slice);
        };
        let high = self.progress.position;
        let readings = Readings::new(source, &self.sensors);
        let (next, unreadable) = match self.progress.stage {
            Stage::Outbox => match usize::try_from(self.progress.part)
                .ok()
                .and_then(|part| self.uplinks.get(part))
            {
                Some(uplink) => other_rows::outbox(source, &readings, *uplink, high, &mut slice)?,
                None => other_rows::batches(source, &readings, high, &mut slice)?,
            },
            Stage::Letters => other_rows::letters(source, &readings, high, &mut slice)?,
            Stage::Alerts => {
                let found = other_rows::alerts(source, &self.sensors, high)?;
                slice.alerts = found.rows;
                (found.next, found.unreadable)
            }
            Stage::Readings => {
                let found = readings.newest_upto(high, ROWS)?;
                let (next, unreadable) = (found.next, found.unreadable);
                slice.readings = found.rows;
                // Ascending, as the table has them.
                slice.readings.reverse();
                (next, unreadable)
            }
            Stage::Packed => {
                let found = readings.packed_upto(high, self.progress.below)?;
                slice.readings = found.rows;
                (found.next, found.unreadable)
            }
            Stage::Thinned => {
                let found = thinned::packs_upto(source, &self.sensors, high)?;
                slice.thinned = found.rows;
                (found.next, found.unreadable)
            }
            Stage::Rejects => other_rows::rejects(source, high, &mut slice)?,
            Stage::Done => (None, 0),
        };
        let maimed = slice.readings.iter().filter(|reading| !reading.is_whole);
        let unreadable = unreadable + maimed.count() as u64;
        if 0 < unreadable {
            source.check_disk()?;
        }
        self.progress.unreadable += unreadable;
        // Readings that come with something else come once more in their turn.
        let readings = match self.progress.stage {
            Stage::Readings | Stage::Packed => slice.readings.len(),
            _ => 0,
        };
        let rows = slice.row_count() - slice.readings.len() + readings;
        self.progress.saved += rows as u64;
        match next {
            Some(next) => self.progress.position = next,
            // After the uplinks come the batches.
            None if self.progress.stage == Stage::Outbox
                && self.progress.part < self.uplinks.len() as i64 =>
            {
                let part = self.progress.part + 1;
                self.progress.enter(Stage::Outbox, part);
            }
            None => self.progress.next_stage(),
        }
        slice.progress = self.progress.clone();
        Ok(slice)
    }

    /// The alert that tells of it is raised.
    pub fn set_alert(&mut self, alert: Option<i64>) {
        self.progress.alert = alert;
    }

    /// Leaves word in the folder that all was taken over, once that is on disk.
    pub fn finish(self) -> Result<(), StoreError> {
        let Self {
            folder,
            source,
            progress,
            ..
        } = self;
        drop(source);
        if !folder.is_dir() {
            return Ok(());
        }
        source::close(&folder);
        let text = format!(
            "{} rows were taken over into the new store, {} could not be read; where pages are gone there may have been more.\n",
            progress.saved, progress.unreadable
        );
        let path = folder.join(aside::SALVAGED);
        fs::write(&path, text).map_err(|source| StoreError::Unreadable {
            path: path.display().to_string(),
            source,
        })
    }
}

#[cfg(test)]
mod tests;
