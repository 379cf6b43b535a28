//! Taking over what was read of damaged stores.

use std::mem;

use rusqlite::Connection;

use super::Writer;
use crate::domain::sensor::SensorId;
use crate::store::{Damage, Group, Progress, Slice, StoreError, salvage};

impl Writer {
    /// The damaged stores beside this one, newest first, and how far their rows are taken over.
    pub fn salvages(&self) -> Result<Vec<Progress>, StoreError> {
        salvage::all(&self.connection)
    }

    /// Whether the gateway before did not close the file.
    pub fn is_after_unclean_end(&self) -> bool {
        self.is_after_unclean_end
    }

    /// The damage that an error shows, unless it is the disk that does not give what is on it.
    pub fn damage_of(&self, error: &StoreError) -> Option<Damage> {
        self.place.damage_of(error)
    }

    /// Looks at what is on disk. What looks like damage is for the readers to look at again, and to tell.
    pub(super) fn looked_at<T>(
        &self,
        look: impl Fn(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        look(&self.connection).or_else(|error| match Damage::of(&error) {
            Some(_) => self.reader().with_connection(look),
            None => Err(error),
        })
    }

    /// The damage that the error of a commit shows that was tried again, with the file opened anew.
    pub fn damage_at_second_try(&self, error: &StoreError) -> Option<Damage> {
        Damage::at_start(error).filter(|_| self.place.can_be_read())
    }

    /// Whether damage is believed: the try before has shown some as well. Then it is told.
    pub fn believes(&self, damage: Option<Damage>, is_suspected: &mut bool) -> bool {
        let was_suspected = mem::replace(is_suspected, damage.is_some());
        let believed = damage.filter(|_| was_suspected);
        let is_believed = believed.is_some();
        believed
            .into_iter()
            .for_each(|damage| self.alarm.raise(damage));
        is_believed
    }

    /// Whether damage was told: no more is to be written then.
    pub fn is_damaged(&self) -> bool {
        self.alarm.damage().is_some()
    }

    /// Puts what was read of a damaged store into the group.
    pub fn add_salvage(&mut self, group: &mut Group, slice: Slice) {
        let mut keys = |sensors: Vec<SensorId>| -> Vec<Option<i64>> {
            let keys = sensors.iter().map(|sensor| self.sensor_key(group, sensor));
            keys.collect()
        };
        let of_readings = slice.readings.iter().map(|reading| reading.sensor.clone());
        let reading_sensors = keys(of_readings.collect());
        let of_alerts = slice.alerts.iter().map(|alert| alert.sensor.clone());
        let alert_sensors = keys(of_alerts.collect());
        let of_thinned = slice.thinned.iter().map(|pack| {
            let names = pack.sensors.iter().map(|(_, name)| name.clone());
            keys(names.collect())
        });
        let thinned_sensors = of_thinned.collect();
        group.salvaged.push(salvage::Rows {
            slice,
            reading_sensors,
            alert_sensors,
            thinned_sensors,
        });
    }
}
