//! Steps of the upkeep: plain data that one group writes each.

use rusqlite::{Connection, params};

use crate::store::StoreError;
use crate::store::blocks::{self, Block, PackingStep, Rewritten, Unit};
use crate::store::clock_spans::ClockChange;
use crate::store::outbox::Growth;
use crate::store::outbox::UplinkKey;

/// Why readings are not there any more, one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// They were older than they are to be kept.
    Aged,
    /// What they come to in a minute stands for them.
    Thinned,
    /// There was no room for them.
    Dropped,
    /// There was no room for them, and an uplink had not got them.
    Undelivered,
}

impl Removed {
    /// As metrics label it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aged => "aged",
            Self::Thinned => "thinned",
            Self::Dropped => "dropped",
            Self::Undelivered => "undelivered",
        }
    }
}

/// A part of the upkeep that one group writes: plain data.
#[derive(Clone, Debug)]
pub struct Step {
    what: What,
    /// Readings that are gone when it is written.
    pub removed: Vec<(Removed, u64)>,
}

#[derive(Clone, Debug)]
enum What {
    Packing(PackingStep),
    Clock(ClockChange),
    Rewritten(Box<Rewritten>),
    Merged(Box<Unit>),
    Save,
    Index(Block),
    UnitGoes {
        first: Block,
        last: Block,
    },
    Rejects {
        upto: i64,
        before: i64,
    },
    Alerts {
        upto: i64,
    },
    GiveBack {
        pages: u32,
    },
    Rows {
        /// Ascending.
        ids: Vec<i64>,
        entries: Vec<(UplinkKey, i64)>,
    },
}

impl Step {
    fn of(what: What) -> Self {
        Self {
            what,
            removed: Vec::new(),
        }
    }

    pub(super) fn packing(step: PackingStep) -> Self {
        Self::of(What::Packing(step))
    }

    /// What is written of the clock.
    pub fn clock(change: ClockChange) -> Self {
        Self::of(What::Clock(change))
    }

    pub(super) fn rewritten(rewritten: Rewritten, why: Removed) -> Self {
        Self {
            removed: vec![(why, rewritten.removed)],
            what: What::Rewritten(Box::new(rewritten)),
        }
    }

    /// Has what is kept behind of the sensors written down: only then are blocks packed.
    pub(super) fn save() -> Self {
        Self::of(What::Save)
    }

    pub(super) fn index(block: Block) -> Self {
        Self::of(What::Index(block))
    }

    pub(in crate::store) fn saves(&self) -> bool {
        matches!(self.what, What::Save)
    }

    pub(super) fn merged(unit: Unit) -> Self {
        Self::of(What::Merged(Box::new(unit)))
    }

    pub(super) fn unit_goes(first: Block, last: Block) -> Self {
        Self::of(What::UnitGoes { first, last })
    }

    /// So many free pages.
    pub(super) fn give_back(pages: u32) -> Self {
        Self::of(What::GiveBack { pages })
    }

    /// Rejects up to this one that came before this time.
    pub(super) fn rejects(upto: i64, before: i64) -> Self {
        Self::of(What::Rejects { upto, before })
    }

    /// Events up to this one, but for those that are needed.
    pub(super) fn alerts(upto: i64) -> Self {
        Self::of(What::Alerts { upto })
    }

    /// Rows from the first to the last of these ids, whoever waits for them, but for those that are in a batch or refused.
    pub(super) fn rows(
        connection: &Connection,
        first: i64,
        last: i64,
    ) -> Result<Option<Self>, StoreError> {
        let held = blocks::held_between(connection, first, last)?;
        let mut select = connection.prepare_cached(
            "SELECT uplink, reading FROM outbox_entry WHERE uplink IN (SELECT key FROM uplink) AND reading BETWEEN ?1 AND ?2",
        )?;
        let entries = select.query_map([first, last], |row| {
            Ok((UplinkKey(row.get(0)?), row.get::<_, i64>(1)?))
        })?;
        let mut entries: Vec<(UplinkKey, i64)> = entries.collect::<Result<_, _>>()?;
        entries.retain(|(_, id)| held.binary_search(id).is_err());
        let mut ids =
            connection.prepare_cached("SELECT id FROM reading WHERE id BETWEEN ?1 AND ?2")?;
        let ids = ids.query_map([first, last], |row| row.get(0))?;
        let mut ids: Vec<i64> = ids.collect::<Result<_, _>>()?;
        ids.retain(|id| held.binary_search(id).is_err());
        if ids.is_empty() {
            return Ok(None);
        }
        let mut waiting: Vec<i64> = entries.iter().map(|(_, id)| *id).collect();
        waiting.sort_unstable();
        waiting.dedup();
        let undelivered = waiting.len() as u64;
        Ok(Some(Self {
            removed: vec![
                (Removed::Undelivered, undelivered),
                (Removed::Dropped, ids.len() as u64 - undelivered),
            ],
            what: What::Rows { ids, entries },
        }))
    }

    pub(in crate::store) fn write(
        &self,
        connection: &Connection,
        growths: &mut Vec<Growth>,
    ) -> Result<(), StoreError> {
        match &self.what {
            What::Packing(step) => step.write(connection)?,
            What::Clock(change) => change.write(connection)?,
            What::Rewritten(rewritten) => rewritten.write(connection)?,
            What::Merged(unit) => unit.write(connection)?,
            // The writer does it.
            What::Save => {}
            What::Index(block) => {
                blocks::index(connection, *block)?;
            }
            What::UnitGoes { first, last } => blocks::remove_units(connection, *first, *last)?,
            What::Rejects { upto, before } => {
                connection
                    .prepare_cached("DELETE FROM reject WHERE id <= ?1 AND received_at < ?2")?
                    .execute([upto, before])?;
            }
            What::Alerts { upto } => {
                // From the first one on: what was needed when it was passed, may have come to its end.
                connection
                    .prepare_cached(
                        "DELETE FROM alert WHERE id <= ?1 \
                         AND id NOT IN (SELECT last_alert FROM sensor WHERE last_alert IS NOT NULL) \
                         AND episode NOT IN (SELECT episode FROM open_alert)",
                    )?
                    .execute([upto])?;
                connection
                    .prepare_cached("UPDATE counter SET alerts_gone = ?1")?
                    .execute([upto])?;
            }
            What::GiveBack { pages } => {
                connection.execute_batch(&format!("PRAGMA incremental_vacuum({pages})"))?;
            }
            What::Rows { ids, entries } => {
                let (Some(first), Some(last)) = (ids.first(), ids.last()) else {
                    return Ok(());
                };
                // Since it was looked at, some may have gone into a batch.
                let held = blocks::held_between(connection, *first, *last)?;
                let is_free = |id: &i64| held.binary_search(id).is_err();
                let mut delete = connection.prepare_cached("DELETE FROM reading WHERE id = ?1")?;
                for id in ids.iter().filter(|id| is_free(id)) {
                    delete.execute([id])?;
                }
                let mut delete = connection.prepare_cached(
                    "DELETE FROM outbox_entry WHERE uplink = ?1 AND reading = ?2",
                )?;
                for (uplink, reading) in entries.iter().filter(|(_, id)| is_free(id)) {
                    let gone = delete.execute(params![uplink.0, reading])?;
                    growths.push((*uplink, -(gone as i64)));
                }
            }
        }
        Ok(())
    }
}
