//! All rules over what happens, in its order. Two clocks: the time of the readings, and the engine's own, which only goes
//! forward and stands still while the gateway is down.

mod durable;
mod offline;
mod shifted;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::RuleSet;
use super::alerts::{Alerts, Facts, Numbers, Until, judge_windows};
use super::devices::Devices;
use super::life::Look;
use super::memory::Memory;
use super::outcome::{Effects, Fate, Outcome};
use super::rule::{LooksAt, Rule};
use super::scope::{Matter, Previous, Scope, Tags};
use super::states::{NEVER, Subject};
use super::work::{Groups, Work};
use crate::domain::alert::PastAlert;
use crate::domain::reading::{Reading, ReadingId};
use crate::domain::topic::TopicName;

pub use durable::{Restored, StateChange};

/// So many topics are remembered with the rules that see them; then they are looked up anew.
const MAX_TOPICS: usize = 10_000;

/// The rules and what they remember. Evaluating needs a thread with [`super::STACK_BYTES`].
pub struct Engine {
    set: Arc<RuleSet>,
    memory: Memory,
    devices: Devices,
    /// How many groups there are, by the places of the rules.
    groups: HashMap<u32, Groups>,
    seen_by: HashMap<TopicName, Arc<[u32]>>,
}

/// A reading that has come.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    pub reading: &'a Reading,
    /// The id that it gets if it is stored.
    pub id: ReadingId,
    /// When, by the engine's clock, in milliseconds.
    pub now: i64,
}

impl Engine {
    /// Rules that remember nothing yet.
    pub fn new(set: Arc<RuleSet>) -> Self {
        Self {
            set,
            memory: Memory::default(),
            devices: Devices::default(),
            groups: HashMap::new(),
            seen_by: HashMap::new(),
        }
    }

    /// Asks every rule that sees the reading, in their order; `numbers` gives the ids of alerts.
    pub fn take_reading(&mut self, arrival: Arrival<'_>, numbers: Numbers<'_>) -> Outcome {
        let set = Arc::clone(&self.set);
        let reading = arrival.reading;
        if set.drops && self.is_dropped_unseen(reading) {
            return Outcome {
                fate: Fate::Dropped,
                ..Outcome::default()
            };
        }
        let place = self.slot(reading);
        let device_status = if set.wants_devices {
            self.devices.status_for(reading)
        } else {
            ""
        };
        let Memory {
            slots,
            states,
            timers,
            touched,
            ..
        } = &mut self.memory;
        let slot = &mut slots[place as usize];
        let seen_by = slot.seen_by.as_ref().map_or(&[][..], |(_, rules)| rules);
        let tags = Tags::default();
        let matter = Matter::Reading {
            reading,
            previous: slot.previous,
            tags: &tags,
        };
        let scope = Scope::new(matter, device_status);
        let mut effects = Effects::default();
        let mut work = Work {
            set: &set,
            arrival,
            place,
            device_status,
            states,
            groups: &mut self.groups,
            timers,
            touched,
            alerts: Alerts {
                numbers,
                effects: &mut effects,
            },
            tags: &tags,
            evidenced: Vec::new(),
            is_evidence: false,
        };
        let outcome = work.run(seen_by, &scope);
        // As in `Life`: neither a sensor's clock nor one that was put back makes all that follows late.
        let present = reading.received_at.millis();
        let ts = reading.ts.millis().min(present);
        let previous = slot.previous;
        let is_newest = previous.is_none_or(|previous| previous.ts <= ts || present < previous.ts);
        if set.wants_previous && is_newest && outcome.fate != Fate::Dropped {
            slot.previous = Some(Previous {
                value: reading.value,
                ts,
            });
            touched.slot(place, slot);
        }
        Outcome {
            tags: tags.into_names(),
            effects,
            ..outcome
        }
    }

    /// Whether a reading of a sensor that is not known is dropped for what it says itself: then the sensor need not be known.
    fn is_dropped_unseen(&mut self, reading: &Reading) -> bool {
        if self.memory.place(reading.sensor_id.as_str()).is_some() {
            return false;
        }
        let (set, tags) = (Arc::clone(&self.set), Tags::default());
        let seen_by = self.rules_for(reading);
        let status = self.devices.status_for(reading);
        let matter = Matter::Reading {
            reading,
            previous: None,
            tags: &tags,
        };
        let scope = Scope::new(matter, status);
        let rules = seen_by.iter().map(|place| &set.rules[*place as usize]);
        // They stand first.
        let mut drops = rules.take_while(|rule| rule.drops());
        drops.any(|rule| {
            let when = rule.when.as_ref().filter(|_| !rule.is_stateful);
            when.is_some_and(|when| when.is_met(&scope, &set.cel) == Ok(true))
        })
    }

    /// The place of the sensor's slot, in which the rules stand that see the reading.
    fn slot(&mut self, reading: &Reading) -> u32 {
        let place = self.memory.place_or_new(reading.sensor_id.shared());
        let found = &self.memory.slots[place as usize].seen_by;
        if found
            .as_ref()
            .is_none_or(|(topic, _)| *topic != reading.topic)
        {
            let rules = self.rules_for(reading);
            self.memory.slots[place as usize].seen_by = Some((reading.topic.clone(), rules));
        }
        place
    }

    fn rules_for(&mut self, reading: &Reading) -> Arc<[u32]> {
        let by_http;
        let topic = match &reading.topic {
            Some(topic) => topic,
            None => match TopicName::new(&format!("sensors/{}", reading.sensor_id)) {
                Ok(topic) => {
                    by_http = topic;
                    &by_http
                }
                Err(_) => return Arc::default(),
            },
        };
        if let Some(found) = self.seen_by.get(topic) {
            return Arc::clone(found);
        }
        if MAX_TOPICS <= self.seen_by.len() {
            self.seen_by.clear();
        }
        let found: Arc<[u32]> = self.set.topics.of(topic).into();
        self.seen_by.insert(topic.clone(), Arc::clone(&found));
        found
    }

    /// When there is something to do without a reading, by the engine's clock.
    pub fn next_due(&self) -> Option<i64> {
        self.memory.timers.next()
    }

    /// Does what is due. What is due at the same time is done in the order of rules and names, whatever order it came in.
    pub fn tick(&mut self, now: i64, numbers: Numbers<'_>) -> Effects {
        let mut effects = Effects::default();
        while let Some((due, subjects)) = self.memory.timers.pop(now) {
            let named = subjects.into_iter();
            let named = named.map(|subject| (subject.rule, self.memory.name(&subject), subject));
            let mut named: Vec<_> = named.collect();
            named.sort_unstable();
            for (_, name, subject) in named {
                let mut alerts = Alerts {
                    numbers,
                    effects: &mut effects,
                };
                self.ring(due, &name, &subject, &mut alerts);
            }
        }
        effects
    }

    /// The time for a subject has come, or its entry was too early.
    fn ring(&mut self, due: i64, name: &Arc<str>, subject: &Subject, alerts: &mut Alerts<'_>) {
        let set = Arc::clone(&self.set);
        let Memory {
            states,
            timers,
            touched,
            ..
        } = &mut self.memory;
        let kept = states.get_mut(subject).filter(|kept| kept.timer == due);
        let (Some(rule), Some(kept)) = (set.rules.get(subject.rule as usize), kept) else {
            return;
        };
        kept.timer = NEVER;
        if rule.due(&kept.state).is_some_and(|real| real <= due) {
            touched.state(rule, subject, kept);
            match rule.looks_at {
                LooksAt::Silence(time) | LooksAt::Offline(time) => {
                    let ts = kept.state.last.as_ref().map_or(0, |last| last.ts + time);
                    silence(rule, name, &mut kept.state, true, ts, alerts);
                }
                LooksAt::Windows(_) | LooksAt::EachReading => {
                    let status = self.devices.status_named(name);
                    let over = Until(Some(due));
                    judge_windows(&set, rule, name, &mut kept.state, over, status, alerts);
                }
            }
        }
        if let Some(next) = rule.due(&kept.state) {
            timers.set(subject, kept, next);
        }
    }

    /// The alerts that are open, by the ids of their first events.
    pub fn open_alerts(&self) -> impl Iterator<Item = i64> {
        let states = self.memory.states.iter();
        states.filter_map(|(_, kept)| Some(kept.state.life.episode()?.id))
    }

    /// Somebody has seen the alert of which this is any event. False if it is not open, or was seen before.
    pub fn acknowledge(&mut self, alert: &PastAlert) -> bool {
        let mut rules = (0..).zip(&self.set.rules);
        let Some((place, rule)) = rules.find(|(_, rule)| rule.name == alert.rule) else {
            return false;
        };
        let subject = rule.subject(place, &alert.subject, &mut self.memory);
        let Some(kept) = self.memory.states.get_mut(&subject) else {
            return false;
        };
        let life = &mut kept.state.life;
        let is_it = life
            .episode()
            .is_some_and(|episode| episode.id == alert.episode);
        let is_new = is_it && life.acknowledge();
        if is_new {
            self.memory.touched.state(rule, &subject, kept);
        }
        is_new
    }
}

/// A silence that has begun, or is over.
fn silence(
    rule: &Rule,
    name: &Arc<str>,
    state: &mut super::memory::State,
    has_begun: bool,
    ts: i64,
    alerts: &mut Alerts<'_>,
) {
    let Some(last) = state.last.clone() else {
        return;
    };
    let look = Look {
        ts,
        present: i64::MAX,
        is_met: has_begun,
        is_over: !has_begun,
    };
    let step = state.life.look(&rule.terms, look);
    alerts.tell(
        rule,
        name,
        state,
        step,
        &Facts {
            ts,
            ..Facts::of(&last)
        },
    );
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.set.fmt(f)
    }
}

#[cfg(test)]
mod tests;
