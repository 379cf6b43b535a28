//! Looking at alerts: what happened, newest first, and what is open. Rows of events have no second index: they are looked
//! through from the newest on, a bounded part in each transaction and in each page.

use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, params};

use super::alerts::{EVENTS, read_alert};
use super::bounds::{Bounds, end};
use super::reader::Reader;
use super::{StoreError, open_alerts::OpenAlerts};
use crate::background::give_way_at;
use crate::domain::{
    alert::{Alert, AlertState},
    sensor::SensorId,
    timestamp::Timestamp,
};

/// So many events are looked through in one transaction: well under a second, also on a small board.
const SCAN_ROWS: usize = 100_000;

/// So many open alerts are looked up at once.
const CHUNK: usize = 1000;

/// About what an event takes beside message and attributes.
const BYTES_BESIDE_TEXTS: usize = 300;

/// Which events a page of them shows.
#[derive(Clone, Debug)]
pub struct AlertQuery {
    pub state: Option<AlertState>,
    pub sensor_id: Option<SensorId>,
    pub rule: Option<Box<str>>,
    /// Only events of this time or later.
    pub from: Option<Timestamp>,
    /// Only events before this time.
    pub to: Option<Timestamp>,
    /// Only what comes behind a page: its `next`.
    pub after: Option<i64>,
    pub limit: usize,
    /// The page ends with the event that brings it over so many bytes.
    pub max_bytes: usize,
    /// It also ends when so many events were looked through.
    pub max_looked_through: usize,
}

impl AlertQuery {
    /// The newest events of all, without other bounds.
    pub fn newest(limit: usize) -> Self {
        Self {
            state: None,
            sensor_id: None,
            rule: None,
            from: None,
            to: None,
            after: None,
            limit,
            max_bytes: usize::MAX,
            max_looked_through: usize::MAX,
        }
    }
}

/// A page of events and where the next begins.
#[derive(Debug, Default)]
pub struct AlertPage {
    pub alerts: Vec<Alert>,
    /// To be passed as `after`; `None` at the end. A page that found little may be followed by one that finds more.
    pub next: Option<i64>,
}

impl Reader {
    /// A page of events as those of this gateway, newest first.
    pub fn alerts(
        &self,
        query: &AlertQuery,
        gateway_id: &Arc<str>,
    ) -> Result<AlertPage, StoreError> {
        self.with_connection(|connection| {
            let Some(mut search) = Search::new(connection, query, gateway_id)? else {
                return Ok(AlertPage::default());
            };
            let newest = match search.bounds.sensor {
                Some(key) => self.sensors().last_alert_of(key),
                None => end(connection, "SELECT max(id) FROM alert")?,
            };
            let newest = newest.unwrap_or(0);
            let oldest = end(connection, "SELECT min(id) FROM alert")?.unwrap_or(1);
            let mut upper = query
                .after
                .map_or(newest, |after| newest.min(after.saturating_sub(1)));
            let mut left = query.max_looked_through;
            while oldest <= upper && 0 < left && search.has_room() {
                let step = left.min(SCAN_ROWS);
                let lower = upper.saturating_sub(step as i64 - 1);
                search.look_through(lower, upper)?;
                upper = search.last_if_full().unwrap_or(lower) - 1;
                left -= step;
            }
            let next = (oldest <= upper).then_some(upper + 1);
            Ok(search.into_page(next))
        })
    }

    /// A page of alerts that are open, the last begun first: of each the newest event. Its `next` is an episode, so that one
    /// that goes on meanwhile is neither left out nor repeated.
    pub fn open_alerts(
        &self,
        query: &AlertQuery,
        gateway_id: &Arc<str>,
    ) -> Result<AlertPage, StoreError> {
        let open = self.open_episodes();
        self.with_connection(|connection| {
            let Some(mut search) = Search::new(connection, query, gateway_id)? else {
                return Ok(AlertPage::default());
            };
            let mut after = query.after.unwrap_or(i64::MAX);
            let mut left = query.max_looked_through;
            while 0 < left && search.has_room() {
                let episodes = open.page(after, left.min(CHUNK));
                let Some((oldest, _)) = episodes.last() else {
                    break;
                };
                left -= episodes.len();
                after = search.look_up(&episodes)?.unwrap_or(*oldest);
            }
            Ok(search.into_page(next_of(open, after)))
        })
    }
}

fn next_of(open: &OpenAlerts, after: i64) -> Option<i64> {
    let is_last = open.page(after, 1).is_empty();
    (!is_last).then_some(after)
}

/// A page in the making.
struct Search<'s> {
    connection: &'s Connection,
    select: CachedStatement<'s>,
    query: &'s AlertQuery,
    bounds: Bounds,
    gateway_id: &'s Arc<str>,
    alerts: Vec<Alert>,
    bytes: usize,
}

impl<'s> Search<'s> {
    /// `None`: there can be nothing.
    fn new(
        connection: &'s Connection,
        query: &'s AlertQuery,
        gateway_id: &'s Arc<str>,
    ) -> Result<Option<Self>, StoreError> {
        let (sensor, times) = (query.sensor_id.as_ref(), [query.from, query.to]);
        let Some(bounds) = Bounds::find(connection, sensor, times)? else {
            return Ok(None);
        };
        let select = format!(
            "{EVENTS} WHERE a.id BETWEEN ?1 AND ?2 AND (?3 IS NULL OR a.state = ?3) AND (?4 IS NULL OR a.sensor = ?4) \
             AND (?5 IS NULL OR a.rule = ?5) AND (?6 IS NULL OR ?6 <= a.ts) AND (?7 IS NULL OR a.ts < ?7) ORDER BY a.id DESC"
        );
        Ok(Some(Self {
            connection,
            select: connection.prepare_cached(&select)?,
            query,
            bounds,
            gateway_id,
            alerts: Vec::new(),
            bytes: 0,
        }))
    }

    fn has_room(&self) -> bool {
        self.alerts.len() < self.query.limit && self.bytes < self.query.max_bytes
    }

    /// Takes events of these ids, from the upper end on, as long as there is room.
    fn look_through(&mut self, lower: i64, upper: i64) -> Result<(), StoreError> {
        let (query, bounds) = (self.query, &self.bounds);
        let mut rows = self.select.query(params![
            lower,
            upper,
            query.state.map(AlertState::as_str),
            bounds.sensor,
            query.rule,
            bounds.from,
            bounds.to,
        ])?;
        let mut number = 0;
        while let Some(row) = rows.next()? {
            give_way_at(number);
            number += 1;
            let Some(alert) = read_alert(self.connection, row, self.gateway_id)? else {
                continue;
            };
            let texts =
                alert.attributes.as_json().len() + alert.message.as_deref().map_or(0, str::len);
            self.bytes += texts + BYTES_BESIDE_TEXTS;
            self.alerts.push(alert);
            if query.limit <= self.alerts.len() || query.max_bytes <= self.bytes {
                break;
            }
        }
        Ok(())
    }

    /// Takes the newest events of episodes, as long as there is room; gives the episode after which there was none.
    fn look_up(&mut self, episodes: &[(i64, i64)]) -> Result<Option<i64>, StoreError> {
        for (number, (episode, newest)) in episodes.iter().enumerate() {
            give_way_at(number);
            self.look_through(*newest, *newest)?;
            if !self.has_room() {
                return Ok(Some(*episode));
            }
        }
        Ok(None)
    }

    /// The last event that had room, if there is none for more.
    fn last_if_full(&self) -> Option<i64> {
        let last = self.alerts.last().map(|alert| alert.alert_id);
        last.filter(|_| !self.has_room())
    }

    fn into_page(self, next: Option<i64>) -> AlertPage {
        AlertPage {
            alerts: self.alerts,
            next,
        }
    }
}
