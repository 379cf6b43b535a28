//! The only write connection. It gives ids, writes groups, and settles what a failed COMMIT left behind.
//!
//! A failed COMMIT is ambiguous: after an I/O error in the log's fsync the rows may be there when the file is opened
//! again. So each group has a number that is written with it; after a failure the file is opened anew, the number
//! looked up, the group written again only if it is absent, and nothing counts as committed until the log has been
//! copied into the database and synced. What can be read of a log whose sync failed need not be on disk:
//! [`super::checkpoints`] has what is done about it.

mod adding;
mod opening;
mod rescue;
mod room;
mod salvaging;
mod timing;
mod writing;

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use rusqlite::Connection;

use self::writing::Written;
use super::{
    Alarm, Group, Reader, RuleMemory, Sensors, Step, StoreError, alerts,
    blocks::{Block, Filling},
    checkpoints::{self, Checkpoints},
    connection::{self, StoreLock},
    devices::Devices,
    open_alerts::OpenAlerts,
    outbox::{self, UplinkKey},
    place::Place,
    reserve::Reserve,
    rows, rules,
    sensors::Index,
    sessions::{self, BrokerState},
};
use crate::domain::{
    alert::Alert,
    reading::{Attributes, ReadingId},
};

/// The newest reading and alert of each sensor, and the open alerts, are written down after so many readings; that many are
/// read again at start.
const SAVE_SENSORS_EVERY: usize = 50_000;

/// What rules remember that follows from alerts is written down after so many of them at the latest.
const SAVE_RULES_EVERY: i64 = 50_000;

/// Proof that a group is on disk. Only this file makes one; whoever acknowledges asks for it.
#[derive(Clone, Copy, Debug)]
pub struct Committed(());

/// The counters of the `counter` row: the last numbers given.
#[derive(Clone, Copy, Debug)]
struct Counters {
    group: i64,
    reading: i64,
    alert: i64,
    reject: i64,
    batch: i64,
}

impl Counters {
    fn skip(&mut self, numbers: i64) {
        let all = [
            &mut self.reading,
            &mut self.alert,
            &mut self.reject,
            &mut self.batch,
        ];
        all.into_iter().for_each(|counter| *counter += numbers);
    }
}

/// The only write connection.
#[derive(Debug)]
pub struct Writer {
    /// Dropped first: who copies the log ends before the connection.
    checkpoints: Checkpoints,
    connection: Connection,
    place: Arc<Place>,
    store_id: Arc<str>,
    given: Counters,
    /// As the last commit left them.
    committed: Counters,
    unsaved_readings: usize,
    /// The last alert of which is written what rules remember of it.
    rules_saved_upto: i64,
    index: Index,
    filling: Filling,
    /// Below it there may be blocks that are not indexed.
    unindexed_below: Option<Block>,
    sensors: Sensors,
    open_alerts: OpenAlerts,
    devices: Devices,
    /// By their places in the configuration.
    uplinks: Pending,
    /// After a failure, until a checkpoint has succeeded.
    is_doubtful: bool,
    /// Of a transaction that may be on disk.
    in_doubt: Option<Written>,
    reserve: Reserve,
    /// Of damaged stores beside this one rows are still taken over.
    is_salvaging: bool,
    /// The one before did not close the file.
    is_after_unclean_end: bool,
    alarm: Arc<Alarm>,
    /// Groups with steps of the upkeep that are on disk.
    steps: Arc<AtomicU64>,
    _lock: Option<StoreLock>,
}

/// How many readings wait for each uplink.
pub(super) type Pending = Arc<[(UplinkKey, AtomicI64)]>;

impl Writer {
    /// A way to look at the store, for other threads.
    pub fn reader(&self) -> Reader {
        Reader::new(
            Arc::clone(&self.place),
            Arc::clone(&self.store_id),
            self.sensors.clone(),
            self.open_alerts.clone(),
            Arc::clone(&self.uplinks),
            Arc::clone(&self.alarm),
            Arc::clone(&self.steps),
        )
    }

    /// What is owed to clients that are away.
    pub fn broker_state(&self) -> Result<BrokerState, StoreError> {
        sessions::load(&self.connection)
    }

    /// The last alert of each sensor, newest first, of at most `most` sensors.
    pub fn last_alerts(
        &self,
        gateway_id: &Arc<str>,
        most: usize,
    ) -> Result<Vec<Alert>, StoreError> {
        let ids = self.sensors.last_alerts(most);
        alerts::read(&self.connection, &ids, gateway_id)
    }

    /// Says which alerts are open, by the ids of their first events.
    pub fn keep_open_alerts(&self, episodes: impl Iterator<Item = i64>) {
        self.open_alerts.keep(episodes);
    }

    /// Gives the next alert its number.
    pub fn next_alert_id(&mut self) -> i64 {
        self.given.alert += 1;
        self.given.alert
    }

    /// The id that the next reading gets.
    pub fn next_reading_id(&self) -> ReadingId {
        ReadingId(self.given.reading + 1)
    }

    /// The alert with this id, as this gateway's, if it is on disk.
    pub fn alert(&self, id: i64, gateway_id: &Arc<str>) -> Result<Option<Alert>, StoreError> {
        let mut found = self.looked_at(|connection| alerts::read(connection, &[id], gateway_id))?;
        Ok(found.pop())
    }

    /// The attributes of a reading that is in the group or on disk; none if it is neither.
    pub fn attributes_of(&self, group: &Group, id: ReadingId) -> Result<Attributes, StoreError> {
        let of_group = group.readings.iter().rev().find(|new| new.id == id);
        match of_group {
            Some(new) => Ok(new.reading.attributes.clone()),
            None => self.looked_at(|connection| rows::attributes_of(connection, id)),
        }
    }

    /// What the rules remember.
    pub fn rule_memory(&self) -> Result<RuleMemory, StoreError> {
        self.looked_at(rules::load)
    }

    /// Whether what rules remember that follows from alerts is to be written with this group.
    pub fn saves_rules_behind(&self, group: &Group) -> bool {
        SAVE_RULES_EVERY <= self.given.alert - self.rules_saved_upto || self.saves_sensors(group)
    }

    fn saves_sensors(&self, group: &Group) -> bool {
        let is_due = SAVE_SENSORS_EVERY <= self.unsaved_readings + group.readings.len();
        is_due || group.upkeep.iter().any(Step::saves)
    }

    /// Gives the next batch its number.
    pub fn next_batch_id(&mut self) -> i64 {
        self.given.batch += 1;
        self.given.batch
    }

    /// Writes the group in one transaction and returns when it is on disk. After an error the same group may be
    /// given again, and only it, until it succeeds.
    pub fn commit(&mut self, group: &Group) -> Result<Committed, StoreError> {
        if group.is_empty() && !self.is_doubtful && self.unsaved_readings < SAVE_SENSORS_EVERY {
            // All before it is on disk.
            self.stay_in_place()
                .inspect_err(|_| self.is_doubtful = true)?;
            return Ok(Committed(()));
        }
        self.commit_with(group, self.given)
    }

    fn commit_with(&mut self, group: &Group, counters: Counters) -> Result<Committed, StoreError> {
        let number = self.given.group + 1;
        let counters = Counters {
            group: number,
            ..counters
        };
        let is_written = self.is_doubtful && self.reopen()? == number;
        if is_written {
            checkpoints::write_log_again(self.place.path())?;
        } else {
            self.write(group, counters)
                .inspect_err(|_| self.is_doubtful = true)?;
        }
        self.follow(group);
        if self.is_doubtful {
            self.checkpoints.copy(&self.connection, "FULL")?;
            self.recount_outbox()?;
            self.is_doubtful = false;
        }
        // Written is not enough where the file is gone; when it is there again the group's number tells that it was.
        self.stay_in_place()
            .inspect_err(|_| self.is_doubtful = true)?;
        self.given.group = number;
        self.steps
            .fetch_add(u64::from(!group.upkeep.is_empty()), Ordering::Release);
        self.committed = counters;
        self.sensors.adopt(group);
        self.open_alerts.adopt(group);
        self.checkpoints.copy_if_due(&self.connection);
        Ok(Committed(()))
    }

    /// The last group: what is kept behind is written down with it, and what the rules' clock shows.
    pub fn last_group(&mut self, rules_clock: i64) -> Group {
        self.unsaved_readings = SAVE_SENSORS_EVERY;
        let mut last = Group::default();
        last.set_rules_clock(rules_clock);
        last
    }

    /// Copies the log into the database and closes the file. While somebody else reads, part of the log may have to stay: it is as
    /// durable as the database.
    pub fn close(mut self) -> Result<(), StoreError> {
        self.checkpoints
            .copy_if_free(&self.connection, "TRUNCATE")?;
        connection::close_without_log(self.connection)
    }

    fn reopen(&mut self) -> Result<i64, StoreError> {
        self.checkpoints.end_ahead();
        // What is only in the open file would be gone with it.
        self.stay_in_place()?;
        self.connection = connection::open_writer(self.place.path())?;
        self.checkpoints.bound_again(&self.connection)?;
        let (_, stored) = read_counters(&self.connection)?;
        Ok(stored.group)
    }

    fn recount_outbox(&self) -> Result<(), StoreError> {
        let keys = self.uplinks.iter().map(|(key, _)| *key);
        let counts = outbox::counts(&self.connection, keys)?;
        for ((_, pending), (_, count)) in self.uplinks.iter().zip(counts) {
            pending.store(count, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn read_counters(connection: &Connection) -> Result<(Arc<str>, Counters), StoreError> {
    let row = connection.query_row(
        "SELECT store_id, commit_group, reading, alert, reject, batch FROM counter",
        [],
        |row| {
            let counters = Counters {
                group: row.get(1)?,
                reading: row.get(2)?,
                alert: row.get(3)?,
                reject: row.get(4)?,
                batch: row.get(5)?,
            };
            Ok((row.get(0)?, counters))
        },
    );
    row.map_err(|error| match error {
        rusqlite::Error::QueryReturnedNoRows => StoreError::NoCounters,
        other => other.into(),
    })
}

#[cfg(test)]
impl Writer {
    pub(in crate::store) fn connection_of_test(&self) -> &Connection {
        &self.connection
    }

    /// The COMMIT fails, and what it wrote is there.
    pub(in crate::store) fn write_in_doubt(&mut self, group: &Group) {
        let counters = Counters {
            group: self.given.group + 1,
            ..self.given
        };
        self.write(group, counters).unwrap();
        self.is_doubtful = true;
    }

    /// As the committer ends.
    pub(in crate::store) fn end(mut self) {
        let last = self.last_group(0);
        self.commit(&last).unwrap();
        self.close().unwrap();
    }
}

#[cfg(test)]
mod tests;
