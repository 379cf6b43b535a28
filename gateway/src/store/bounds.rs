//! Within which sensor and times rows are asked for, and between which ids they lie.

use rusqlite::{Connection, OptionalExtension};

use super::{StoreError, blocks::Block};
use crate::domain::{sensor::SensorId, timestamp::Timestamp};

/// As the rows have them; each `None` is no bound.
pub(super) struct Bounds {
    /// The sensor's key.
    pub(super) sensor: Option<i64>,
    /// The first time that is within.
    pub(super) from: Option<i64>,
    /// The first time that is beyond.
    pub(super) to: Option<i64>,
}

impl Bounds {
    /// Looks up the sensor. `None`: nothing can be within.
    pub(super) fn find(
        connection: &Connection,
        sensor: Option<&SensorId>,
        times: [Option<Timestamp>; 2],
    ) -> Result<Option<Self>, StoreError> {
        let [from, to] = times.map(|time| time.map(Timestamp::millis));
        if from.zip(to).is_some_and(|(from, to)| to <= from) {
            return Ok(None);
        }
        let sensor = match sensor {
            None => None,
            Some(sensor) => match sensor_key(connection, sensor)? {
                None => return Ok(None),
                known => known,
            },
        };
        Ok(Some(Self { sensor, from, to }))
    }

    /// Whether anything from the first to the last of these times can be within.
    pub(super) fn meet(&self, [first, last]: [i64; 2]) -> bool {
        self.from.is_none_or(|from| from <= last) && self.to.is_none_or(|to| first < to)
    }
}

fn sensor_key(connection: &Connection, sensor: &SensorId) -> Result<Option<i64>, StoreError> {
    let key = connection
        .prepare_cached("SELECT key FROM sensor WHERE name = ?1")?
        .query_row([sensor.as_str()], |row| row.get(0))
        .optional()?;
    Ok(key)
}

/// The ids between which all readings are, whether they are rows or packed; `None` if there are none.
pub(super) fn of_readings(connection: &Connection) -> Result<Option<(i64, i64)>, StoreError> {
    let rows = [
        end(connection, "SELECT min(id) FROM reading")?,
        end(connection, "SELECT max(id) FROM reading")?,
    ];
    let blocks = [
        end(connection, "SELECT min(number) FROM reading_block")?
            .map(|number| Block(number).first()),
        end(connection, "SELECT max(number) FROM reading_block")?
            .map(|number| Block(number).last()),
    ];
    let oldest = rows[0].into_iter().chain(blocks[0]).min();
    let newest = rows[1].into_iter().chain(blocks[1]).max();
    Ok(oldest.zip(newest))
}

/// The id that a `SELECT` of the smallest or largest one gives; `None` if there are no rows.
pub(super) fn end(connection: &Connection, select: &str) -> Result<Option<i64>, StoreError> {
    Ok(connection.query_row(select, [], |row| row.get(0))?)
}
