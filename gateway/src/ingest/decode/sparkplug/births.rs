//! What nodes and devices have said of themselves: their metrics, and how far a node has counted its messages. In memory, bounded;
//! policy: a birth beyond the bounds is rejected. A node is born anew with each connection, so that nothing has to outlive a restart.

use std::collections::HashMap;

use super::topic::Subject;
use super::value::DataType;
use crate::domain::sensor::{SensorId, SensorIdError};
use crate::domain::timestamp::Timestamp;

/// Memory for all of it, in bytes, and about what one metric, device or node takes of it beside its name.
const CAPACITY: usize = 32 << 20;
const ENTRY: usize = 160;

/// A node is asked for its births once in so many milliseconds at the most.
const PAUSE: u64 = 10_000;

/// What is known of a metric.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// Or why its name is none.
    pub(super) sensor: Result<SensorId, SensorIdError>,
    pub(super) data_type: DataType,
}

/// The metrics of a node or device.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    types: HashMap<SensorId, DataType>,
    aliases: HashMap<u64, Known>,
    size: usize,
}

impl Metrics {
    pub(super) fn add(&mut self, alias: Option<u64>, metric: Known) {
        self.size += ENTRY;
        if let Ok(sensor) = &metric.sensor {
            self.size += sensor.as_str().len();
            self.types.insert(sensor.clone(), metric.data_type);
        }
        if let Some(alias) = alias {
            self.aliases.insert(alias, metric);
        }
    }

    /// Of a metric that goes by its name.
    pub(super) fn data_type(&self, sensor: &SensorId) -> Option<DataType> {
        self.types.get(sensor).copied()
    }

    pub(super) fn by_alias(&self, alias: u64) -> Option<&Known> {
        self.aliases.get(&alias)
    }
}

/// What is known of all nodes, each from its first message to its death.
#[derive(Debug, Default)]
pub(in crate::ingest) struct Births {
    nodes: HashMap<Box<str>, Node>,
    /// Of all of them, in bytes.
    size: usize,
}

#[derive(Debug, Default)]
struct Node {
    /// `None`: its birth was not seen.
    birth: Option<Birth>,
    metrics: Metrics,
    devices: HashMap<Box<str>, Metrics>,
    asked_at: Option<Timestamp>,
}

#[derive(Debug)]
struct Birth {
    /// The number of its session, modulo 256, if it says so.
    session: Option<u8>,
    /// The number of the message that comes next; `None`: they are not counted.
    next: Option<u8>,
}

/// There is no room for a birth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Births {
    /// The metrics of a node or device; `None`: its birth was not seen.
    pub(super) fn metrics(&self, subject: &Subject<'_>) -> Option<&Metrics> {
        let node = self.nodes.get(&*key(subject))?;
        match subject.device {
            None => node.birth.as_ref().map(|_| &node.metrics),
            Some(device) => node.devices.get(device),
        }
    }

    /// A node begins anew: what was said of its metrics and those of its devices does not hold any more (section 6.4.19).
    pub(super) fn node_is_born(
        &mut self,
        subject: &Subject<'_>,
        metrics: Metrics,
        session: Option<u64>,
        number: Option<u64>,
    ) -> Result<(), Full> {
        if let Some(node) = self.nodes.get_mut(&*key(subject)) {
            let devices = node.devices.values_mut();
            for old in devices.chain([&mut node.metrics]) {
                self.size -= old.size;
                // That a device is there is known until somebody says that it is not.
                *old = Metrics::default();
            }
            node.birth = None;
        }
        let room = metrics.size;
        let node = self.room_for(subject, room)?;
        node.metrics = metrics;
        node.birth = Some(Birth {
            session: session.map(modulo_256),
            next: number.map(after),
        });
        Ok(())
    }

    /// A device says what it has.
    pub(super) fn device_is_born(
        &mut self,
        subject: &Subject<'_>,
        device: &str,
        metrics: Metrics,
    ) -> Result<(), Full> {
        self.device_is_dead(subject, device);
        let room = ENTRY + device.len() + metrics.size;
        let node = self.room_for(subject, room)?;
        node.devices.insert(device.into(), metrics);
        Ok(())
    }

    /// A device is gone.
    pub(super) fn device_is_dead(&mut self, subject: &Subject<'_>, device: &str) {
        let node = self.nodes.get_mut(&*key(subject));
        if let Some(gone) = node.and_then(|node| node.devices.remove(device)) {
            self.size -= ENTRY + device.len() + gone.size;
        }
    }

    /// A node is gone, and its devices, whose names are given back; `None` if that is said of an older session, and comes late
    /// (section 6.4.25).
    pub(super) fn node_is_dead(
        &mut self,
        subject: &Subject<'_>,
        session: Option<u64>,
    ) -> Option<Vec<Box<str>>> {
        let key = key(subject);
        let Some(node) = self.nodes.get(&*key) else {
            return Some(Vec::new());
        };
        let known = node.birth.as_ref().and_then(|birth| birth.session);
        if let (Some(said), Some(known)) = (session.map(modulo_256), known)
            // Some say the number of their next session when they leave.
            && (1..128).contains(&known.wrapping_sub(said))
        {
            return None;
        }
        let node = self.nodes.remove(&*key)?;
        let devices = node.devices.iter();
        let devices = devices.map(|(name, metrics)| ENTRY + name.len() + metrics.size);
        self.size -= ENTRY + key.len() + node.metrics.size + devices.sum::<usize>();
        Some(node.devices.into_keys().collect())
    }

    /// Counts a message of a node. Whether there were others before it that did not come (section 6.4.5).
    pub(super) fn misses(&mut self, subject: &Subject<'_>, number: Option<u64>) -> bool {
        let node = self.nodes.get_mut(&*key(subject));
        let Some(birth) = node.and_then(|node| node.birth.as_mut()) else {
            return true;
        };
        let expected = birth.next;
        birth.next = number.map(after);
        match (expected, number.map(modulo_256)) {
            (Some(expected), Some(number)) => expected != number,
            _ => false,
        }
    }

    /// Whether a node is to be asked for its births now: not if it was just before.
    pub(super) fn may_ask(&mut self, subject: &Subject<'_>, now: Timestamp) -> bool {
        let Ok(node) = self.room_for(subject, 0) else {
            return false;
        };
        let since = |asked_at: Timestamp| now.millis().abs_diff(asked_at.millis());
        let is_due = node
            .asked_at
            .is_none_or(|asked_at| PAUSE <= since(asked_at));
        if is_due {
            node.asked_at = Some(now);
        }
        is_due
    }

    /// A node, which may be new, that takes so much more.
    fn room_for(&mut self, subject: &Subject<'_>, bytes: usize) -> Result<&mut Node, Full> {
        let key = key(subject);
        let own = if self.nodes.contains_key(&*key) {
            0
        } else {
            ENTRY + key.len()
        };
        let size = self.size + own + bytes;
        if CAPACITY < size {
            return Err(Full);
        }
        self.size = size;
        Ok(self.nodes.entry(key).or_default())
    }
}

fn key(subject: &Subject<'_>) -> Box<str> {
    format!("{}/{}", subject.group, subject.node).into()
}

fn modulo_256(number: u64) -> u8 {
    number.to_le_bytes()[0]
}

fn after(number: u64) -> u8 {
    modulo_256(number).wrapping_add(1)
}
