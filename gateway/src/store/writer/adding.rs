//! What goes into a group, with its ids.

use std::sync::Arc;

use super::Writer;
use crate::domain::{
    alert::Alert,
    reading::{Reading, ReadingId},
    sensor::SensorId,
    status::DeviceStatus,
    uplink::UplinkSet,
};
use crate::store::group::NewSensor;
use crate::store::{Group, NewReading, NewReject, rejects};

impl Writer {
    /// Whether the sensors of all these readings can be held.
    pub fn has_room_for(&self, readings: &[Reading]) -> bool {
        let ids = readings.iter().map(|reading| &reading.sensor_id);
        self.index.has_room_for(ids)
    }

    /// Whether a status of each of these devices can be stored, if there are to be at most `most`.
    pub fn has_room_for_devices(&self, statuses: &[DeviceStatus], most: usize) -> bool {
        self.devices.have_room_for(statuses, most)
    }

    /// Puts a device's word into the group. A new device is given back if there are `most`.
    pub fn add_status(
        &mut self,
        group: &mut Group,
        status: DeviceStatus,
        most: usize,
    ) -> Result<(), DeviceStatus> {
        if !self.devices.add(status.device_id.as_str(), most) {
            return Err(status);
        }
        group.statuses.push(status);
        Ok(())
    }

    /// Puts a reading into the group and gives it its id. Too many sensors give it back.
    pub fn add_reading(
        &mut self,
        group: &mut Group,
        reading: Reading,
        tags: Option<Box<str>>,
        forward: UplinkSet,
    ) -> Result<ReadingId, Reading> {
        let Some(sensor) = self.sensor_key(group, &reading.sensor_id) else {
            return Err(reading);
        };
        self.given.reading += 1;
        let id = ReadingId(self.given.reading);
        let (ts, value) = (reading.ts.millis(), reading.value);
        group
            .blocks
            .extend(self.filling.add(id.0, sensor, ts, value));
        group.readings.push(NewReading {
            id,
            reading,
            tags,
            forward,
            sensor,
        });
        Ok(id)
    }

    /// Sees to it that a sensor has a key, if there is room for one.
    pub fn know_sensor(&mut self, group: &mut Group, sensor: &SensorId) {
        self.sensor_key(group, sensor);
    }

    /// The key of a sensor; a new one goes into the group. `None`: there are too many.
    pub(super) fn sensor_key(&mut self, group: &mut Group, sensor: &SensorId) -> Option<i64> {
        if let Some(key) = self.index.key(sensor) {
            return Some(key);
        }
        let key = self.index.add(sensor, &self.sensors)?;
        let name = Arc::clone(sensor.shared());
        group.sensors.push(NewSensor { key, name });
        Some(key)
    }

    /// Puts an alert into the group. False: it is of a new sensor, and there are too many.
    pub fn add_alert(&mut self, group: &mut Group, alert: Alert) -> bool {
        let sensor = self.sensor_key(group, &alert.sensor_id);
        if let Some(sensor) = sensor {
            group.alerts.push((sensor, alert));
        }
        sensor.is_some()
    }

    /// Puts what could not be read into the group.
    pub fn add_reject(&mut self, group: &mut Group, reject: NewReject) {
        self.given.reject += 1;
        group.rejects.push((self.given.reject, reject));
    }
    /// Takes a reject away, if it is still there.
    pub fn settle_reject(&mut self, group: &mut Group, id: i64) -> bool {
        let is_there = !group.settled_rejects.contains(&id)
            // One that cannot be looked for cannot be committed either: the same is asked again then.
            && rejects::contains(&self.connection, id).unwrap_or(true);
        if is_there {
            group.settled_rejects.push(id);
        }
        is_there
    }
}
