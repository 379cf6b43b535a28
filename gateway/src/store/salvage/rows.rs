//! Writing what was read of a damaged store, as a part of a group.

use rusqlite::{Connection, params};

use super::{Progress, Slice};
use crate::store::StoreError;
use crate::store::outbox::{Growth, UplinkKey};

/// A slice with the keys of its sensors in this store; `None`: there are too many sensors.
#[derive(Debug)]
pub(in crate::store) struct Rows {
    pub(in crate::store) slice: Slice,
    pub(in crate::store) reading_sensors: Vec<Option<i64>>,
    pub(in crate::store) alert_sensors: Vec<Option<i64>>,
    /// Of each pack of thinned ones.
    pub(in crate::store) thinned_sensors: Vec<Vec<Option<i64>>>,
}

impl Rows {
    /// The alerts with their sensors.
    pub(in crate::store) fn alerts(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        let alerts = self.slice.alerts.iter().zip(&self.alert_sensors);
        alerts.filter_map(|(alert, sensor)| Some((alert.id, (*sensor)?)))
    }
}

/// What was not there before.
#[derive(Debug, Default)]
pub(in crate::store) struct Adoption {
    pub(in crate::store) readings: Vec<Adopted>,
    /// How many readings of a sensor are thinned, once for each pack.
    pub(in crate::store) thinned: Vec<(i64, i64)>,
}

/// A reading that was not there before.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Adopted {
    pub(in crate::store) sensor: i64,
    pub(in crate::store) id: i64,
    pub(in crate::store) value: f64,
}

/// Writes the rows that are not there yet, and how far it is with them.
pub(in crate::store) fn write(
    connection: &Connection,
    rows: &[Rows],
    growths: &mut Vec<Growth>,
) -> Result<Adoption, StoreError> {
    let mut adoption = Adoption::default();
    for Rows {
        slice,
        reading_sensors,
        alert_sensors,
        thinned_sensors,
    } in rows
    {
        let readings = slice.readings.iter().zip(reading_sensors);
        for (reading, sensor) in
            readings.filter_map(|(reading, sensor)| Some((reading, (*sensor)?)))
        {
            let adopted = write_reading(connection, reading, sensor)?;
            adoption.readings.extend(adopted);
        }
        write_outbox(connection, &slice.outbox, growths)?;
        write_letters(connection, slice)?;
        write_alerts(connection, slice, alert_sensors)?;
        write_rejects(connection, slice)?;
        for (pack, keys) in slice.thinned.iter().zip(thinned_sensors) {
            let counts = pack.write(connection, keys)?;
            adoption.thinned.extend(counts);
        }
        write_progress(connection, &slice.progress)?;
    }
    Ok(adoption)
}

/// The reading, unless it is there.
pub(super) fn write_reading(
    connection: &Connection,
    reading: &super::SavedReading,
    sensor: i64,
) -> Result<Option<Adopted>, StoreError> {
    let written = connection
        .prepare_cached(
            "INSERT OR IGNORE INTO reading (id, sensor, value, ts, delay, tags, attributes) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            reading.id,
            sensor,
            reading.value,
            reading.ts,
            reading.delay,
            reading.tags,
            reading.attributes,
        ])?;
    if written == 0 {
        return Ok(None);
    }
    let (id, value) = (reading.id, reading.value);
    connection
        .prepare_cached(
            "UPDATE sensor SET readings = readings + 1, \
             last_value = iif(coalesce(last_reading, 0) < ?2, ?3, last_value), \
             last_reading = max(coalesce(last_reading, 0), ?2) WHERE key = ?1",
        )?
        .execute(params![sensor, id, value])?;
    Ok(Some(Adopted { sensor, id, value }))
}

fn write_outbox(
    connection: &Connection,
    entries: &[(i64, i64)],
    growths: &mut Vec<Growth>,
) -> Result<(), StoreError> {
    let mut insert = connection
        .prepare_cached("INSERT OR IGNORE INTO outbox_entry (uplink, reading) VALUES (?1, ?2)")?;
    for (uplink, reading) in entries {
        let written = insert.execute([uplink, reading])?;
        growths.extend((0 < written).then_some((UplinkKey(*uplink), 1)));
    }
    Ok(())
}

fn write_letters(connection: &Connection, slice: &Slice) -> Result<(), StoreError> {
    let mut insert = connection.prepare_cached(
        "INSERT OR IGNORE INTO dead_letter (id, reading, uplink, status, answer, at, tries) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for letter in &slice.letters {
        insert.execute(params![
            letter.id,
            letter.reading,
            letter.uplink,
            letter.status,
            letter.answer,
            letter.at,
            letter.tries,
        ])?;
    }
    Ok(())
}

fn write_alerts(
    connection: &Connection,
    slice: &Slice,
    sensors: &[Option<i64>],
) -> Result<(), StoreError> {
    let alerts = slice.alerts.iter().zip(sensors);
    for (alert, sensor) in alerts.filter_map(|(alert, sensor)| Some((alert, (*sensor)?))) {
        write_alert(connection, alert, sensor)?;
    }
    Ok(())
}

pub(super) fn write_alert(
    connection: &Connection,
    alert: &super::other_rows::SavedAlert,
    sensor: i64,
) -> Result<(), StoreError> {
    let [severity, message, group] = &alert.texts;
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO alert \
             (id, episode, rule, state, sensor, value, ts, reading, severity, message, subject_group) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            alert.id,
            alert.episode,
            alert.rule,
            alert.state.as_str(),
            sensor,
            alert.value,
            alert.ts,
            alert.reading,
            severity,
            message,
            group,
        ])?;
    Ok(())
}

fn write_rejects(connection: &Connection, slice: &Slice) -> Result<(), StoreError> {
    let mut insert = connection.prepare_cached(
        "INSERT OR IGNORE INTO reject (id, topic, payload, reason, received_at) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for reject in &slice.rejects {
        insert.execute(params![
            reject.id,
            reject.topic,
            reject.payload,
            reject.reason,
            reject.received_at,
        ])?;
    }
    Ok(())
}

/// Writes how far it is.
pub(super) fn write_progress(
    connection: &Connection,
    progress: &Progress,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO salvage \
             (folder, reason, below, stage, part, position, saved, unreadable, alert) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            progress.folder,
            progress.reason,
            progress.below,
            progress.stage as i64,
            progress.part,
            progress.position,
            i64::try_from(progress.saved).unwrap_or(i64::MAX),
            i64::try_from(progress.unreadable).unwrap_or(i64::MAX),
            progress.alert,
        ])?;
    Ok(())
}
