//! Rows of a group that are only appended: readings with their places in the outbox.

use rusqlite::{Connection, params};

use super::outbox::Growth;
use super::writer::Pending;
use super::{Group, StoreError, blocks};
use crate::domain::reading::{Attributes, ReadingId};

/// Writes readings, new sensors and what goes into the outbox, and adds by how much that grows.
pub(super) fn write_readings(
    connection: &Connection,
    group: &Group,
    uplinks: &Pending,
    growths: &mut Vec<Growth>,
) -> Result<(), StoreError> {
    let mut sensor =
        connection.prepare_cached("INSERT INTO sensor (key, name, readings) VALUES (?1, ?2, 0)")?;
    for new in &group.sensors {
        sensor.execute(params![new.key, new.name])?;
    }
    let mut reading = connection.prepare_cached(
        "INSERT INTO reading (id, sensor, value, ts, delay, tags, attributes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let mut entry =
        connection.prepare_cached("INSERT INTO outbox_entry (uplink, reading) VALUES (?1, ?2)")?;
    let mut forwarded = vec![0; uplinks.len()];
    for new in &group.readings {
        let ts = new.reading.ts.millis();
        reading.execute(params![
            new.id.0,
            new.sensor,
            new.reading.value,
            ts,
            new.reading.received_at.millis().saturating_sub(ts),
            new.tags,
            new.reading.attributes.stored(),
        ])?;
        for place in new.forward.places() {
            if let Some((key, _)) = uplinks.get(place) {
                entry.execute([key.0, new.id.0])?;
                forwarded[place] += 1;
            }
        }
    }
    growths.extend(
        uplinks
            .iter()
            .zip(forwarded)
            .map(|((key, _), by)| (*key, by)),
    );
    Ok(())
}

/// The attributes of a reading; none if it is not there.
pub(super) fn attributes_of(
    connection: &Connection,
    id: ReadingId,
) -> Result<Attributes, StoreError> {
    let found = blocks::find(connection, None, id.0)?;
    let attributes = found.and_then(|stored| stored.columns.attributes);
    Ok(attributes
        .map(|text| Attributes::from_json(text.into()))
        .unwrap_or_default())
}
