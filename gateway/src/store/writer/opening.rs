//! Opening the store: what is damaged is moved aside, and a new one begins.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use super::{Writer, read_counters, rescue};
use crate::clock;
use crate::domain::uplink::CLOUD;
use crate::store::blocks::Filling;
use crate::store::checkpoints::{self, Checkpoints};
use crate::store::connection::{self, StoreLock, beside};
use crate::store::damage::Kind;
use crate::store::devices::Devices;
use crate::store::open_alerts::OpenAlerts;
use crate::store::place::Place;
use crate::store::reserve::{self, Reserve};
use crate::store::{
    Damage, StoreError, aside, inspect, outbox, rules, salvage, sectors, sensors, sessions, sound,
};

/// A log that has no more than its header has nothing in it.
const EMPTY_LOG: u64 = 32;

impl Writer {
    /// Opens or creates the store at `path`. Readings to forward wait for the cloud.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_for(path, &[CLOUD.into()])
    }

    /// Opens or creates the store at `path` for the uplinks of these names. A damaged one is moved aside, and a new one begins
    /// with what is needed of it at once; [`Writer::salvages`] says what is still to be taken over.
    pub fn open_for(path: &Path, uplinks: &[Arc<str>]) -> Result<Self, StoreError> {
        let lock_path = beside(path, "-lock");
        let has_served = lock_path.exists();
        let lock = connection::lock(path)?;
        rescue::put_in_place(path).map_err(|source| StoreError::Aside {
            path: path.display().to_string(),
            source,
        })?;
        let log = if has_served {
            twice(path, || checkpoints::write_log_again(path))
        } else {
            Ok(())
        };
        // Somebody's file where no gateway has been: the path is wrong, not the file.
        let is_foreign = |damage: &Damage| {
            let kinds = [Kind::NotADatabase, Kind::Malformed, Kind::Nonsense];
            !has_served && kinds.contains(&damage.kind)
        };
        let mut seen = inspect::look(path, has_served);
        if let Err((error, damage)) = log {
            seen.damage = Some(damage.ok_or(error)?);
        }
        if let Some(damage) = seen.damage.filter(|damage| !is_foreign(damage)) {
            aside::put_aside(path, &damage, clock::now())?;
        }
        begin_if_missing(path)?;
        let open = || Self::open_sound(path, uplinks, seen.lost_numbers);
        let mut opened = twice(path, open);
        if let Err((error, _)) = &opened
            && error.is_of_disk()
            && reserve::let_go_to_open(path)
        {
            opened = twice(path, open);
        }
        let opened = match opened {
            Err((error, damage)) => {
                let Some(damage) = damage else {
                    return Err(error);
                };
                if is_foreign(&damage) {
                    drop(lock);
                    fs::remove_file(lock_path).ok();
                    return Err(error);
                }
                aside::put_aside(path, &damage, clock::now())?;
                begin_if_missing(path)?;
                Self::open_sound(path, uplinks, 0)?
            }
            Ok(opened) => opened,
        };
        Ok(opened.locked(lock))
    }

    /// Moves the store at `path` aside, which has shown its damage after it was opened.
    pub fn put_aside(path: &Path, damage: &Damage) -> Result<(), StoreError> {
        let _lock = connection::lock(path)?;
        aside::put_aside(path, damage, clock::now()).map(drop)
    }

    /// Whether all that a start reads of it makes sense.
    pub(in crate::store) fn try_open(path: &Path) -> Result<(), StoreError> {
        let mut writer = Self::open_sound(path, &[], 0)?;
        sessions::load(&writer.connection)?;
        rules::load(&writer.connection)?;
        writer.clock_known()?;
        writer
            .checkpoints
            .copy_if_free(&writer.connection, "TRUNCATE")?;
        connection::close_without_log(writer.connection)
    }

    fn locked(self, lock: StoreLock) -> Self {
        Self {
            steps: Arc::default(),
            _lock: Some(lock),
            ..self
        }
    }

    fn open_sound(
        path: &Path,
        uplinks: &[Arc<str>],
        lost_numbers: i64,
    ) -> Result<Self, StoreError> {
        let log = beside(path, "-wal").metadata();
        let is_after_unclean_end = log.is_ok_and(|log| EMPTY_LOG < log.len());
        let connection = connection::open_writer(path)?;
        let new_store_id = format!("{:016x}", fastrand::u64(..));
        sound::check_schema(&connection)?;
        connection.execute(
            "INSERT OR IGNORE INTO counter (one, store_id, commit_group, reading, alert, reject, batch, sensors_saved_upto) \
             SELECT 1, ?1, 0, 0, 0, 0, 0, 0 WHERE NOT EXISTS (SELECT 1 FROM reading) AND NOT EXISTS (SELECT 1 FROM sensor)",
            [new_store_id],
        )?;
        sessions::remove_orphans(&connection)?;
        // What a killed gateway left in the log may not have been synced: what is said of it must stand.
        let mut checkpoints = Checkpoints::of(path);
        checkpoints.copy_if_free(&connection, "FULL")?;
        let (store_id, mut given) = read_counters(&connection)?;
        let numbers = [given.reading, given.alert, given.reject, given.batch];
        sound::check_counters(&connection, numbers)?;
        given.skip(lost_numbers);
        let saved = "SELECT rules_saved_upto FROM counter";
        let rules_saved_upto = connection.query_row(saved, [], |row| row.get(0))?;
        let (index, sensors, unsaved_readings) = sensors::load(&connection)?;
        let filling = Filling::load(&connection, given.reading)?;
        let devices = Devices::load(&connection)?;
        let keys = outbox::keys(&connection, uplinks)?;
        let counts = outbox::counts(&connection, keys.into_iter())?;
        let pending = counts.into_iter();
        let pending = pending.map(|(key, count)| (key, count.into())).collect();
        let is_salvaging = salvage::is_running(&connection)?;
        Ok(Self {
            open_alerts: OpenAlerts::load(&connection)?,
            connection,
            place: Arc::new(Place::of(path)),
            store_id,
            committed: given,
            given,
            unsaved_readings,
            rules_saved_upto,
            index,
            // While readings are still put into old blocks, none of those is indexed.
            unindexed_below: (!is_salvaging).then_some(filling.block()),
            filling,
            sensors,
            devices,
            uplinks: pending,
            is_doubtful: false,
            in_doubt: None,
            checkpoints,
            reserve: Reserve::of(path),
            is_salvaging,
            is_after_unclean_end,
            alarm: Arc::default(),
            steps: Arc::default(),
            _lock: None,
        })
    }
}

/// Takes a step of the start. Damage is what two tries show: between them places of both files are read, so that a disk that gives nothing
/// for a moment has had some time.
fn twice<T>(
    path: &Path,
    step: impl Fn() -> Result<T, StoreError>,
) -> Result<T, (StoreError, Option<Damage>)> {
    step().or_else(|error| {
        if damage_at(path, &error).is_none() {
            return Err((error, None));
        }
        step().map_err(|error| {
            let damage = damage_at(path, &error);
            (error, damage)
        })
    })
}

/// The damage that an error shows while the store is opened. It is none of the file's when the disk gives nothing of it: then it may
/// come back, and is left where it is.
fn damage_at(path: &Path, error: &StoreError) -> Option<Damage> {
    let answers =
        |suffix| File::open(beside(path, suffix)).is_ok_and(|file| sectors::answers(&file));
    Damage::at_start(error).filter(|_| {
        // A log may be lost as a whole.
        answers("-wal");
        answers("")
    })
}

/// Begins a new store where there is none, or one was moved aside; in the room of the reserve, if it takes that.
fn begin_if_missing(path: &Path) -> Result<(), StoreError> {
    match try_to_begin(path) {
        Err(error) if error.is_of_disk() && reserve::let_go_to_open(path) => try_to_begin(path),
        tried => tried,
    }
}

fn try_to_begin(path: &Path) -> Result<(), StoreError> {
    if path.exists() {
        return Ok(());
    }
    let folders = aside::unsalvaged(path).map_err(|source| StoreError::Unreadable {
        path: path.display().to_string(),
        source,
    })?;
    if folders.is_empty() {
        let new = aside::new_file(path);
        connection::close_new(connection::open_writer(&new)?)?;
        return aside::show_new_file(&new, path);
    }
    salvage::begin(path, &folders)
}
