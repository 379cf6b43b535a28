//! What nodes and devices have said of themselves: their metrics, and how far a node has counted its messages. In memory, bounded;
//! policy: a birth beyond the bounds is rejected, and its node is not asked for it again. A node is born anew when it connects, and
//! when it is asked to be: of what was before a restart nothing is needed but which devices were there.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound::{Excluded, Included};
use std::sync::Arc;

use super::value::DataType;
use crate::domain::sensor::{SensorId, SensorIdError};
use crate::domain::timestamp::Timestamp;

/// Memory for all nodes, and for one, in bytes.
const CAPACITY: usize = 32 << 20;
const SHARE: usize = CAPACITY / 4;

/// About what a metric or a device, and a node, take of it beside their names, in bytes.
const ENTRY: usize = 160;
const NODE: usize = 320;

/// A node is asked for its births once in so many milliseconds at the most.
const PAUSE: u64 = 10_000;

/// What came so many milliseconds before a birth may have been meant as that birth says.
const HINDSIGHT: i64 = 10 * 60 * 1000;

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
    /// What came before that was meant otherwise.
    since: Timestamp,
}

/// There is no room for a birth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Metrics {
    pub(super) fn add(&mut self, alias: Option<u64>, metric: Known) -> Result<(), Full> {
        self.size += ENTRY;
        if let Ok(sensor) = &metric.sensor {
            self.size += sensor.as_str().len();
            self.types.insert(sensor.clone(), metric.data_type);
        }
        if let Some(alias) = alias {
            self.aliases.insert(alias, metric);
        }
        if SHARE < self.size { Err(Full) } else { Ok(()) }
    }

    /// Of a metric that goes by its name.
    pub(super) fn data_type(&self, sensor: &SensorId) -> Option<DataType> {
        self.types.get(sensor).copied()
    }

    pub(super) fn by_alias(&self, alias: u64) -> Option<&Known> {
        self.aliases.get(&alias)
    }

    /// Whether they say what a message meant that came then.
    pub(super) fn explain(&self, then: Timestamp) -> bool {
        self.since <= then
    }

    fn known_since(mut self, since: Timestamp) -> Arc<Self> {
        self.since = since;
        Arc::new(self)
    }
}

/// What is known of all nodes.
#[derive(Debug, Default)]
pub(super) struct Births {
    nodes: HashMap<Box<str>, Node>,
    /// By their ids, the devices that were there before the gateway was started and of which nothing was heard since.
    unheard: BTreeSet<Box<str>>,
    /// Of all nodes, in bytes.
    size: usize,
    /// When those that never were born were last given up.
    swept_at: Timestamp,
}

#[derive(Debug, Default)]
struct Node {
    /// `None`: its birth was not seen.
    session: Option<Session>,
    metrics: Option<Arc<Metrics>>,
    /// Those that are there; `None`: their metrics are not known (any more).
    devices: HashMap<Box<str>, Option<Arc<Metrics>>>,
    /// A birth of it found no room.
    is_refused: bool,
    asked_at: Option<Timestamp>,
    size: usize,
}

/// A node since its birth.
#[derive(Debug)]
pub(super) struct Session {
    /// If it says so; they count to 255.
    pub(super) number: Option<u8>,
    /// The number of the message that comes next; `None`: they are not counted.
    pub(super) next: Option<u8>,
    /// The client id.
    pub(super) publisher: Arc<str>,
    /// Of its birth.
    pub(super) at: Timestamp,
}

/// What is to be known for a message of data.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Messages before it did not come, or the birth did not.
    pub(super) has_gap: bool,
    pub(super) metrics: Option<Arc<Metrics>>,
    pub(super) is_refused: bool,
}

impl Births {
    /// Devices were there before the gateway was started. A store has no more of them than `mqtt.limits.devices` says.
    pub(super) fn recall(&mut self, devices: impl Iterator<Item = Box<str>>) {
        let may_be = |id: &str| 2 <= id.matches(':').count();
        self.unheard.extend(devices.filter(|id| may_be(id)));
    }

    /// Those of a node, which has been heard: they are not asked for again.
    fn take_unheard(&mut self, node: &str) -> Vec<Box<str>> {
        let first = device_id(node, "");
        let own = &first[..first.len() - 1];
        // It may itself look like a device of another one.
        self.unheard.remove(own);
        let behind = format!("{own};");
        let of_node = (Included(&*first), Excluded(&*behind));
        let ids: Vec<_> = self.unheard.range::<str, _>(of_node).cloned().collect();
        let device = |id: Box<str>| {
            self.unheard.remove(&id);
            id[first.len()..].into()
        };
        ids.into_iter().map(device).collect()
    }

    /// A node begins anew: what was said of its metrics and those of its devices does not hold any more (section 6.4.19). Gives back
    /// the devices that were of another session.
    pub(super) fn node_is_born(
        &mut self,
        node: &str,
        session: Session,
        metrics: Result<Metrics, Full>,
    ) -> (Vec<Box<str>>, Result<(), Full>) {
        let now = session.at;
        if !self.has_room(node, 0, now) {
            return (Vec::new(), Err(Full));
        }
        let (gone, since) = self.change(node, |node| {
            let number = session.number;
            let before = node.session.replace(session);
            let former = before.as_ref().and_then(|before| before.number);
            let is_another =
                former.is_some_and(|former| number.is_some_and(|number| number != former));
            let gone = if is_another {
                std::mem::take(&mut node.devices)
            } else {
                node.devices.values_mut().for_each(|device| *device = None);
                HashMap::new()
            };
            node.metrics = None;
            (
                gone.into_keys(),
                hindsight(now, before.map(|before| before.at)),
            )
        });
        let gone = gone.into_iter().chain(self.take_unheard(node)).collect();
        let metrics = metrics
            .ok()
            .filter(|metrics| self.has_room(node, metrics.size, now));
        let born = metrics.as_ref().map(|_| ()).ok_or(Full);
        self.change(node, |node| {
            node.is_refused = born.is_err();
            node.metrics = metrics.map(|metrics| metrics.known_since(since));
        });
        (gone, born)
    }

    /// A device says what it has.
    pub(super) fn device_is_born(
        &mut self,
        node: &str,
        device: &str,
        metrics: Result<Metrics, Full>,
        now: Timestamp,
    ) -> Result<(), Full> {
        self.device_is_dead(node, device);
        let room = |metrics: &Metrics| ENTRY + device.len() + metrics.size;
        let metrics = metrics
            .ok()
            .filter(|metrics| self.has_room(node, room(metrics), now));
        if metrics.is_none() && !self.nodes.contains_key(node) {
            return Err(Full);
        }
        self.change(node, |node| {
            let Some(metrics) = metrics else {
                node.is_refused = true;
                return Err(Full);
            };
            let since = node.metrics.as_ref().map(|metrics| metrics.since);
            let metrics = metrics.known_since(hindsight(now, since));
            node.devices.insert(device.into(), Some(metrics));
            Ok(())
        })
    }

    /// A device is gone.
    pub(super) fn device_is_dead(&mut self, node: &str, device: &str) {
        self.unheard.remove(&*device_id(node, device));
        if self.nodes.contains_key(node) {
            self.change(node, |node| node.devices.remove(device));
        }
    }

    /// A node is gone, and its devices, which are given back; `None` if that is said of an older session, and comes late
    /// (section 6.4.25): only if another client says so, because what one client says comes in its order.
    pub(super) fn node_is_dead(
        &mut self,
        node: &str,
        session: Option<u8>,
        publisher: &str,
    ) -> Option<Vec<Box<str>>> {
        let Some(known) = self.nodes.get(node) else {
            return Some(self.take_unheard(node));
        };
        if let (Some(said), Some(session)) = (session, &known.session)
            && let Some(number) = session.number
            && *session.publisher != *publisher
            && (1..128).contains(&number.wrapping_sub(said))
        {
            return None;
        }
        let gone = self.change(node, |node| {
            let asked_at = node.asked_at;
            let dead = std::mem::replace(
                node,
                Node {
                    asked_at,
                    size: node.size,
                    ..Node::default()
                },
            );
            dead.devices.into_keys()
        });
        if let Some(Node {
            asked_at: None,
            size,
            ..
        }) = self.nodes.get(node)
        {
            self.size -= size;
            self.nodes.remove(node);
        }
        Some(gone.chain(self.take_unheard(node)).collect())
    }

    /// Counts a message of a node (section 6.4.5), and looks up what its subject has.
    pub(super) fn see(&mut self, node: &str, device: Option<&str>, number: Option<u64>) -> Seen {
        let Some(node) = self.nodes.get_mut(node) else {
            return Seen {
                has_gap: true,
                ..Seen::default()
            };
        };
        let has_gap = match &mut node.session {
            None => true,
            Some(session) => {
                let expected = std::mem::replace(&mut session.next, number.map(after));
                let number = number.map(modulo_256);
                expected.is_some_and(|expected| number.is_some_and(|number| number != expected))
            }
        };
        Seen {
            has_gap,
            metrics: node.metrics_of(device),
            is_refused: node.is_refused,
        }
    }

    /// What a node or device has.
    pub(super) fn metrics(&self, node: &str, device: Option<&str>) -> Option<Arc<Metrics>> {
        self.nodes.get(node)?.metrics_of(device)
    }

    /// Whether a node is to be asked for its births now: not if it was just before, and not for what would find no room.
    pub(super) fn may_ask(&mut self, node: &str, now: Timestamp) -> bool {
        if !self.has_room(node, 0, now) {
            return false;
        }
        self.change(node, |node| {
            let is_due = !node.is_refused && node.asked_at.is_none_or(|at| is_over(PAUSE, at, now));
            if is_due {
                node.asked_at = Some(now);
            }
            is_due
        })
    }

    /// Whether a node, which may be new, can take so much more.
    fn has_room(&mut self, node: &str, more: usize, now: Timestamp) -> bool {
        let own = self.nodes.get(node).map_or(NODE + node.len(), |_| 0);
        let of_node = self.nodes.get(node).map_or(0, |node| node.size);
        if SHARE < of_node + own + more {
            return false;
        }
        if CAPACITY < self.size + own + more && is_over(PAUSE, self.swept_at, now) {
            self.swept_at = now;
            let is_of_use = |node: &Node| {
                let was_asked = node.asked_at.is_some_and(|at| !is_over(PAUSE, at, now));
                node.session.is_some() || !node.devices.is_empty() || was_asked
            };
            self.nodes.retain(|_, node| is_of_use(node));
            self.size = self.nodes.values().map(|node| node.size).sum();
        }
        self.size + own + more <= CAPACITY
    }

    /// Changes a node, which may be new.
    fn change<T>(&mut self, name: &str, change: impl FnOnce(&mut Node) -> T) -> T {
        let node = self.nodes.entry(name.into()).or_default();
        let changed = change(node);
        let size = node.measured() + name.len();
        let before = std::mem::replace(&mut node.size, size);
        self.size = self.size + node.size - before;
        changed
    }
}

impl Node {
    fn metrics_of(&self, device: Option<&str>) -> Option<Arc<Metrics>> {
        match device {
            None => self.metrics.clone(),
            Some(device) => self.devices.get(device)?.clone(),
        }
    }

    /// What it takes beside its name, in bytes.
    fn measured(&self) -> usize {
        let size =
            |metrics: &Option<Arc<Metrics>>| metrics.as_ref().map_or(0, |metrics| metrics.size);
        let devices = self.devices.iter();
        let devices = devices.map(|(name, metrics)| ENTRY + name.len() + size(metrics));
        NODE + size(&self.metrics) + devices.sum::<usize>()
    }
}

/// As `Subject::device_id` has it, of a node by its name among all.
fn device_id(node: &str, device: &str) -> String {
    format!("{}:{device}", node.replacen('/', ":", 1))
}

/// From when on messages are explained by a birth of `now`, if one before it was of `before`.
fn hindsight(now: Timestamp, before: Option<Timestamp>) -> Timestamp {
    let earliest = Timestamp::from_millis(now.millis().saturating_sub(HINDSIGHT));
    before.map_or(earliest, |before| before.max(earliest))
}

/// Whether so many milliseconds have gone by; the clock may have been set.
fn is_over(pause: u64, since: Timestamp, now: Timestamp) -> bool {
    pause <= now.millis().abs_diff(since.millis())
}

pub(super) fn modulo_256(number: u64) -> u8 {
    number.to_le_bytes()[0]
}

/// The number of the message behind one.
pub(super) fn after(number: u64) -> u8 {
    modulo_256(number).wrapping_add(1)
}
