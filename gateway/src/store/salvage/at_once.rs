//! What is taken over of a damaged store before anybody is served: sensors, recorded batches with their readings, what rules remember,
//! and the alerts that this and what topics retain stand on.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rusqlite::{Connection, params};

use super::begin::Counters;
use super::descent::Descent;
use super::ends;
use super::other_rows::{ALERT, SavedAlert, descending, read_alert};
use super::readings::Readings;
use super::rows::{write_alert, write_reading};
use super::source::{Source, readable};
use crate::domain::sensor::SensorId;
use crate::store::{StoreError, outbox};

/// Alerts and readings that are taken over at once, at the most.
const MOST: usize = 200_000;

/// Small tables, and what sorts them.
const RULES: &[(&str, &[&str])] = &[
    ("rule", &["name"]),
    ("rule_state", &["rule", "subject"]),
    ("open_alert", &["episode"]),
];

/// Takes it over into a store that has nothing yet.
pub(super) fn take_over(
    source: &Source,
    target: &Connection,
    counters: Option<&Counters>,
) -> Result<(), StoreError> {
    let sensors = ends::sensors(source)?;
    let mut keys = HashMap::new();
    for (key, name) in (1..).zip(sensors.values()) {
        target.execute(
            "INSERT OR IGNORE INTO sensor (key, name, readings) VALUES (?1, ?2, 0)",
            params![key, name.as_str()],
        )?;
        keys.insert(name.clone(), key);
    }
    let mut readings = take_batches(source, target)?;
    if let Some(known) = counters {
        for (table, order) in RULES {
            ends::copy(source, target, table, order)?;
        }
        let alerts = take_alerts(source, target, known, &sensors, &keys)?;
        readings.extend(alerts);
    }
    let of_source = Readings::new(source, &sensors);
    for id in readings.into_iter().take(MOST) {
        if let Some(reading) = of_source.of_id(id)?
            && let Some(sensor) = keys.get(&reading.sensor)
        {
            write_reading(target, &reading, *sensor)?;
        }
    }
    Ok(())
}

/// Takes over the recorded batches whose readings can all be read: the same key must be the same bytes. The readings of others go
/// back to the outbox. Gives all of them.
fn take_batches(source: &Source, target: &Connection) -> Result<BTreeSet<i64>, StoreError> {
    let mut wanted = BTreeSet::new();
    let mut broken = Vec::new();
    let columns = outbox::COLUMNS;
    let exists = "SELECT 1 FROM reading WHERE id = ?1";
    ends::both(
        source,
        &format!("SELECT {columns} FROM batch"),
        &["id"],
        |row| {
            let batch = outbox::read(row)?;
            let mut is_whole = true;
            for id in &batch.readings {
                is_whole = is_whole && source.one(exists, [id.0], |_| Ok(()))?.is_some();
            }
            wanted.extend(batch.readings.iter().map(|id| id.0));
            if !is_whole {
                broken.push(batch);
            }
            Ok(())
        },
    )?;
    if !wanted.is_empty() {
        ends::copy(source, target, "batch", &["id"])?;
    }
    for batch in broken {
        target.execute("DELETE FROM batch WHERE id = ?1", [batch.id])?;
        for id in batch.readings {
            if source.one(exists, [id.0], |_| Ok(()))?.is_some() {
                target.execute(
                    "INSERT OR IGNORE INTO outbox_entry (uplink, reading) VALUES (?1, ?2)",
                    [batch.uplink.0, id.0],
                )?;
            }
        }
    }
    Ok(wanted)
}

/// Takes over the alerts that came since what follows from them was written, those that are open and the last of each sensor; gives
/// their readings.
fn take_alerts(
    source: &Source,
    target: &Connection,
    known: &Counters,
    sensors: &BTreeMap<i64, SensorId>,
    keys: &HashMap<SensorId, i64>,
) -> Result<BTreeSet<i64>, StoreError> {
    let Some(query) = readable(descending(source, "alert", &ALERT))? else {
        return Ok(BTreeSet::new());
    };
    let mut readings = BTreeSet::new();
    let mut write = |alert: &SavedAlert| -> Result<(), StoreError> {
        if let Some(sensor) = keys.get(&alert.sensor) {
            write_alert(target, alert, *sensor)?;
            readings.insert(alert.reading);
        }
        Ok(())
    };
    let unsaved_after = known.alerts_saved_upto.min(known.rules_saved_upto);
    let newest = known.given[1];
    let most = usize::try_from(newest - unsaved_after)
        .unwrap_or(0)
        .min(MOST);
    if 0 < most {
        let found = Descent::new(&source.connection, &query, &0)
            .take(newest, most, |row| read_alert(row, sensors))?;
        let unsaved = found.rows.iter().filter(|alert| unsaved_after < alert.id);
        unsaved.into_iter().try_for_each(&mut write)?;
    }
    let mut ids = BTreeSet::new();
    let mut last_of = Vec::new();
    ends::both(
        source,
        "SELECT episode, newest FROM open_alert",
        &["episode"],
        |row| {
            ids.extend([row.get::<_, i64>(0)?, row.get(1)?]);
            Ok(())
        },
    )?;
    ends::both(
        source,
        "SELECT key, last_alert FROM sensor WHERE last_alert IS NOT NULL",
        &["key"],
        |row| {
            let (key, alert): (i64, i64) = (row.get(0)?, row.get(1)?);
            ids.insert(alert);
            last_of.push((key, alert));
            Ok(())
        },
    )?;
    for id in ids.into_iter().take(MOST) {
        let found = Descent::new(&source.connection, &query, &0)
            .take(id, 1, |row| read_alert(row, sensors))?;
        found
            .rows
            .iter()
            .filter(|alert| alert.id == id)
            .try_for_each(&mut write)?;
    }
    for (key, alert) in last_of {
        if let Some(key) = sensors.get(&key).and_then(|name| keys.get(name)) {
            let update = "UPDATE sensor SET last_alert = ?2 WHERE key = ?1";
            target.execute(update, [*key, alert])?;
        }
    }
    Ok(readings)
}
