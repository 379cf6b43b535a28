//! What the rules remember: of each sensor, and of each rule with a sensor, a group or a device.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::life::Life;
use super::rule::Rule;
use super::scope::Previous;
use super::window::Windows;
use crate::domain::topic::TopicName;

/// Of whom a rule remembers something.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Subject {
    /// The rule's place.
    pub(super) rule: u32,
    /// A sensor, a group or a device, as the rule has it.
    pub(super) name: Arc<str>,
}

/// What one rule remembers of a subject.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) life: Life,
    pub(super) windows: Option<Box<Windows>>,
    /// The last reading that was taken, where events come at other times than readings.
    pub(super) last: Option<Box<Evidence>>,
    /// When that was, or when a device went offline, by the engine's clock.
    pub(super) heard: Option<i64>,
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

/// The time that does not come.
pub(super) const NEVER: i64 = i64::MAX;

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
    places: HashMap<Arc<str>, usize>,
    pub(super) slots: Vec<Slot>,
    pub(super) states: States,
    pub(super) timers: Timers,
    pub(super) touched: Touched,
}

/// By whom they are of.
pub(super) type States = HashMap<Subject, Box<Kept>>;

impl Memory {
    /// The place of a sensor's slot, if it has one.
    pub(super) fn place(&self, sensor: &str) -> Option<usize> {
        self.places.get(sensor).copied()
    }

    /// Gives a sensor its slot.
    pub(super) fn add(&mut self, sensor: &Arc<str>) -> usize {
        let place = self.slots.len();
        self.places.insert(Arc::clone(sensor), place);
        self.slots.push(Slot {
            name: Arc::clone(sensor),
            seen_by: None,
            previous: None,
            is_touched: false,
        });
        place
    }
}

/// What has to be written.
#[derive(Debug, Default)]
pub(super) struct Touched {
    pub(super) states: Vec<Subject>,
    /// Those that can be told from alerts until then: written behind.
    pub(super) behind: Vec<Subject>,
    /// Places of slots.
    pub(super) slots: Vec<usize>,
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

    fn list_of(&mut self, rule: &Rule) -> &mut Vec<Subject> {
        if rule.follows_from_alerts {
            &mut self.behind
        } else {
            &mut self.states
        }
    }

    pub(super) fn slot(&mut self, place: usize, slot: &mut Slot) {
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

/// When something has to be done without a reading: by the engine's clock, the earliest first. An entry may be too early.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(i64, Subject)>>,
}

impl Timers {
    /// Sees to it that there is an entry for `due`, or an earlier one.
    pub(super) fn set(&mut self, subject: &Subject, kept: &mut Kept, due: i64) {
        if due < kept.timer {
            kept.timer = due;
            self.heap.push(Reverse((due, subject.clone())));
        }
    }

    /// When there is something to do.
    pub(super) fn next(&self) -> Option<i64> {
        self.heap.peek().map(|Reverse((due, _))| *due)
    }

    /// Takes the first entry of which the time has come.
    pub(super) fn pop(&mut self, now: i64) -> Option<(i64, Subject)> {
        if now < self.next()? {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}
