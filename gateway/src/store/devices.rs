//! The devices whose status is stored, by name. Kept in memory, so that a commit only writes.

use std::collections::HashSet;

use rusqlite::{Connection, params};

use super::StoreError;
use crate::domain::status::DeviceStatus;

/// The writer's own look at who has a row.
#[derive(Debug)]
pub(super) struct Devices {
    names: HashSet<Box<str>>,
}

impl Devices {
    /// Reads them.
    pub(super) fn load(connection: &Connection) -> Result<Self, StoreError> {
        let mut select = connection.prepare("SELECT device_id FROM device_status")?;
        let names = select.query_map([], |row| row.get(0))?;
        Ok(Self {
            names: names.collect::<Result<_, _>>()?,
        })
    }

    /// Whether all these devices have a row or can be given one, if there are to be at most `most`.
    pub(super) fn have_room_for(&self, statuses: &[DeviceStatus], most: usize) -> bool {
        let names = statuses.iter().map(|status| status.device_id.as_str());
        let unknown: HashSet<&str> = names.filter(|name| !self.names.contains(*name)).collect();
        unknown.is_empty() || self.names.len() + unknown.len() <= most
    }

    /// Takes note of a device; false if it is a new one and there are `most` already.
    pub(super) fn add(&mut self, name: &str, most: usize) -> bool {
        if self.names.contains(name) {
            return true;
        }
        let has_room = self.names.len() < most;
        if has_room {
            self.names.insert(name.into());
        }
        has_room
    }
}

/// Writes what devices said last.
pub(super) fn write(connection: &Connection, statuses: &[DeviceStatus]) -> Result<(), StoreError> {
    let mut upsert = connection.prepare_cached(
        "INSERT INTO device_status (device_id, status, ts) VALUES (?1, ?2, ?3) \
         ON CONFLICT (device_id) DO UPDATE SET status = excluded.status, ts = excluded.ts",
    )?;
    for status in statuses {
        upsert.execute(params![
            status.device_id.as_str(),
            status.status,
            status.ts.millis(),
        ])?;
    }
    Ok(())
}
