//! Room: in the budget, and on the disk.
//!
//! When a commit finds no room on the disk, it is the readings in it that are in need of some. They wait; what only gives
//! room back, or needs hardly any, is written ahead of them, in groups of its own and in the room of the [reserve]: what
//! the uplinks have confirmed, what clients have acknowledged, the upkeep, and the copying of the log. The group that waits
//! is tried again when the reserve stands again, and so never eats it.

use super::{Committed, Counters, Writer};
use crate::store::{Group, Room, StoreError, connection, reserve};

impl Writer {
    /// How much room there is within a budget.
    pub fn room(&self, max_bytes: u64) -> Result<Room, StoreError> {
        let log = connection::beside(self.place.path(), "-wal");
        let log_bytes = log.metadata().map_or(0, |metadata| metadata.len());
        Room::look(&self.connection, log_bytes, max_bytes)
    }

    /// Keeps the log small in a small budget, and a reserve as large as it.
    pub fn set_budget(&mut self, max_bytes: u64) -> Result<(), StoreError> {
        let bytes = Room::log_bytes(max_bytes);
        self.checkpoints.bound(&self.connection, bytes)?;
        self.reserve.set_bytes(bytes);
        // Without room it is made when there is some.
        self.reserve.make().ok();
        Ok(())
    }

    /// What is wrong, with what the disk says of it.
    pub fn explain(&self, error: &StoreError) -> String {
        match self.reserve.trouble() {
            Some(trouble) if error.is_of_disk() => format!("{error} ({trouble})"),
            _ => error.to_string(),
        }
    }

    /// Whether a commit failed because there is no room on the disk.
    pub fn is_out_of_room(&self, error: &StoreError) -> bool {
        error.is_lack_of_room()
            || (error.is_of_disk()
                && self
                    .reserve
                    .trouble()
                    .is_some_and(|trouble| reserve::is_lack_of_room(&trouble)))
    }

    /// Lets go of the reserve, and finds out whether the group that failed is there after all. If not it may be changed, or
    /// another be written ahead of it.
    pub fn use_reserve(&mut self) -> Result<bool, StoreError> {
        self.reserve.let_go();
        Ok(self.reopen()? == self.given.group + 1)
    }

    /// Writes a group without readings, alerts and rejects ahead of one with them that waits. As [`Writer::commit`].
    pub fn commit_ahead(&mut self, group: &Group) -> Result<Committed, StoreError> {
        let counters = Counters {
            batch: self.given.batch,
            ..self.committed
        };
        self.commit_with(group, counters)
    }

    /// Makes the log as short as can be, and the reserve again. False: there is no room for it.
    pub fn restore_reserve(&mut self) -> bool {
        // If it cannot be now, it is tried again with the next commit.
        self.checkpoints
            .copy_if_free(&self.connection, "TRUNCATE")
            .ok();
        match self.reserve.make() {
            Err(error) => !reserve::is_lack_of_room(&error),
            Ok(()) => true,
        }
    }

    /// What keeps the log from being copied into the database.
    pub fn log_trouble(&self) -> Option<&StoreError> {
        self.checkpoints.trouble()
    }

    /// Tries to copy the log once more.
    pub fn copy_log_again(&mut self) {
        self.checkpoints.copy_if_due(&self.connection);
    }
}
