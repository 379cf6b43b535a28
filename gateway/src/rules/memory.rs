//! What the rules remember: of each sensor, and of each rule with a sensor, a group or a device.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::life::Life;
use super::moment::Moment;
use super::rule::Rule;
use super::scope::Previous;
use super::states::{NEVER, States, Subject, Timers, Whose};
use super::window::Windows;
use crate::domain::topic::TopicName;

/// What one rule remembers of a subject.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) life: Life,
    pub(super) windows: Option<Box<Windows>>,
    /// The last reading that was taken, where events come at other times than readings.
    pub(super) last: Option<Box<Evidence>>,
    /// When that was, or when a device went offline, by the engine's clock.
    pub(super) heard: Moment,
}

/// What an event stands on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Evidence {
    pub(super) sensor: Arc<str>,
    /// Zero if it was not stored.
    pub(super) reading: i64,
    pub(super) value: f64,
    pub(super) ts: i64,
}

/// A state in memory. There may be hundreds of thousands: two hundred bytes of each, with its place in the table.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) state: State,
    /// For when it is in the list of timers; [`NEVER`] if it is not.
    pub(super) timer: i64,
    /// It is in the list of what has to be written.
    is_touched: bool,
}

/// What is remembered of a sensor for all rules.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) name: Arc<str>,
    /// The topic of its last reading, and the rules that see that; `None` before they were looked up.
    pub(super) seen_by: Option<(Option<TopicName>, Arc<[u32]>)>,
    /// Its newest reading by the time it was measured.
    pub(super) previous: Option<Previous>,
    is_touched: bool,
}

/// All that is remembered.
#[derive(Debug, Default)]
pub(super) struct Memory {
    places: HashMap<Arc<str>, u32>,
    pub(super) slots: Vec<Slot>,
    pub(super) states: States,
    pub(super) timers: Timers,
    pub(super) touched: Touched,
}

impl Memory {
    /// The place of a sensor's slot, if it has one.
    pub(super) fn place(&self, sensor: &str) -> Option<u32> {
        self.places.get(sensor).copied()
    }

    /// The place of a sensor's slot, from now on if it had none.
    pub(super) fn place_or_new(&mut self, sensor: &Arc<str>) -> u32 {
        if let Some(place) = self.place(sensor) {
            return place;
        }
        let place = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.places.insert(Arc::clone(sensor), place);
        self.slots.push(Slot {
            name: Arc::clone(sensor),
            seen_by: None,
            previous: None,
            is_touched: false,
        });
        place
    }

    /// What a subject is called.
    pub(super) fn name(&self, subject: &Subject) -> Arc<str> {
        match &subject.whose {
            Whose::Sensor(place) => Arc::clone(&self.slots[*place as usize].name),
            Whose::Named(name) => Arc::clone(name),
        }
    }
}

/// What has to be written.
#[derive(Debug, Default)]
pub(super) struct Touched {
    pub(super) states: Vec<Subject>,
    /// Those that can be told from alerts until then: written behind.
    pub(super) behind: Vec<Subject>,
    /// Places of slots.
    pub(super) slots: Vec<u32>,
}

impl Touched {
    pub(super) fn state(&mut self, rule: &Rule, subject: &Subject, kept: &mut Kept) {
        if !std::mem::replace(&mut kept.is_touched, true) {
            self.list_of(rule).push(subject.clone());
        }
    }

    /// It is gone.
    pub(super) fn removed(&mut self, rule: &Rule, subject: Subject, kept: &Kept) {
        if !kept.is_touched {
            self.list_of(rule).push(subject);
        }
    }

    pub(super) fn list_of(&mut self, rule: &Rule) -> &mut Vec<Subject> {
        if rule.follows_from_alerts {
            &mut self.behind
        } else {
            &mut self.states
        }
    }

    pub(super) fn slot(&mut self, place: u32, slot: &mut Slot) {
        if !std::mem::replace(&mut slot.is_touched, true) {
            self.slots.push(place);
        }
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self::restored(State::default())
    }
}

impl Kept {
    pub(super) fn restored(state: State) -> Self {
        Self {
            state,
            timer: NEVER,
            is_touched: false,
        }
    }

    /// It is being written.
    pub(super) fn settle(&mut self) {
        self.is_touched = false;
    }
}

impl Slot {
    /// It is being written.
    pub(super) fn settle(&mut self) {
        self.is_touched = false;
    }
}
