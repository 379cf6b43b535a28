//! A pack of thinned readings on its own, as it is taken over from another store.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, params};

use super::pack::first_sensor;
use super::thin::{intervals_of, with_keys};
use super::{Block, LAST_PLACE, PLACE_BITS, SENSOR_BITS, StoreError};

/// A pack of a unit, and what the unit says of itself.
#[derive(Clone, Debug)]
pub(in crate::store) struct UnitPack {
    pub(in crate::store) id: i64,
    pub(in crate::store) pieces: Vec<u8>,
    /// The last block of the unit; its first one stands in the id.
    pub(in crate::store) last: i64,
    /// In milliseconds.
    pub(in crate::store) interval: i64,
    pub(in crate::store) newest_at: i64,
}

impl UnitPack {
    /// The first block of the unit to which a pack of this id belongs.
    pub(in crate::store) fn unit_of(id: i64) -> i64 {
        id >> (SENSOR_BITS + PLACE_BITS)
    }

    /// The keys of its sensors, ascending; `None` if it makes no sense.
    pub(in crate::store) fn keys(&self) -> Option<BTreeSet<u32>> {
        let intervals = intervals_of(self.id, &self.pieces, None)?;
        let is_sound = 0 < self.interval && Self::unit_of(self.id) <= self.last;
        is_sound.then(|| intervals.iter().map(|interval| interval.sensor).collect())
    }

    /// With the keys that its sensors have in another store. What has none there, or one that would come before its neighbour's, is
    /// left out; `None` if nothing is left.
    pub(in crate::store) fn with_keys(&self, key: impl Fn(u32) -> Option<u32>) -> Option<Self> {
        let (first, pieces) = with_keys(self.id, &self.pieces, &key)?;
        // The place says which of its sensor's pieces the first one is.
        let place = if key(first_sensor(self.id)) == Some(first) {
            self.id & i64::from(LAST_PLACE)
        } else {
            0
        };
        Some(Self {
            id: Block(Self::unit_of(self.id)).pack(first, place as u16),
            pieces,
            ..*self
        })
    }

    /// Adds it to its unit, unless it is there; tells how many readings of each sensor that brings.
    pub(in crate::store) fn write(
        &self,
        connection: &Connection,
    ) -> Result<BTreeMap<i64, i64>, StoreError> {
        let added = connection
            .prepare_cached("INSERT OR IGNORE INTO summary_pack (id, pieces) VALUES (?1, ?2)")?
            .execute(params![self.id, self.pieces])?;
        let intervals = intervals_of(self.id, &self.pieces, None).unwrap_or_default();
        let numbers = intervals.iter().map(|interval| interval.number);
        let ends = numbers.clone().min().zip(numbers.max());
        let Some((begin, end)) = ends.filter(|_| 0 < added) else {
            return Ok(BTreeMap::new());
        };
        let mut counts = BTreeMap::new();
        for interval in &intervals {
            *counts.entry(interval.sensor.into()).or_default() += interval.values.count as i64;
        }
        connection
            .prepare_cached(
                "INSERT INTO summary_block (first, last, interval, min_ts, max_ts, newest_at, bytes, count) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (first) DO UPDATE SET \
                 min_ts = min(min_ts, excluded.min_ts), max_ts = max(max_ts, excluded.max_ts), \
                 bytes = bytes + excluded.bytes, count = count + excluded.count",
            )?
            .execute(params![
                Self::unit_of(self.id),
                self.last,
                self.interval,
                begin.saturating_mul(self.interval),
                end.saturating_add(1).saturating_mul(self.interval) - 1,
                self.newest_at,
                self.pieces.len() as i64,
                counts.values().sum::<i64>(),
            ])?;
        Ok(counts)
    }
}
