//! What the rules remember, on its way to the store and back.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};

use super::Engine;
use crate::domain::alert::{AlertState, PastAlert};
use crate::domain::rule::Action;
use crate::rules::RuleSet;
use crate::rules::life::{Episode, Life};
use crate::rules::memory::{Kept, State};
use crate::rules::rule::Rule;
use crate::rules::scope::Previous;
use crate::rules::states::Subject;

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
        for subject in touched.states.into_iter().chain(touched.behind) {
            if let Some(kept) = self.memory.states.get_mut(&subject) {
                kept.settle();
            }
        }
        for place in touched.slots {
            self.memory.slots[place as usize].settle();
        }
    }

    /// Takes up what was remembered by rules of these names and fingerprints; `alerts` are those since
    /// [`Engine::changes_behind`] was last written, in their order.
    pub fn restore(
        &mut self,
        names: &[(Arc<str>, Box<str>)],
        states: Vec<StateChange>,
        alerts: &[PastAlert],
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
        let mut known = HashMap::new();
        for StateChange {
            rule,
            subject,
            state,
        } in states
        {
            let Some(state) = state else { continue };
            if rule.is_empty() {
                match decode::<Previous>(&state) {
                    Some(previous) => self.take_up_previous(&subject, previous),
                    None => restored.unreadable += 1,
                }
                continue;
            }
            match decode::<State>(&state) {
                Some(state) => drop(known.insert((rule, subject), state)),
                None => restored.unreadable += 1,
            }
        }
        catch_up(&mut known, alerts);
        // What is stored of them is of the time before these alerts.
        for alert in alerts {
            let Some(place) = places.get(&*alert.rule).copied() else {
                continue;
            };
            let rule = &set.rules[place as usize];
            let subject = rule.subject(place, &alert.subject, &mut self.memory);
            self.memory.touched.list_of(rule).push(subject);
        }
        for ((rule, subject), state) in known {
            let episode = state.life.episode().map(|episode| episode.id);
            match places.get(&*rule) {
                Some(place) => self.take_up(*place, &subject, state),
                None => restored.ended.extend(episode),
            }
        }
        restored
    }

    /// Where no rule asks for it, it would be of long ago when one does again.
    fn take_up_previous(&mut self, sensor: &Arc<str>, previous: Previous) {
        let place = self.memory.place_or_new(sensor);
        let slot = &mut self.memory.slots[place as usize];
        if self.set.wants_previous {
            slot.previous = Some(previous);
        } else {
            self.memory.touched.slot(place, slot);
        }
    }

    fn take_up(&mut self, place: u32, name: &Arc<str>, state: State) {
        let set = Arc::clone(&self.set);
        let rule = &set.rules[place as usize];
        if rule.group_by.is_some() {
            self.groups.entry(place).or_default().count += 1;
        }
        let subject = rule.subject(place, name, &mut self.memory);
        let kept = self.memory.states.get_or_default(&subject);
        *kept = Kept::restored(state);
        if let Some(due) = rule.due(&kept.state) {
            self.memory.timers.set(&subject, kept, due);
        }
    }

    /// What devices said before.
    pub fn hear_devices<'d>(&mut self, devices: impl Iterator<Item = (&'d str, &'d str)>) {
        devices.for_each(|(device, status)| self.devices.hear(device, status));
    }

    /// Takes other rules. Those that stay as they are go on with what they remember.
    pub fn replace(&mut self, set: Arc<RuleSet>) -> Restored {
        let states = self.memory.states.iter();
        let states = states.map(|(subject, kept)| StateChange {
            rule: Arc::clone(&self.set.rules[subject.rule as usize].name),
            subject: self.memory.name(&subject),
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
        let restored = next.restore(&names, states, &[]);
        next.devices = std::mem::take(&mut self.devices);
        *self = next;
        restored
    }

    /// The names of the rules, and whether each raises alerts.
    pub fn rules(&self) -> impl Iterator<Item = (&str, bool)> {
        let raises = |rule: &Rule| rule.actions.contains(&Action::Alert);
        let rules = self.set.rules.iter();
        rules.map(move |rule| (&*rule.name, raises(rule)))
    }

    /// The rules, with all that the memory of each depends on.
    pub fn names(&self) -> Vec<(Arc<str>, Box<str>)> {
        let rules = self.set.rules.iter();
        rules
            .map(|rule| (Arc::clone(&rule.name), rule.fingerprint.clone()))
            .collect()
    }

    /// What has changed since this was last asked and cannot be told from alerts, each subject once.
    pub fn changes(&mut self) -> Vec<StateChange> {
        let states = std::mem::take(&mut self.memory.touched.states);
        let slots = std::mem::take(&mut self.memory.touched.slots);
        let mut changes = Vec::with_capacity(states.len() + slots.len());
        changes.extend(
            states
                .into_iter()
                .filter_map(|subject| self.change(&subject)),
        );
        for place in slots {
            let slot = &mut self.memory.slots[place as usize];
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

    /// What else has changed since this was last asked. It need not be written with each group: what it has become can be told
    /// from it and the alerts since.
    pub fn changes_behind(&mut self) -> Vec<StateChange> {
        let mut behind = std::mem::take(&mut self.memory.touched.behind);
        behind.sort_unstable();
        behind.dedup();
        let changes = behind.into_iter();
        changes
            .filter_map(|subject| self.change(&subject))
            .collect()
    }

    fn change(&mut self, subject: &Subject) -> Option<StateChange> {
        let rule = self.set.rules.get(subject.rule as usize)?;
        let state = self.memory.states.get_mut(subject).map(|kept| {
            kept.settle();
            encode(&kept.state)
        });
        Some(StateChange {
            rule: Arc::clone(&rule.name),
            subject: self.memory.name(subject),
            state,
        })
    }
}

/// What alerts say of whose they are, in the end.
struct Latest {
    episode: i64,
    raised_at: i64,
    state: AlertState,
}

/// Brings states up to the alerts that came since they were written. It changes nothing of those that were written with them.
fn catch_up(known: &mut HashMap<(Arc<str>, Arc<str>), State>, alerts: &[PastAlert]) {
    let mut latest: HashMap<(&Arc<str>, &Arc<str>), Latest> = HashMap::new();
    for alert in alerts {
        let of = latest
            .entry((&alert.rule, &alert.subject))
            .or_insert(Latest {
                episode: 0,
                raised_at: 0,
                state: alert.state,
            });
        if of.episode != alert.episode {
            (of.episode, of.raised_at) = (alert.episode, alert.ts.millis());
        }
        of.state = alert.state;
    }
    for ((rule, subject), latest) in latest {
        let key = (Arc::clone(rule), Arc::clone(subject));
        let before = known.get(&key).and_then(|state| state.life.episode());
        if latest.state == AlertState::Cleared {
            if before.is_some_and(|episode| episode.id <= latest.episode) {
                known.remove(&key);
            }
            continue;
        }
        let episode = Episode {
            id: latest.episode,
            is_acknowledged: latest.state == AlertState::Acknowledged,
        };
        match before {
            Some(before) if before == episode => {}
            Some(before) if before.id == episode.id => {
                if let Some(state) = known.get_mut(&key) {
                    state.life.acknowledge();
                }
            }
            _ => known.entry(key).or_default().life = Life::of_open(episode, latest.raised_at),
        }
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
