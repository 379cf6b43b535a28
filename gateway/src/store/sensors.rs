//! Sensors by name, and the newest reading and alert of each. Kept in memory and written behind, so that a commit only appends.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock},
};

use rusqlite::{Connection, params};

use super::{Group, StoreError, salvage};
use crate::domain::{reading::ReadingId, sensor::SensorId};

/// More names than any site has, and a bound on what made-up ones can cost: about 200 bytes of memory each.
pub(super) const MAX_SENSORS: usize = 100_000;

/// A sensor's newest reading by id.
#[derive(Clone, Debug, PartialEq)]
pub struct LastReading {
    pub sensor_id: SensorId,
    pub reading_id: ReadingId,
    pub value: f64,
}

/// What is known of a sensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SensorTotals {
    /// Its place among all sensors, from 1.
    pub key: i64,
    pub sensor_id: SensorId,
    /// How many readings of it were stored.
    pub readings: u64,
    /// `None`: there are only alerts of it.
    pub last: Option<ReadingId>,
}

/// What readers see of the sensors.
#[derive(Clone, Debug, Default)]
pub struct Sensors {
    rows: Arc<RwLock<Vec<Row>>>,
}

#[derive(Debug)]
struct Row {
    key: i64,
    name: Arc<str>,
    readings: i64,
    last: Option<(i64, f64)>,
    last_alert: Option<i64>,
    is_saved: bool,
}

impl Sensors {
    /// The newest reading of each sensor, in the order in which the sensors first came.
    pub fn last_readings(&self) -> Vec<LastReading> {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        rows.iter()
            .filter_map(|row| {
                let (id, value) = row.last?;
                Some(LastReading {
                    sensor_id: SensorId::from_stored(Arc::clone(&row.name)),
                    reading_id: ReadingId(id),
                    value,
                })
            })
            .collect()
    }

    /// At most `limit` sensors after the one with this key, in the order in which they first came.
    pub(super) fn page(&self, after: i64, limit: usize) -> Vec<SensorTotals> {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let from = usize::try_from(after).unwrap_or(0).min(rows.len());
        let some = rows[from..].iter().take(limit);
        some.map(|row| SensorTotals {
            key: row.key,
            sensor_id: SensorId::from_stored(Arc::clone(&row.name)),
            readings: row.readings.unsigned_abs(),
            last: row.last.map(|(id, _)| ReadingId(id)),
        })
        .collect()
    }

    /// The newest reading of the sensor with this key.
    pub(super) fn last_reading_of(&self, key: i64) -> Option<i64> {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let row = rows.get(usize::try_from(key - 1).ok()?)?;
        row.last.map(|(id, _)| id)
    }

    /// The newest alert of the sensor with this key.
    pub(super) fn last_alert_of(&self, key: i64) -> Option<i64> {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        rows.get(usize::try_from(key - 1).ok()?)?.last_alert
    }

    /// The ids of the last alerts of at most `most` sensors, newest first.
    pub(super) fn last_alerts(&self, most: usize) -> Vec<i64> {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let mut ids: Vec<i64> = rows.iter().filter_map(|row| row.last_alert).collect();
        ids.sort_unstable_by(|a, b| b.cmp(a));
        ids.truncate(most);
        ids
    }

    /// Takes over the readings and alerts of a group that is on disk.
    pub(super) fn adopt(&self, group: &Group) {
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        for new in &group.readings {
            if let Some(row) = row_of(&mut rows, new.sensor) {
                row.read(new.id.0, new.reading.value);
            }
        }
        for (sensor, alert) in &group.alerts {
            if let Some(row) = row_of(&mut rows, *sensor) {
                row.alert(alert.alert_id);
            }
        }
    }

    /// Takes over what came out of a damaged store: older than what is here, most often.
    pub(super) fn adopt_salvaged(&self, adoption: &salvage::Adoption, rows_of: &[salvage::Rows]) {
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        for (sensor, count) in &adoption.thinned {
            if let Some(row) = row_of(&mut rows, *sensor) {
                row.readings += count;
                row.is_saved = false;
            }
        }
        for reading in &adoption.readings {
            if let Some(row) = row_of(&mut rows, reading.sensor) {
                let last = row.last.filter(|(id, _)| reading.id < *id);
                row.read(reading.id, reading.value);
                row.last = last.or(row.last);
            }
        }
        for (alert, sensor) in rows_of.iter().flat_map(salvage::Rows::alerts) {
            if let Some(row) = row_of(&mut rows, sensor) {
                row.alert(row.last_alert.map_or(alert, |last| last.max(alert)));
            }
        }
    }

    /// Writes down what changed since it was last written.
    pub(super) fn save(&self, connection: &Connection) -> Result<(), StoreError> {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let mut update = connection.prepare_cached(
            "UPDATE sensor SET readings = ?2, last_reading = ?3, last_value = ?4, last_alert = ?5 WHERE key = ?1",
        )?;
        for row in rows.iter().filter(|row| !row.is_saved) {
            let (id, value) = row.last.unzip();
            update.execute(params![row.key, row.readings, id, value, row.last_alert])?;
        }
        Ok(())
    }

    /// To be called once what [`Sensors::save`] wrote is on disk.
    pub(super) fn mark_saved(&self) {
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        rows.iter_mut().for_each(|row| row.is_saved = true);
    }

    fn push(&self, row: Row) {
        self.rows
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(row);
    }
}

/// The writer's own way from a name to a key. Keys are given in the order of the rows, from 1.
#[derive(Debug, Default)]
pub(super) struct Index {
    keys: HashMap<Arc<str>, i64>,
}

impl Index {
    /// The key of a known sensor.
    pub(super) fn key(&self, sensor: &SensorId) -> Option<i64> {
        self.keys.get(sensor.as_str()).copied()
    }

    /// Whether all these sensors have a key or can be given one.
    pub(super) fn has_room_for<'s>(
        &self,
        sensors: impl ExactSizeIterator<Item = &'s SensorId>,
    ) -> bool {
        if self.keys.len() + sensors.len() <= MAX_SENSORS {
            return true;
        }
        let unknown: HashSet<&str> = sensors
            .map(SensorId::as_str)
            .filter(|name| !self.keys.contains_key(*name))
            .collect();
        self.keys.len() + unknown.len() <= MAX_SENSORS
    }

    /// Gives a new sensor its key; `None` when there are [`MAX_SENSORS`].
    pub(super) fn add(&mut self, sensor: &SensorId, sensors: &Sensors) -> Option<i64> {
        if MAX_SENSORS <= self.keys.len() {
            return None;
        }
        let key = self.keys.len() as i64 + 1;
        self.keys.insert(Arc::clone(sensor.shared()), key);
        sensors.push(Row {
            key,
            name: Arc::clone(sensor.shared()),
            readings: 0,
            last: None,
            last_alert: None,
            is_saved: true,
        });
        Some(key)
    }
}

impl Row {
    fn read(&mut self, reading: i64, value: f64) {
        self.readings += 1;
        self.last = Some((reading, value));
        self.is_saved = false;
    }

    fn alert(&mut self, alert: i64) {
        self.last_alert = Some(alert);
        self.is_saved = false;
    }
}

fn row_of(rows: &mut [Row], key: i64) -> Option<&mut Row> {
    rows.get_mut(usize::try_from(key - 1).ok()?)
}

/// Reads the sensors, and the readings and alerts that came after their rows were last written; tells how many readings
/// those are.
pub(super) fn load(connection: &Connection) -> Result<(Index, Sensors, usize), StoreError> {
    let mut rows = Vec::new();
    let mut keys = HashMap::new();
    let mut select = connection.prepare(
        "SELECT key, name, readings, last_reading, last_value, last_alert FROM sensor ORDER BY key",
    )?;
    let mut found = select.query([])?;
    while let Some(row) = found.next()? {
        let name: Arc<str> = row.get(1)?;
        let last_reading: Option<i64> = row.get(3)?;
        let last_value: Option<f64> = row.get(4)?;
        keys.insert(Arc::clone(&name), row.get(0)?);
        rows.push(Row {
            key: row.get(0)?,
            name,
            readings: row.get(2)?,
            last: last_reading.zip(last_value),
            last_alert: row.get(5)?,
            is_saved: true,
        });
    }
    let mut select = connection.prepare(
        "SELECT sensor, id, value FROM reading WHERE (SELECT sensors_saved_upto FROM counter) < id ORDER BY id",
    )?;
    let mut found = select.query([])?;
    let mut unsaved = 0;
    while let Some(reading) = found.next()? {
        unsaved += 1;
        if let Some(row) = row_of(&mut rows, reading.get(0)?) {
            row.read(reading.get(1)?, reading.get(2)?);
        }
    }
    let mut select = connection.prepare(
        "SELECT sensor, id FROM alert WHERE (SELECT alerts_saved_upto FROM counter) < id ORDER BY id",
    )?;
    let mut found = select.query([])?;
    while let Some(alert) = found.next()? {
        if let Some(row) = row_of(&mut rows, alert.get(0)?) {
            row.alert(alert.get(1)?);
        }
    }
    let sensors = Sensors {
        rows: Arc::new(RwLock::new(rows)),
    };
    Ok((Index { keys }, sensors, unsaved))
}
