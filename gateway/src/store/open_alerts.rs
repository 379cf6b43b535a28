//! The alerts that are open, with the newest event of each. Kept in memory and written behind, as the sensors are: the rows
//! of events have no second index, and of an old one nothing says that its alert is over.
//!
//! Which are open is the rules' word: they may forget an alert without an event.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use rusqlite::{Connection, params};

use super::{Group, StoreError};
use crate::domain::alert::AlertState;

/// What readers see of the open alerts.
#[derive(Clone, Debug, Default)]
pub(super) struct OpenAlerts {
    episodes: Arc<RwLock<Episodes>>,
}

#[derive(Debug, Default)]
struct Episodes {
    open: BTreeMap<i64, Newest>,
    /// Those that are over and still have a row.
    over: Vec<i64>,
}

/// The newest event of an open alert.
#[derive(Debug)]
struct Newest {
    id: i64,
    /// What its row says.
    saved: Option<i64>,
}

impl OpenAlerts {
    /// Reads them, and the events that came after they were last written.
    pub(super) fn load(connection: &Connection) -> Result<Self, StoreError> {
        let mut episodes = Episodes::default();
        let mut select = connection.prepare("SELECT episode, newest FROM open_alert")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let id = row.get(1)?;
            let saved = Some(id);
            episodes.open.insert(row.get(0)?, Newest { id, saved });
        }
        let mut select = connection.prepare(
            "SELECT episode, id, state FROM alert WHERE (SELECT alerts_saved_upto FROM counter) < id ORDER BY id",
        )?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let state: Box<str> = row.get(2)?;
            let is_over = AlertState::from_stored(&state) == Some(AlertState::Cleared);
            episodes.take(row.get(0)?, row.get(1)?, is_over);
        }
        Ok(Self {
            episodes: Arc::new(RwLock::new(episodes)),
        })
    }

    /// Keeps those of these episodes; of one that it does not know the first event is the newest.
    pub(super) fn keep(&self, open: impl Iterator<Item = i64>) {
        let open: HashSet<i64> = open.collect();
        let mut episodes = self.write();
        let known: Vec<i64> = episodes.open.keys().copied().collect();
        for episode in known.into_iter().filter(|known| !open.contains(known)) {
            episodes.end(episode);
        }
        for episode in open {
            let first = Newest {
                id: episode,
                saved: None,
            };
            episodes.open.entry(episode).or_insert(first);
        }
    }

    /// Takes over the alerts of a group that is on disk.
    pub(super) fn adopt(&self, group: &Group) {
        if group.alerts.is_empty() {
            return;
        }
        let mut episodes = self.write();
        for (_, alert) in &group.alerts {
            let is_over = alert.state == AlertState::Cleared;
            episodes.take(alert.episode, alert.alert_id, is_over);
        }
    }

    /// At most `limit` episodes that began before `before`, the last begun first, each with its newest event.
    pub(super) fn page(&self, before: i64, limit: usize) -> Vec<(i64, i64)> {
        let episodes = self.episodes.read().unwrap_or_else(PoisonError::into_inner);
        let found = episodes.open.range(..before).rev().take(limit);
        found
            .map(|(episode, newest)| (*episode, newest.id))
            .collect()
    }

    /// Writes down what changed since it was last written.
    pub(super) fn save(&self, connection: &Connection) -> Result<(), StoreError> {
        let episodes = self.episodes.read().unwrap_or_else(PoisonError::into_inner);
        let mut delete = connection.prepare_cached("DELETE FROM open_alert WHERE episode = ?1")?;
        for episode in &episodes.over {
            delete.execute([episode])?;
        }
        let mut upsert = connection.prepare_cached(
            "INSERT OR REPLACE INTO open_alert (episode, newest) VALUES (?1, ?2)",
        )?;
        for (episode, newest) in &episodes.open {
            if newest.saved != Some(newest.id) {
                upsert.execute(params![episode, newest.id])?;
            }
        }
        Ok(())
    }

    /// To be called once what [`OpenAlerts::save`] wrote is on disk.
    pub(super) fn mark_saved(&self) {
        let mut episodes = self.write();
        episodes.over.clear();
        for newest in episodes.open.values_mut() {
            newest.saved = Some(newest.id);
        }
    }

    fn write(&self) -> RwLockWriteGuard<'_, Episodes> {
        self.episodes
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Episodes {
    fn take(&mut self, episode: i64, id: i64, is_over: bool) {
        if is_over {
            self.end(episode);
        } else {
            let first = Newest { id, saved: None };
            self.open.entry(episode).or_insert(first).id = id;
        }
    }

    fn end(&mut self, episode: i64) {
        let newest = self.open.remove(&episode);
        self.over
            .extend(newest.and_then(|newest| newest.saved).map(|_| episode));
    }
}
