//! The readings of a damaged store. The one place where they are made out of what it has: rows, and packs
//! of old ones.

use std::collections::BTreeMap;

use rusqlite::Row;
use serde_json::value::RawValue;

use super::descent::{Descent, Found};
use super::ends;
use super::other_rows::descending;
use super::source::{Source, readable};
use crate::domain::sensor::SensorId;
use crate::domain::timestamp::Timestamp;
use crate::store::{StoreError, blocks};

const COLUMNS: [&str; 7] = ["id", "sensor", "value", "ts", "delay", "tags", "attributes"];

/// A reading as the damaged store has it.
#[derive(Debug)]
pub(in crate::store) struct SavedReading {
    pub(in crate::store) id: i64,
    pub(in crate::store) sensor: SensorId,
    pub(in crate::store) value: f64,
    pub(in crate::store) ts: i64,
    pub(in crate::store) delay: i64,
    pub(in crate::store) tags: Option<String>,
    pub(in crate::store) attributes: Option<String>,
    /// Nothing of its texts had to be left out.
    pub(in crate::store) is_whole: bool,
}

/// A way to them.
pub(super) struct Readings<'s> {
    source: &'s Source,
    sensors: &'s BTreeMap<i64, SensorId>,
}

impl<'s> Readings<'s> {
    pub(super) fn new(source: &'s Source, sensors: &'s BTreeMap<i64, SensorId>) -> Self {
        Self { source, sensors }
    }

    /// At most `limit` of them from the id `high` down.
    pub(super) fn newest_upto(
        &self,
        high: i64,
        limit: usize,
    ) -> Result<Found<SavedReading>, StoreError> {
        let query = descending(self.source, "reading", &COLUMNS)?;
        Descent::new(&self.source.connection, &query, &0).take(high, limit, |row| self.read(row))
    }

    /// Those of the packs of old readings, from the id `high` of a pack down.
    pub(super) fn packed_upto(
        &self,
        high: i64,
        below: i64,
    ) -> Result<Found<SavedReading>, StoreError> {
        let query = descending(self.source, "packed_reading", &["id", "pieces"])?;
        let found = Descent::new(&self.source.connection, &query, &0).take(high, 1, |row| {
            let (pack, pieces): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
            let readings = blocks::readings_of_pack(pack, &pieces);
            Ok(readings.map(|readings| (pack, readings)))
        })?;
        let mut rows = Vec::new();
        for (pack, readings) in found.rows {
            for (sensor, reading) in readings {
                let id = blocks::id_in_pack(pack, &reading);
                let is_plausible = Timestamp::from_millis(reading.ts).is_plausible();
                if id < below && reading.value.is_finite() && is_plausible {
                    rows.push(SavedReading {
                        id,
                        sensor: ends::name(self.sensors, sensor),
                        value: reading.value,
                        ts: reading.ts,
                        delay: reading.delay,
                        tags: reading.tags.map(String::from),
                        attributes: reading.attributes.map(String::from),
                        is_whole: true,
                    });
                }
            }
        }
        Ok(Found {
            rows,
            next: found.next,
            unreadable: found.unreadable,
        })
    }

    /// The one of this id, if it can be read.
    pub(super) fn of_id(&self, id: i64) -> Result<Option<SavedReading>, StoreError> {
        let list = self.source.list("reading", &COLUMNS)?;
        let query = format!("SELECT {list} FROM reading WHERE id = ?1");
        let read = self.source.one(&query, [id], |row| self.read(row));
        Ok(readable(read)?.flatten().flatten())
    }

    /// `None`: no reading can be so.
    fn read(&self, row: &Row<'_>) -> rusqlite::Result<Option<SavedReading>> {
        let (value, ts): (f64, i64) = (row.get(2)?, row.get(3)?);
        if !value.is_finite() || !Timestamp::from_millis(ts).is_plausible() {
            return Ok(None);
        }
        let (tags, has_tags) = text(row, 5, |text| {
            serde_json::from_str::<Vec<String>>(text).is_ok()
        });
        let (attributes, has_attributes) = text(row, 6, |text| {
            text.starts_with('{') && serde_json::from_str::<&RawValue>(text).is_ok()
        });
        Ok(Some(SavedReading {
            id: row.get(0)?,
            sensor: ends::name(self.sensors, row.get(1)?),
            value,
            ts,
            delay: row.get(4)?,
            tags,
            attributes,
            is_whole: has_tags && has_attributes,
        }))
    }
}

/// A text that makes sense, and whether there is none that does not.
fn text(
    row: &Row<'_>,
    column: usize,
    makes_sense: impl FnOnce(&str) -> bool,
) -> (Option<String>, bool) {
    match row.get::<_, Option<String>>(column) {
        Ok(None) => (None, true),
        Ok(Some(text)) if makes_sense(&text) => (Some(text), true),
        _ => (None, false),
    }
}
