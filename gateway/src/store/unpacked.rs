//! Stored readings as the rest of the gateway has them, whether they are rows or packed.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};
use serde_json::value::RawValue;

use super::StoreError;
use super::blocks::Stored;
use crate::domain::reading::{ReadingId, StoredReading};
use crate::domain::sensor::SensorId;
use crate::domain::timestamp::Timestamp;

/// Names of sensors, as far as they were asked for.
pub(super) struct Names<'c> {
    connection: &'c Connection,
    known: HashMap<u32, SensorId>,
}

impl<'c> Names<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self {
            connection,
            known: HashMap::new(),
        }
    }

    /// The reading with its sensor's name; `None` if there is no such sensor, which is as with rows.
    pub(super) fn reading(&mut self, stored: Stored) -> Result<Option<StoredReading>, StoreError> {
        let Stored { id, columns } = stored;
        let Some(sensor_id) = self.of(columns.sensor)? else {
            return Ok(None);
        };
        Ok(Some(StoredReading {
            id: ReadingId(id),
            sensor_id,
            value: columns.value,
            ts: Timestamp::from_millis(columns.ts),
            received_at: Timestamp::from_millis(columns.ts.saturating_add(columns.delay)),
            tags: json(columns.tags, "[]")?,
            attributes: json(columns.attributes, "{}")?,
        }))
    }

    fn of(&mut self, key: u32) -> Result<Option<SensorId>, StoreError> {
        if let Some(known) = self.known.get(&key) {
            return Ok(Some(known.clone()));
        }
        let name: Option<std::sync::Arc<str>> = self
            .connection
            .prepare_cached("SELECT name FROM sensor WHERE key = ?1")?
            .query_row([key], |row| row.get(0))
            .optional()?;
        let name = name.map(SensorId::from_stored);
        if let Some(name) = &name {
            self.known.insert(key, name.clone());
        }
        Ok(name)
    }
}

fn json(text: Option<Box<str>>, empty: &str) -> Result<Box<RawValue>, StoreError> {
    let text = text.map_or_else(|| empty.to_owned(), String::from);
    RawValue::from_string(text).map_err(|error| {
        let kind = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(0, kind, error.into()).into()
    })
}
