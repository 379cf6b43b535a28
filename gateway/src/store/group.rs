//! A group: all that one transaction writes. Plain data with its ids already given, so that writing it a second
//! time after a failure writes the same.

use super::{RuleNames, RuleState, blocks::FullBlock, outbox, salvage, sessions, upkeep::Step};
use crate::domain::{
    alert::Alert,
    reading::{Reading, ReadingId},
    status::DeviceStatus,
    timestamp::Timestamp,
    topic::TopicName,
    uplink::UplinkSet,
};

/// All that one transaction writes.
#[derive(Debug, Default)]
pub struct Group {
    pub(super) readings: Vec<NewReading>,
    pub(super) sensors: Vec<NewSensor>,
    /// Those that its readings fill.
    pub(super) blocks: Vec<FullBlock>,
    pub(super) alerts: Vec<(i64, Alert)>,
    pub(super) rejects: Vec<(i64, NewReject)>,
    /// Rejects that need not be kept any more.
    pub(super) settled_rejects: Vec<i64>,
    pub(super) statuses: Vec<DeviceStatus>,
    pub(super) outbox: Vec<outbox::Change>,
    pub(super) sessions: Vec<sessions::Change>,
    pub(super) rule_states: Vec<RuleState>,
    /// With these states all is written that follows from its alerts and those before.
    pub(super) has_all_rule_states: bool,
    pub(super) rule_names: Option<RuleNames>,
    pub(super) upkeep: Vec<Step>,
    /// As the commit finds it.
    pub(super) rules_clock: Option<i64>,
    /// What was read of damaged stores.
    pub(super) salvaged: Vec<salvage::Rows>,
}

/// A reading with its id and what the rules made of it.
#[derive(Debug)]
pub struct NewReading {
    pub id: ReadingId,
    pub reading: Reading,
    /// A JSON array of texts; `None` for no tags.
    pub tags: Option<Box<str>>,
    /// The uplinks that are to get it.
    pub forward: UplinkSet,
    pub(super) sensor: i64,
}

/// What could not be read. The topic is shared: many rejects may come out of one payload.
#[derive(Debug)]
pub struct NewReject {
    /// Where it was published; `None` if it came by HTTP.
    pub topic: Option<TopicName>,
    pub payload: Box<[u8]>,
    pub reason: Box<str>,
    pub received_at: Timestamp,
}

#[derive(Debug)]
pub(super) struct NewSensor {
    pub(super) key: i64,
    pub(super) name: std::sync::Arc<str>,
}

impl Group {
    /// About how many rows it writes.
    pub fn row_count(&self) -> usize {
        self.readings.len()
            + self.alerts.len()
            + self.rejects.len()
            + self.settled_rejects.len()
            + self.statuses.len()
            + self.outbox.len()
            + self.sessions.len()
            + self.rule_states.len()
            + self.upkeep.len()
            + usize::from(self.rule_names.is_some())
            + usize::from(self.rules_clock.is_some())
            // How far it is, is a row as well.
            + self.salvaged.iter().map(|rows| 1 + rows.slice.row_count()).sum::<usize>()
    }

    /// Whether it writes nothing.
    pub fn is_empty(&self) -> bool {
        self.row_count() == 0
    }

    /// How many readings it has.
    pub fn reading_count(&self) -> usize {
        self.readings.len()
    }

    /// Whether it brings the outbox something out of a damaged store.
    pub fn has_salvaged_outbox(&self) -> bool {
        self.salvaged
            .iter()
            .any(|rows| !rows.slice.outbox.is_empty())
    }

    /// The uplinks that get something of it.
    pub fn forwarded(&self) -> UplinkSet {
        let sets = self.readings.iter().map(|new| new.forward);
        sets.fold(UplinkSet::NONE, UplinkSet::and)
    }

    /// Adds a change of the outbox.
    pub fn push_outbox(&mut self, change: outbox::Change) {
        self.outbox.push(change);
    }

    /// Takes out what gives room back, and does not depend on the rest.
    pub fn split_ahead(&mut self) -> Self {
        Self {
            outbox: std::mem::take(&mut self.outbox),
            upkeep: std::mem::take(&mut self.upkeep),
            ..Self::default()
        }
    }

    /// Adds a change of what the broker owes.
    pub fn push_session(&mut self, change: sessions::Change) {
        self.sessions.push(change);
    }

    /// Adds a step of the upkeep.
    pub fn push_upkeep(&mut self, step: Step) {
        self.upkeep.push(step);
    }

    /// Adds what the rules remember now.
    pub fn remember(&mut self, states: impl IntoIterator<Item = RuleState>) {
        self.rule_states.extend(states);
    }

    /// Adds what follows from the alerts up to now.
    pub fn remember_behind(&mut self, states: impl IntoIterator<Item = RuleState>) {
        self.remember(states);
        self.has_all_rule_states = true;
    }

    /// Says which rules there are.
    pub fn name_rules(&mut self, names: RuleNames) {
        self.rule_names = Some(names);
    }

    /// Says for how many milliseconds the rules have run.
    pub fn set_rules_clock(&mut self, clock: i64) {
        self.rules_clock = Some(clock);
    }

    /// The alerts, in the order of their ids.
    pub fn alerts(&self) -> impl DoubleEndedIterator<Item = &Alert> {
        self.alerts.iter().map(|(_, alert)| alert)
    }
}
