//! States by whose they are, and when something is to be done about them. Those of sensors stand at the sensor's place, so that
//! a reading finds them without looking for a name.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use super::memory::Kept;

/// Of whom a rule remembers something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Subject {
    /// The rule's place.
    pub(super) rule: u32,
    pub(super) whose: Whose,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Whose {
    /// Of the sensor with its slot at this place.
    Sensor(u32),
    /// Of a group or a device.
    Named(Arc<str>),
}

/// All states.
#[derive(Debug, Default)]
pub(super) struct States {
    /// By the sensors' places; of each in the order of the rules.
    of_sensors: Vec<Vec<(u32, Box<Kept>)>>,
    others: HashMap<Subject, Box<Kept>>,
}

impl States {
    pub(super) fn contains(&self, subject: &Subject) -> bool {
        match subject.whose {
            Whose::Sensor(place) => {
                let states = self.of_sensors.get(place as usize);
                states.is_some_and(|states| find(states, subject.rule).is_ok())
            }
            Whose::Named(_) => self.others.contains_key(subject),
        }
    }

    pub(super) fn get_mut(&mut self, subject: &Subject) -> Option<&mut Kept> {
        match subject.whose {
            Whose::Sensor(place) => {
                let states = self.of_sensors.get_mut(place as usize)?;
                let at = find(states, subject.rule).ok()?;
                Some(&mut states[at].1)
            }
            Whose::Named(_) => self.others.get_mut(subject).map(|kept| &mut **kept),
        }
    }

    /// What is remembered of a subject, from now on if nothing was before.
    pub(super) fn get_or_default(&mut self, subject: &Subject) -> &mut Kept {
        let Whose::Sensor(place) = subject.whose else {
            return self.others.entry(subject.clone()).or_default();
        };
        let place = place as usize;
        if self.of_sensors.len() <= place {
            self.of_sensors.resize_with(place + 1, Vec::new);
        }
        let states = &mut self.of_sensors[place];
        let at = find(states, subject.rule).unwrap_or_else(|at| {
            states.insert(at, (subject.rule, Box::default()));
            at
        });
        &mut states[at].1
    }

    pub(super) fn remove(&mut self, subject: &Subject) -> Option<Box<Kept>> {
        match subject.whose {
            Whose::Sensor(place) => {
                let states = self.of_sensors.get_mut(place as usize)?;
                let at = find(states, subject.rule).ok()?;
                Some(states.remove(at).1)
            }
            Whose::Named(_) => self.others.remove(subject),
        }
    }

    /// Takes out those of one rule's groups of which nothing is open: what they remember is up to when windows are closed.
    pub(super) fn take_idle(&mut self, rule: u32) -> Vec<(Subject, Box<Kept>)> {
        let is_idle = |subject: &Subject, kept: &mut Box<Kept>| {
            let windows = kept.state.windows.as_ref();
            let is_empty = windows.is_some_and(|windows| windows.is_empty());
            subject.rule == rule && is_empty && kept.state.life.is_blank()
        };
        self.others.extract_if(is_idle).collect()
    }

    /// All of them, to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (Subject, &mut Kept)> {
        let of_sensors = (0..).zip(&mut self.of_sensors);
        let of_sensors = of_sensors.flat_map(|(place, states)| {
            states.iter_mut().map(move |(rule, kept)| {
                let whose = Whose::Sensor(place);
                (Subject { rule: *rule, whose }, &mut **kept)
            })
        });
        let others = self.others.iter_mut();
        of_sensors.chain(others.map(|(subject, kept)| (subject.clone(), &mut **kept)))
    }

    /// All of them, with whose they are.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Subject, &Kept)> {
        let of_sensors = (0..).zip(&self.of_sensors).flat_map(|(place, states)| {
            states.iter().map(move |(rule, kept)| {
                let whose = Whose::Sensor(place);
                (Subject { rule: *rule, whose }, &**kept)
            })
        });
        let others = self.others.iter();
        of_sensors.chain(others.map(|(subject, kept)| (subject.clone(), &**kept)))
    }
}

fn find(states: &[(u32, Box<Kept>)], rule: u32) -> Result<usize, usize> {
    states.binary_search_by_key(&rule, |(of, _)| *of)
}

/// The time that does not come.
pub(super) const NEVER: i64 = i64::MAX;

/// When something has to be done without a reading: by the engine's clock, the earliest first. An entry may be too early.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// Each with rule and place.
    of_sensors: BinaryHeap<Reverse<(i64, u32, u32)>>,
    others: BinaryHeap<Reverse<(i64, Subject)>>,
}

impl Timers {
    /// Sees to it that there is an entry for `due`, or an earlier one.
    pub(super) fn set(&mut self, subject: &Subject, kept: &mut Kept, due: i64) {
        if kept.timer <= due {
            return;
        }
        kept.timer = due;
        match subject.whose {
            Whose::Sensor(place) => self.of_sensors.push(Reverse((due, subject.rule, place))),
            Whose::Named(_) => self.others.push(Reverse((due, subject.clone()))),
        }
    }

    /// When there is something to do.
    pub(super) fn next(&self) -> Option<i64> {
        let of_sensors = self.of_sensors.peek().map(|Reverse((due, ..))| *due);
        let others = self.others.peek().map(|Reverse((due, _))| *due);
        of_sensors.into_iter().chain(others).min()
    }

    /// Takes all entries of the earliest time, if that has come.
    pub(super) fn pop(&mut self, now: i64) -> Option<(i64, Vec<Subject>)> {
        let due = self.next().filter(|due| *due <= now)?;
        let mut subjects = Vec::new();
        while let Some((_, rule, place)) = pop_if(&mut self.of_sensors, |entry| entry.0 == due) {
            let whose = Whose::Sensor(place);
            subjects.push(Subject { rule, whose });
        }
        while let Some((_, subject)) = pop_if(&mut self.others, |entry| entry.0 == due) {
            subjects.push(subject);
        }
        Some((due, subjects))
    }
}

fn pop_if<T: Ord>(
    heap: &mut BinaryHeap<Reverse<T>>,
    is_wanted: impl FnOnce(&T) -> bool,
) -> Option<T> {
    heap.peek().filter(|Reverse(first)| is_wanted(first))?;
    heap.pop().map(|Reverse(first)| first)
}
