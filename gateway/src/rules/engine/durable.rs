//! What the rules remember, on its way to the store and back.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};

use super::Engine;
use crate::rules::RuleSet;
use crate::rules::memory::{Kept, State, Subject};
use crate::rules::scope::Previous;

/// The first byte of what is encoded: another one is of another version.
const VERSION: u8 = 1;

/// What is remembered now of one subject.
#[derive(Clone, Debug, PartialEq)]
pub struct StateChange {
    /// Empty for what is remembered of a sensor for all rules.
    pub rule: Arc<str>,
    /// A sensor, a group or a device.
    pub subject: Arc<str>,
    /// `None`: nothing any more.
    pub state: Option<Box<[u8]>>,
}

/// What could not be taken up.
#[derive(Debug, Default)]
pub struct Restored {
    /// Rules of which nothing is remembered any more: they are gone or have changed.
    pub forgotten: Vec<Arc<str>>,
    /// Their alerts that were open, by the ids of their first events.
    pub ended: Vec<i64>,
    /// How many states were of another version.
    pub unreadable: usize,
}

impl Engine {
    /// For who keeps nothing: forgets what has changed.
    pub fn disregard_changes(&mut self) {
        let touched = std::mem::take(&mut self.memory.touched);
        for subject in touched.states {
            if let Some(kept) = self.memory.states.get_mut(&subject) {
                kept.settle();
            }
        }
        for place in touched.slots {
            self.memory.slots[place].settle();
        }
    }

    /// Takes up what was remembered by rules of these names and fingerprints.
    pub fn restore(
        &mut self,
        names: &[(Arc<str>, Box<str>)],
        states: Vec<StateChange>,
    ) -> Restored {
        let set = Arc::clone(&self.set);
        let mut restored = Restored::default();
        let mut places: HashMap<&str, u32> = HashMap::new();
        for (name, fingerprint) in names {
            let mut rules = (0..).zip(&set.rules);
            match rules.find(|(_, rule)| rule.name == *name && rule.fingerprint == *fingerprint) {
                Some((place, _)) => drop(places.insert(name, place)),
                None => restored.forgotten.push(Arc::clone(name)),
            }
        }
        for StateChange {
            rule,
            subject,
            state,
        } in states
        {
            let Some(state) = state else { continue };
            if rule.is_empty() {
                match decode::<Previous>(&state) {
                    Some(previous) => {
                        let place = self.memory.add(&subject);
                        self.memory.slots[place].previous = Some(previous);
                    }
                    None => restored.unreadable += 1,
                }
                continue;
            }
            let Some(state) = decode::<State>(&state) else {
                restored.unreadable += 1;
                continue;
            };
            let episode = state.life.episode().map(|episode| episode.id);
            match places.get(&*rule) {
                Some(place) => self.take_up(
                    Subject {
                        rule: *place,
                        name: subject,
                    },
                    state,
                    episode,
                ),
                None => restored.ended.extend(episode),
            }
        }
        restored
    }

    fn take_up(&mut self, subject: Subject, state: State, episode: Option<i64>) {
        let rule = &self.set.rules[subject.rule as usize];
        if rule.group_by.is_some() {
            *self.groups.entry(subject.rule).or_default() += 1;
        }
        if let Some(episode) = episode {
            self.open.insert(episode, subject.clone());
        }
        let mut kept = Box::new(Kept::restored(state));
        if let Some(due) = rule.due(&kept.state) {
            self.memory.timers.set(&subject, &mut kept, due);
        }
        self.memory.states.insert(subject, kept);
    }

    /// What devices said before.
    pub fn hear_devices<'d>(&mut self, devices: impl Iterator<Item = (&'d str, &'d str)>) {
        devices.for_each(|(device, status)| self.devices.hear(device, status));
    }

    /// Takes other rules. Those that stay as they are go on with what they remember.
    pub fn replace(&mut self, set: Arc<RuleSet>) -> Restored {
        let states = self
            .memory
            .states
            .iter()
            .map(|(subject, kept)| StateChange {
                rule: Arc::clone(&self.set.rules[subject.rule as usize].name),
                subject: Arc::clone(&subject.name),
                state: Some(encode(&kept.state)),
            });
        let slots = self.memory.slots.iter().filter_map(|slot| {
            Some(StateChange {
                rule: "".into(),
                subject: Arc::clone(&slot.name),
                state: Some(encode(slot.previous.as_ref()?)),
            })
        });
        let states = states.chain(slots).collect();
        let names = self.names();
        let mut next = Self::new(set);
        let restored = next.restore(&names, states);
        next.devices = std::mem::take(&mut self.devices);
        *self = next;
        restored
    }

    /// The rules, with all that the memory of each depends on.
    pub fn names(&self) -> Vec<(Arc<str>, Box<str>)> {
        let rules = self.set.rules.iter();
        rules
            .map(|rule| (Arc::clone(&rule.name), rule.fingerprint.clone()))
            .collect()
    }

    /// What has changed since this was last asked, each subject once.
    pub fn changes(&mut self) -> Vec<StateChange> {
        let touched = std::mem::take(&mut self.memory.touched);
        let mut changes = Vec::with_capacity(touched.states.len() + touched.slots.len());
        for subject in touched.states {
            let Some(rule) = self.set.rules.get(subject.rule as usize) else {
                continue;
            };
            let state = self.memory.states.get_mut(&subject).map(|kept| {
                kept.settle();
                encode(&kept.state)
            });
            changes.push(StateChange {
                rule: Arc::clone(&rule.name),
                subject: subject.name,
                state,
            });
        }
        for place in touched.slots {
            let slot = &mut self.memory.slots[place];
            slot.settle();
            let state = slot.previous.as_ref().map(encode);
            changes.push(StateChange {
                rule: "".into(),
                subject: Arc::clone(&slot.name),
                state,
            });
        }
        changes
    }
}

fn encode(state: &impl Serialize) -> Box<[u8]> {
    let mut bytes = vec![VERSION];
    // Nothing in a state is refused by the encoding.
    bytes.extend(postcard::to_allocvec(state).unwrap_or_default());
    bytes.into()
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (version, rest) = bytes.split_first()?;
    (*version == VERSION)
        .then(|| postcard::from_bytes(rest).ok())
        .flatten()
}
