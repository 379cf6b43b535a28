//! What is stored of the way of one reading: what it set off, and where it waits.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::alerts::{EVENTS, read_alert};
use super::outbox::{self, UplinkKey};
use super::reader::Reader;
use super::{ClockMark, StoreError, bounds::end};
use crate::domain::alert::Alert;
use crate::domain::reading::{ReadingId, StoredReading};
use crate::domain::timestamp::Timestamp;

/// Events stand in the order of their readings, but for those that come of silence or of time and name an older one. Of so many
/// one is in its place.
const NEIGHBOURS: i64 = 64;

/// One reading sets off no more events than there are rules; so many are looked through.
const MAX_EVENTS: i64 = 4096;

/// One reading's way.
#[derive(Debug)]
pub struct ReadingLife {
    pub reading: StoredReading,
    /// `None`: the clock was trusted.
    pub clock: Option<ClockMark>,
    /// What it set off, oldest first. Later events of the same alerts are in the history of alerts.
    pub alerts: Vec<Alert>,
    /// Where it waits, or lies.
    pub places: Vec<(UplinkKey, OutboxPlace)>,
}

/// Where a reading is in the outbox of an uplink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutboxPlace {
    /// In no batch yet.
    Waiting,
    /// Recorded in a batch, which may be on its way.
    Batched { batch: i64, tries: u32 },
    /// Its receiver refused it for good.
    DeadLetter {
        letter: i64,
        status: u16,
        at: Timestamp,
    },
}

impl Reader {
    /// The way of one reading; `None` if there is none of this id.
    pub fn life(
        &self,
        id: ReadingId,
        gateway_id: &Arc<str>,
    ) -> Result<Option<ReadingLife>, StoreError> {
        let Some(reading) = self.readings_by_id(&[id])?.pop() else {
            return Ok(None);
        };
        let clock = self.clock_mark(id)?;
        let (places, alerts) = self.with_connection(|connection| {
            let mut places = Vec::new();
            for uplink in self.uplinks() {
                let found = place(connection, uplink, id)?;
                places.extend(found.map(|place| (uplink, place)));
            }
            Ok((places, set_off(connection, id, gateway_id)?))
        })?;
        Ok(Some(ReadingLife {
            reading,
            clock,
            alerts,
            places,
        }))
    }
}

fn place(
    connection: &Connection,
    uplink: UplinkKey,
    id: ReadingId,
) -> Result<Option<OutboxPlace>, StoreError> {
    let is_waiting = connection
        .prepare_cached("SELECT 1 FROM outbox_entry WHERE uplink = ?1 AND reading = ?2")?
        .exists(params![uplink.0, id.0])?;
    if is_waiting {
        return Ok(Some(OutboxPlace::Waiting));
    }
    let columns = outbox::COLUMNS;
    let select = format!("SELECT {columns} FROM batch WHERE uplink = ?1 ORDER BY id");
    let mut select = connection.prepare_cached(&select)?;
    for batch in select.query_map([uplink.0], outbox::read)? {
        let batch = batch?;
        if batch.readings.binary_search(&id).is_ok() {
            let (batch, tries) = (batch.id, batch.tries);
            return Ok(Some(OutboxPlace::Batched { batch, tries }));
        }
    }
    let letter = connection
        .prepare_cached(
            "SELECT id, status, at FROM dead_letter WHERE uplink = ?1 AND reading = ?2 LIMIT 1",
        )?
        .query_row(params![uplink.0, id.0], |row| {
            Ok(OutboxPlace::DeadLetter {
                letter: row.get(0)?,
                status: row.get(1)?,
                at: Timestamp::from_millis(row.get(2)?),
            })
        });
    Ok(letter.optional()?)
}

/// Looks for the place of the reading among the events by halves, then around it.
fn set_off(
    connection: &Connection,
    id: ReadingId,
    gateway_id: &Arc<str>,
) -> Result<Vec<Alert>, StoreError> {
    let mut first = end(connection, "SELECT min(id) FROM alert")?.unwrap_or(0);
    let mut beyond = end(connection, "SELECT max(id) FROM alert")?.map_or(0, |last| last + 1);
    let mut newest = connection.prepare_cached(
        "SELECT max(reading) FROM (SELECT reading FROM alert WHERE ?1 <= id ORDER BY id LIMIT ?2)",
    )?;
    while first < beyond {
        let middle = first + (beyond - first) / 2;
        let around: Option<i64> = newest.query_row([middle, NEIGHBOURS], |row| row.get(0))?;
        if around.is_some_and(|reading| reading < id.0) {
            first = middle + 1;
        } else {
            beyond = middle;
        }
    }
    let events = format!("{EVENTS} WHERE a.id BETWEEN ?1 AND ?2 AND a.reading = ?3 ORDER BY a.id");
    let mut select = connection.prepare_cached(&events)?;
    let mut rows = select.query([first - NEIGHBOURS, first + MAX_EVENTS, id.0])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        events.extend(read_alert(connection, row, gateway_id)?);
    }
    Ok(events)
}
