//! Sensors by name, and the newest reading of each. Kept in memory and written behind, so that a commit only appends.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock},
};

use rusqlite::{Connection, params};

use super::{StoreError, group::NewReading};
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

    /// The newest reading of the sensor with this key.
    pub(super) fn last_reading_of(&self, key: i64) -> Option<i64> {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let row = rows.get(usize::try_from(key - 1).ok()?)?;
        row.last.map(|(id, _)| id)
    }

    /// Takes over the readings of a group that is on disk.
    pub(super) fn adopt(&self, readings: &[NewReading], index: &Index) {
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        for new in readings {
            let Some(row) = index
                .position(new.sensor)
                .and_then(|position| rows.get_mut(position))
            else {
                continue;
            };
            row.readings += 1;
            row.last = Some((new.id.0, new.reading.value));
            row.is_saved = false;
        }
    }

    /// Writes down what changed since it was last written.
    pub(super) fn save(&self, connection: &Connection) -> Result<(), StoreError> {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let mut update = connection.prepare_cached(
            "UPDATE sensor SET readings = ?2, last_reading = ?3, last_value = ?4 WHERE key = ?1",
        )?;
        for row in rows.iter().filter(|row| !row.is_saved) {
            let (id, value) = row.last.unzip();
            update.execute(params![row.key, row.readings, id, value])?;
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
    pub(super) fn has_room_for<'s>(&self, sensors: impl Iterator<Item = &'s SensorId>) -> bool {
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
            is_saved: true,
        });
        Some(key)
    }

    fn position(&self, key: i64) -> Option<usize> {
        usize::try_from(key - 1).ok()
    }
}

/// Reads the sensors, and the readings that came after their rows were last written; tells how many those are.
pub(super) fn load(
    connection: &Connection,
    saved_upto: i64,
) -> Result<(Index, Sensors, usize), StoreError> {
    let mut rows = Vec::new();
    let mut keys = HashMap::new();
    let mut select = connection
        .prepare("SELECT key, name, readings, last_reading, last_value FROM sensor ORDER BY key")?;
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
            is_saved: true,
        });
    }
    let mut select =
        connection.prepare("SELECT sensor, id, value FROM reading WHERE ?1 < id ORDER BY id")?;
    let mut found = select.query([saved_upto])?;
    let mut unsaved = 0;
    while let Some(reading) = found.next()? {
        unsaved += 1;
        let key: i64 = reading.get(0)?;
        if let Some(row) = usize::try_from(key - 1)
            .ok()
            .and_then(|at| rows.get_mut(at))
        {
            row.readings += 1;
            row.last = Some((reading.get(1)?, reading.get(2)?));
            row.is_saved = false;
        }
    }
    let sensors = Sensors {
        rows: Arc::new(RwLock::new(rows)),
    };
    Ok((Index { keys }, sensors, unsaved))
}
