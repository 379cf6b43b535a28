//! Rows of a damaged store beside its readings: what waits for uplinks, dead letters, alerts, and what could not be read.

use std::collections::BTreeMap;

use rusqlite::Row;

use super::descent::{Descent, Found};
use super::readings::Readings;
use super::source::Source;
use super::{LETTERS, ROWS, Slice, ends};
use crate::domain::alert::AlertState;
use crate::domain::sensor::SensorId;
use crate::store::{StoreError, outbox};

#[derive(Debug)]
pub(in crate::store) struct SavedLetter {
    pub(in crate::store) id: i64,
    pub(in crate::store) reading: i64,
    pub(in crate::store) uplink: i64,
    pub(in crate::store) status: i64,
    pub(in crate::store) answer: Box<str>,
    pub(in crate::store) at: i64,
    pub(in crate::store) tries: i64,
}

#[derive(Debug)]
pub(in crate::store) struct SavedAlert {
    pub(in crate::store) sensor: SensorId,
    pub(in crate::store) id: i64,
    pub(in crate::store) episode: i64,
    pub(in crate::store) rule: Box<str>,
    pub(in crate::store) state: AlertState,
    pub(in crate::store) value: f64,
    pub(in crate::store) ts: i64,
    pub(in crate::store) reading: i64,
    /// Severity, message and group.
    pub(in crate::store) texts: [Option<Box<str>>; 3],
}

#[derive(Debug)]
pub(in crate::store) struct SavedReject {
    pub(in crate::store) id: i64,
    pub(in crate::store) topic: Box<str>,
    pub(in crate::store) payload: Vec<u8>,
    pub(in crate::store) reason: Box<str>,
    pub(in crate::store) received_at: i64,
}

pub(super) const ALERT: [&str; 11] = [
    "id",
    "episode",
    "rule",
    "state",
    "sensor",
    "value",
    "ts",
    "reading",
    "severity",
    "message",
    "subject_group",
];

type Taken = Result<(Option<i64>, u64), StoreError>;

pub(super) fn outbox(
    source: &Source,
    readings: &Readings<'_>,
    uplink: i64,
    high: i64,
    slice: &mut Slice,
) -> Taken {
    let query = ends::outbox_query(source)?;
    let mut found = Descent::new(&source.connection, &query, &uplink)
        .take(high, ROWS, |row| Ok(Some(row.get::<_, i64>(0)?)))?;
    found.rows.dedup();
    let mut unreadable = found.unreadable;
    for id in found.rows.into_iter().rev() {
        match readings.of_id(id)? {
            Some(reading) => {
                slice.readings.push(reading);
                slice.outbox.push((uplink, id));
            }
            // It cannot be delivered.
            None => unreadable += 1,
        }
    }
    Ok((found.next, unreadable))
}

/// The readings of a batch to which there was no way at the beginning: without them it was taken apart.
pub(super) fn batches(
    source: &Source,
    readings: &Readings<'_>,
    high: i64,
    slice: &mut Slice,
) -> Taken {
    let query = format!(
        "SELECT {} FROM batch WHERE ?1 IS NOT NULL AND id BETWEEN ?2 AND ?3 ORDER BY id DESC LIMIT ?4",
        outbox::COLUMNS
    );
    let found = Descent::new(&source.connection, &query, &0)
        .take(high, 1, |row| outbox::read(row).map(Some))?;
    for batch in found.rows {
        let below = slice.progress.below;
        let late = batch.readings.iter().map(|id| id.0);
        for id in late.filter(|id| *id < below && source.is_late(*id)) {
            if let Some(reading) = readings.of_id(id)? {
                slice.readings.push(reading);
                slice.outbox.push((batch.uplink.0, id));
            }
        }
    }
    // The numbers of batches that are done with are missing as well.
    Ok((found.next, 0))
}

pub(super) fn letters(
    source: &Source,
    readings: &Readings<'_>,
    high: i64,
    slice: &mut Slice,
) -> Taken {
    let columns = ["id", "reading", "uplink", "status", "answer", "at", "tries"];
    let query = descending(source, "dead_letter", &columns)?;
    let found = Descent::new(&source.connection, &query, &0).take(high, LETTERS, |row| {
        Ok(Some(SavedLetter {
            id: row.get(0)?,
            reading: row.get(1)?,
            uplink: row.get::<_, Option<i64>>(2)?.unwrap_or(1),
            status: row.get(3)?,
            answer: row.get(4)?,
            at: row.get(5)?,
            tries: row.get::<_, Option<i64>>(6)?.unwrap_or(1),
        }))
    })?;
    let below = slice.progress.below;
    for letter in found.rows.iter().filter(|letter| letter.reading < below) {
        slice.readings.extend(readings.of_id(letter.reading)?);
    }
    slice.letters = found.rows;
    Ok((found.next, found.unreadable))
}

pub(super) fn alerts(
    source: &Source,
    sensors: &BTreeMap<i64, SensorId>,
    high: i64,
) -> Result<Found<SavedAlert>, StoreError> {
    let query = descending(source, "alert", &ALERT)?;
    Descent::new(&source.connection, &query, &0).take(high, ROWS, |row| read_alert(row, sensors))
}

pub(super) fn read_alert(
    row: &Row<'_>,
    sensors: &BTreeMap<i64, SensorId>,
) -> rusqlite::Result<Option<SavedAlert>> {
    let state: Box<str> = row.get(3)?;
    let Some(state) = AlertState::from_stored(&state) else {
        return Ok(None);
    };
    Ok(Some(SavedAlert {
        sensor: ends::name(sensors, row.get(4)?),
        id: row.get(0)?,
        episode: row.get(1)?,
        rule: row.get(2)?,
        state,
        value: row.get(5)?,
        ts: row.get(6)?,
        reading: row.get(7)?,
        texts: [row.get(8)?, row.get(9)?, row.get(10)?],
    }))
}

pub(super) fn rejects(source: &Source, high: i64, slice: &mut Slice) -> Taken {
    let columns = ["id", "topic", "payload", "reason", "received_at"];
    let query = descending(source, "reject", &columns)?;
    let found = Descent::new(&source.connection, &query, &0).take(high, LETTERS, |row| {
        Ok(Some(SavedReject {
            id: row.get(0)?,
            topic: row.get(1)?,
            payload: row.get(2)?,
            reason: row.get(3)?,
            received_at: row.get(4)?,
        }))
    })?;
    slice.rejects = found.rows;
    Ok((found.next, found.unreadable))
}

/// The query of a descent through a table by its first column.
pub(super) fn descending(
    source: &Source,
    table: &str,
    columns: &[&str],
) -> Result<String, StoreError> {
    let key = columns.first().copied().unwrap_or("id");
    let list = source.list(table, columns)?;
    Ok(format!(
        "SELECT {list} FROM {table} WHERE ?1 IS NOT NULL AND {key} BETWEEN ?2 AND ?3 ORDER BY {key} DESC LIMIT ?4"
    ))
}
