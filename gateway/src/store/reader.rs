//! Looking at the store without writing. Each call is one short read transaction, so that the log can be checkpointed.
//! Calls block on the disk: async callers go through a blocking thread.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use rusqlite::{Connection, OptionalExtension, Row};
use serde_json::value::RawValue;

use super::{
    Alarm, Damage, Forsaken, History, LastReading, SensorTotals, Sensors, StoreError,
    blocks::{self, BlockCache},
    connection,
    open_alerts::OpenAlerts,
    outbox::UplinkKey,
    place::Place,
    unpacked::Names,
    writer::Pending,
};
use crate::background::give_way_at;
use crate::domain::{
    reading::{ReadingId, StoredReading},
    sensor::SensorId,
    timestamp::Timestamp,
};

const BETWEEN_IDS: &str = "SELECT r.id, s.name, r.value, r.ts, r.delay, r.tags, r.attributes \
     FROM reading r CROSS JOIN sensor s ON s.key = r.sensor WHERE r.id BETWEEN ?1 AND ?2 ORDER BY r.id";

/// So many rows are walked over for each reading that is wanted, rather than to look it up.
const WALKED_FOR_EACH: i64 = 4;

/// A shared way to look at the store.
#[derive(Clone, Debug)]
pub struct Reader {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    place: Arc<Place>,
    store_id: Arc<str>,
    sensors: Sensors,
    open_alerts: OpenAlerts,
    uplinks: Pending,
    alarm: Arc<Alarm>,
    steps: Arc<AtomicU64>,
    forsaken: OnceLock<Box<[Forsaken]>>,
    cache: BlockCache,
}

/// How much is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    pub readings: i64,
    pub alerts: i64,
}

impl Reader {
    pub(super) fn new(
        place: Arc<Place>,
        store_id: Arc<str>,
        sensors: Sensors,
        open_alerts: OpenAlerts,
        uplinks: Pending,
        alarm: Arc<Alarm>,
        steps: Arc<AtomicU64>,
    ) -> Self {
        let shared = Shared {
            place,
            store_id,
            sensors,
            open_alerts,
            uplinks,
            alarm,
            steps,
            forsaken: OnceLock::new(),
            cache: BlockCache::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    pub(super) fn cache(&self) -> &BlockCache {
        &self.shared.cache
    }

    /// Gives back memory that nobody has needed since it was called last.
    pub fn tidy(&self) {
        self.shared.cache.tidy();
    }

    /// The stored past, from its beginning on.
    pub fn history(&self) -> Result<History, StoreError> {
        History::open(self.path())
    }

    /// Names the store: ids only grow within one.
    pub fn store_id(&self) -> &str {
        &self.shared.store_id
    }

    /// The numbers of the uplinks, by their places in the configuration.
    pub fn uplinks(&self) -> Vec<UplinkKey> {
        self.shared.uplinks.iter().map(|(key, _)| *key).collect()
    }

    /// How many readings wait for an uplink, or for all of them together.
    pub fn outbox_pending(&self, uplink: Option<UplinkKey>) -> u64 {
        let of = self.shared.uplinks.iter();
        let of = of.filter(|(key, _)| uplink.is_none_or(|uplink| uplink == *key));
        let pending: i64 = of.map(|(_, pending)| pending.load(Ordering::Relaxed)).sum();
        u64::try_from(pending).unwrap_or(0)
    }

    /// How many groups with steps of the upkeep are on disk. As long as it is the same number, readings stay as they are.
    pub fn steps(&self) -> u64 {
        self.shared.steps.load(Ordering::Acquire)
    }

    /// The newest reading of each sensor. Does not touch the disk.
    pub fn last_readings(&self) -> Vec<LastReading> {
        self.shared.sensors.last_readings()
    }

    pub(super) fn sensors(&self) -> &Sensors {
        &self.shared.sensors
    }

    pub(super) fn open_episodes(&self) -> &OpenAlerts {
        &self.shared.open_alerts
    }

    /// At most `limit` sensors after the one with this key, in the order in which they first came. Does not touch the disk.
    pub fn sensor_totals(&self, after: i64, limit: usize) -> Vec<SensorTotals> {
        self.shared.sensors.page(after, limit)
    }

    /// Bytes on disk of the database, its log and the reserve.
    pub fn bytes_on_disk(&self) -> u64 {
        ["", "-wal", "-shm", "-reserve"]
            .iter()
            .filter_map(|suffix| connection::beside(self.path(), suffix).metadata().ok())
            .map(|metadata| metadata.len())
            .sum()
    }

    /// Bytes that are free on the disk of the store, for who is not root; `None` if the system does not say.
    pub fn free_bytes(&self) -> Option<u64> {
        let found = rustix::fs::statvfs(self.path()).ok()?;
        Some(found.f_bavail.saturating_mul(found.f_frsize))
    }

    /// Readings by their ids, in the order asked for.
    pub fn readings_by_id(&self, ids: &[ReadingId]) -> Result<Vec<StoredReading>, StoreError> {
        self.with_connection(|connection| {
            if let Some(found) = rows_of_range(connection, ids)? {
                return Ok(found);
            }
            let mut found = Vec::with_capacity(ids.len());
            let mut select = connection.prepare_cached(BETWEEN_IDS)?;
            let mut names = Names::new(connection);
            for (number, id) in ids.iter().enumerate() {
                give_way_at(number);
                match select.query_row([id.0, id.0], read_reading).optional()? {
                    Some(reading) => found.push(reading),
                    None => {
                        let stored = blocks::find(connection, None, id.0)?;
                        found.extend(
                            stored
                                .map(|stored| names.reading(stored))
                                .transpose()?
                                .flatten(),
                        );
                    }
                }
            }
            Ok(found)
        })
    }

    /// The newest reading of each of these sensors, of those that have one.
    pub fn newest_of(&self, sensors: &[SensorTotals]) -> Result<Vec<StoredReading>, StoreError> {
        self.with_connection(|connection| {
            let mut names = Names::new(connection);
            let mut found = Vec::with_capacity(sensors.len());
            for (number, sensor) in sensors.iter().enumerate() {
                give_way_at(number);
                let Some(ReadingId(id)) = sensor.last else {
                    continue;
                };
                let stored = blocks::find(connection, blocks::key(sensor.key), id)?;
                found.extend(
                    stored
                        .map(|stored| names.reading(stored))
                        .transpose()?
                        .flatten(),
                );
            }
            Ok(found)
        })
    }

    /// Whether there is an alert event of this id.
    pub fn has_alert(&self, id: i64) -> Result<bool, StoreError> {
        self.with_connection(|connection| {
            let found = connection
                .prepare_cached("SELECT 1 FROM alert WHERE id = ?1")?
                .exists([id])?;
            Ok(found)
        })
    }

    /// How many readings are stored, and how many of them raised an alert. Counts them: takes a second or so for ten million.
    pub fn totals(&self) -> Result<Totals, StoreError> {
        let select = "SELECT (SELECT count(*) FROM reading) + (SELECT coalesce(sum(count), 0) FROM reading_block WHERE 1 <= packed), \
                      (SELECT count(*) FROM alert WHERE state = 'raised')";
        self.with_connection(|connection| {
            let _look = connection.unchecked_transaction()?;
            let doubled = blocks::rows_in_packs(connection, None)?;
            let totals = connection.query_row(select, [], |row| {
                Ok(Totals {
                    readings: row.get::<_, i64>(0)? - doubled,
                    alerts: row.get(1)?,
                })
            })?;
            Ok(totals)
        })
    }

    /// The latest status of each device, by device id.
    pub fn statuses(&self) -> Result<Vec<(String, String)>, StoreError> {
        self.with_connection(|connection| {
            let found = connection
                .prepare_cached("SELECT device_id, status FROM device_status ORDER BY device_id")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<_, _>>()?;
            Ok(found)
        })
    }

    pub(super) fn forsaken_once(&self) -> &OnceLock<Box<[Forsaken]>> {
        &self.shared.forsaken
    }

    pub(super) fn path(&self) -> &Path {
        self.shared.place.path()
    }

    pub(super) fn place(&self) -> &Arc<Place> {
        &self.shared.place
    }

    /// Whether the files are where they were when they were opened.
    pub fn is_in_place(&self) -> bool {
        self.shared.place.missing().is_empty()
    }

    /// Waits until this reader is gone, with its clones, its store's writer and all that they have open.
    pub fn released(&self) -> impl Future<Output = ()> + Send + use<> {
        self.shared.place.released()
    }

    /// Where whoever meets damage says so.
    pub fn alarm(&self) -> &Arc<Alarm> {
        &self.shared.alarm
    }

    /// A connection that met an error is not used again. What looks like damage is looked at once more, through another
    /// connection, before it is believed.
    pub(super) fn with_connection<T>(
        &self,
        look: impl Fn(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let once = || {
            let lent = self.shared.place.lend()?;
            let found = look(&lent.connection)?;
            self.shared.place.give_back(lent);
            Ok(found)
        };
        let found = once();
        if !matches!(&found, Err(error) if Damage::of(error).is_some()) {
            return found;
        }
        self.shared.place.close_idle();
        // A disk that gives something only afterwards may have given nothing before.
        let answers = self.shared.place.can_be_read();
        once().inspect_err(|error| {
            // What lies there instead of the open file says nothing of that.
            let damage = self.shared.place.damage_of(error);
            if let Some(damage) = damage.filter(|_| answers && self.is_in_place()) {
                self.shared.alarm.raise(damage);
            }
        })
    }
}

/// Readings whose ids grow and lie close to one another, by a walk from the first to the last, which costs less than looking each up.
/// `None`: they do not, or not all of them have a row.
fn rows_of_range(
    connection: &Connection,
    ids: &[ReadingId],
) -> Result<Option<Vec<StoredReading>>, StoreError> {
    let (Some(first), Some(last)) = (ids.first(), ids.last()) else {
        return Ok(None);
    };
    let is_growing = ids.is_sorted_by(|before, behind| before < behind);
    if !is_growing || WALKED_FOR_EACH * ids.len() as i64 <= last.0 - first.0 {
        return Ok(None);
    }
    let mut select = connection.prepare_cached(BETWEEN_IDS)?;
    let mut rows = select.query([first.0, last.0])?;
    let mut found = Vec::with_capacity(ids.len());
    for number in 0.. {
        give_way_at(number);
        let Some(row) = rows.next()? else { break };
        if ids.get(found.len()) == Some(&ReadingId(row.get(0)?)) {
            found.push(read_reading(row)?);
        }
    }
    Ok((found.len() == ids.len()).then_some(found))
}

pub(super) fn read_reading(row: &Row<'_>) -> rusqlite::Result<StoredReading> {
    let ts: i64 = row.get(3)?;
    let delay: i64 = row.get(4)?;
    Ok(StoredReading {
        id: ReadingId(row.get(0)?),
        sensor_id: SensorId::from_stored(row.get(1)?),
        value: row.get(2)?,
        ts: Timestamp::from_millis(ts),
        received_at: Timestamp::from_millis(ts.saturating_add(delay)),
        tags: read_json(row, 5, "[]")?,
        attributes: read_json(row, 6, "{}")?,
    })
}

fn read_json(row: &Row<'_>, column: usize, empty: &str) -> rusqlite::Result<Box<RawValue>> {
    let text: Option<String> = row.get(column)?;
    RawValue::from_string(text.unwrap_or_else(|| empty.to_owned())).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error.into())
    })
}

#[cfg(test)]
impl Reader {
    /// Client ids of all sessions that are stored.
    pub(crate) fn session_owners(&self) -> Result<Vec<String>, StoreError> {
        self.with_connection(|connection| {
            let mut select = connection.prepare_cached("SELECT client_id FROM session")?;
            let owners = select.query_map([], |row| row.get(0))?;
            Ok(owners.collect::<Result<_, _>>()?)
        })
    }

    /// How many rows there are of what is owed to sessions, by table.
    pub(crate) fn owed_rows(&self) -> Result<Vec<(&'static str, i64)>, StoreError> {
        self.with_connection(|connection| {
            let count = |table| {
                let query = format!("SELECT count(*) FROM {table}");
                Ok((table, connection.query_row(&query, [], |row| row.get(0))?))
            };
            let tables = ["session", "subscription", "queued", "exchange", "will"];
            tables.into_iter().map(count).collect()
        })
    }
}
