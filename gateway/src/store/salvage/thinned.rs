//! What the thinned readings of a damaged store come to, pack by pack.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::descent::{Descent, Found};
use super::ends;
use super::other_rows::descending;
use super::source::Source;
use crate::domain::sensor::SensorId;
use crate::store::StoreError;
use crate::store::blocks::UnitPack;

/// A pack, and the names of its sensors by the keys that they have in it.
#[derive(Debug)]
pub(in crate::store) struct SavedPack {
    pack: UnitPack,
    pub(in crate::store) sensors: Vec<(u32, SensorId)>,
}

impl SavedPack {
    /// Writes it with the keys that its sensors have in this store; tells how many readings of each are in it.
    pub(super) fn write(
        &self,
        connection: &Connection,
        keys: &[Option<i64>],
    ) -> Result<BTreeMap<i64, i64>, StoreError> {
        let key = |sensor: u32| -> Option<u32> {
            let place = self.sensors.iter().position(|(key, _)| *key == sensor)?;
            keys.get(place).copied().flatten()?.try_into().ok()
        };
        let pack = self.pack.with_keys(key);
        let counts = pack.map_or_else(|| Ok(BTreeMap::new()), |pack| pack.write(connection))?;
        let mut update = connection
            .prepare_cached("UPDATE sensor SET readings = readings + ?2 WHERE key = ?1")?;
        for (sensor, count) in &counts {
            update.execute([sensor, count])?;
        }
        Ok(counts)
    }
}

/// The next one from the id `high` of a pack down. Without its unit nobody knows how long its intervals are.
pub(super) fn packs_upto(
    source: &Source,
    sensors: &BTreeMap<i64, SensorId>,
    high: i64,
) -> Result<Found<SavedPack>, StoreError> {
    let query = descending(source, "summary_pack", &["id", "pieces"])?;
    let found = Descent::new(&source.connection, &query, &0).take(high, 1, |row| {
        Ok(Some((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))
    })?;
    let (mut rows, mut unreadable) = (Vec::new(), found.unreadable);
    for (id, pieces) in found.rows {
        let unit = source.one(
            "SELECT last, interval, newest_at FROM summary_block WHERE first = ?1",
            [UnitPack::unit_of(id)],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        );
        let pack = super::source::readable(unit)?.flatten();
        let pack = pack.map(|(last, interval, newest_at)| UnitPack {
            id,
            pieces,
            last,
            interval,
            newest_at,
        });
        let keys = pack.as_ref().and_then(UnitPack::keys);
        match pack.zip(keys) {
            Some((pack, keys)) => {
                let named = |key: u32| (key, ends::name(sensors, key.into()));
                let sensors = keys.into_iter().map(named).collect();
                rows.push(SavedPack { pack, sensors });
            }
            None => unreadable += 1,
        }
    }
    Ok(Found {
        rows,
        next: found.next,
        unreadable,
    })
}
