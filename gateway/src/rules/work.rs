//! One reading on its way through the rules.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::alerts::{Alerts, Facts, Until, judge_windows};
use super::engine::Arrival;
use super::life::{Look, Step};
use super::memory::{Evidence, State, Touched};
use super::outcome::{Fate, Outcome};
use super::rule::{LooksAt, Rule, RuleSet};
use super::scope::{Scope, Tags};
use super::states::{States, Subject, Timers, Whose};
use super::window::{Sample, Span, Taken};
use crate::domain::rule::Action;

/// Of one rule; those of which only closed windows are remembered make room, then readings of further ones are not looked at by it.
const MAX_GROUPS: usize = 10_000;

/// How often room is looked for when there is none, in milliseconds.
const LOOK_AGAIN: i64 = 1000;

/// The groups of one rule.
#[derive(Debug)]
pub(super) struct Groups {
    pub(super) count: usize,
    /// When room was last looked for, by the engine's clock.
    looked_at: i64,
}

impl Default for Groups {
    fn default() -> Self {
        Self {
            count: 0,
            looked_at: -LOOK_AGAIN,
        }
    }
}

/// A reading, the rules, and what they remember.
pub(super) struct Work<'w> {
    pub(super) set: &'w RuleSet,
    pub(super) arrival: Arrival<'w>,
    /// Of the sensor's slot.
    pub(super) place: u32,
    pub(super) device_status: &'w str,
    pub(super) states: &'w mut States,
    pub(super) groups: &'w mut HashMap<u32, Groups>,
    pub(super) timers: &'w mut Timers,
    pub(super) touched: &'w mut Touched,
    pub(super) alerts: Alerts<'w>,
    pub(super) tags: &'w Tags,
    /// Whose last reading this one is now.
    pub(super) evidenced: Vec<Subject>,
    /// It raises or holds an alert.
    pub(super) is_evidence: bool,
}

/// A rule that cannot be asked about this reading, and why.
type Failure = String;

impl Work<'_> {
    /// Asks every rule that sees it, in their order; those that drop come first.
    pub(super) fn run(&mut self, seen_by: &[u32], scope: &Scope<'_>) -> Outcome {
        let mut outcome = Outcome::default();
        for place in seen_by {
            let rule = &self.set.rules[*place as usize];
            match self.apply(*place, rule, scope, &mut outcome) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => break,
                Err(reason) => self.alerts.fail(rule, reason),
            }
        }
        // What somebody is told of has to be there.
        let id = self.arrival.id;
        let mut events = self.alerts.effects.events.iter();
        let is_told = self.is_evidence || events.any(|event| event.reading_id == id);
        if !outcome.forward.is_empty() || is_told {
            outcome.fate = Fate::Stored;
        }
        if outcome.fate != Fate::Stored {
            self.forget_id();
        }
        outcome
    }

    /// The reading is not stored: another one will have its id.
    fn forget_id(&mut self) {
        for subject in &self.evidenced {
            let kept = self.states.get_mut(subject);
            if let Some(last) = kept.and_then(|kept| kept.state.last.as_mut()) {
                last.reading = 0;
            }
        }
    }

    fn apply(
        &mut self,
        place: u32,
        rule: &Rule,
        scope: &Scope<'_>,
        outcome: &mut Outcome,
    ) -> Result<ControlFlow<()>, Failure> {
        let cel = &self.set.cel;
        let is_met = || {
            rule.when
                .as_ref()
                .map_or(Ok(true), |when| when.is_met(scope, cel))
        };
        match rule.looks_at {
            LooksAt::EachReading => {
                let is_met = is_met()?;
                let step = match (rule.is_stateful, is_met) {
                    (true, _) => self.step(place, rule, is_met, scope)?,
                    (false, true) => Step::Active { is_event: false },
                    (false, false) => Step::Quiet,
                };
                if matches!(step, Step::Raised | Step::Active { .. }) {
                    self.is_evidence |= rule.has_alert();
                    return self.act(place, rule, scope, outcome);
                }
            }
            LooksAt::Windows(span) => {
                if let Some(subject) = self.subject(place, rule, scope)? {
                    self.sample(rule, &subject, span)?;
                }
            }
            LooksAt::Silence(time) => {
                if is_met()?
                    && let Some(subject) = self.subject(place, rule, scope)?
                {
                    self.hear(rule, &subject, time)?;
                }
            }
            LooksAt::Offline(_) => {}
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Whom the reading is about; `None` if it cannot be told from a first one.
    fn subject(
        &self,
        place: u32,
        rule: &Rule,
        scope: &Scope<'_>,
    ) -> Result<Option<Subject>, Failure> {
        let whose = match &rule.group_by {
            None => Some(Whose::Sensor(self.place)),
            Some(group_by) => {
                let group = group_by.group_of(scope, &self.set.cel)?;
                group.map(|group| Whose::Named(group.into()))
            }
        };
        Ok(whose.map(|whose| Subject { rule: place, whose }))
    }

    /// What the subject of this reading is called.
    fn name(&self, subject: &Subject) -> Arc<str> {
        match &subject.whose {
            Whose::Sensor(_) => Arc::clone(self.arrival.reading.sensor_id.shared()),
            Whose::Named(name) => Arc::clone(name),
        }
    }

    /// What the reading says of a rule that remembers.
    fn step(
        &mut self,
        place: u32,
        rule: &Rule,
        is_met: bool,
        scope: &Scope<'_>,
    ) -> Result<Step, Failure> {
        let Some(subject) = self.subject(place, rule, scope)? else {
            return Ok(Step::Quiet);
        };
        if !is_met && !self.states.contains(&subject) {
            return Ok(Step::Quiet);
        }
        let is_over = match &rule.clear {
            Some(clear) => clear.is_met(scope, &self.set.cel)?,
            None => !is_met,
        };
        let (arrival, reading) = (self.arrival, self.arrival.reading);
        // A measurement from the future does not make it the present.
        let present = reading.received_at.millis();
        let look = Look {
            ts: reading.ts.millis().min(present),
            present,
            is_met,
            is_over,
        };
        let name = self.name(&subject);
        self.make_room(rule, &subject)?;
        let kept = self.states.get_or_default(&subject);
        let before = kept.state.life.clone();
        let step = kept.state.life.look(&rule.terms, look);
        if step == Step::Late {
            self.alerts.effects.late.push(Arc::clone(&rule.name));
        }
        let facts = Facts {
            sensor: reading.sensor_id.shared(),
            reading: arrival.id.0,
            value: reading.value,
            ts: reading.ts.millis(),
            attributes: Some(&reading.attributes),
            closed: None,
        };
        self.alerts.tell(rule, &name, &mut kept.state, step, &facts);
        if kept.state.life != before {
            self.touched.state(rule, &subject, kept);
        }
        if kept.state.life.is_blank() && kept.state.windows.is_none() {
            self.forget(subject, rule);
        }
        Ok(step)
    }

    fn act(
        &mut self,
        place: u32,
        rule: &Rule,
        scope: &Scope<'_>,
        outcome: &mut Outcome,
    ) -> Result<ControlFlow<()>, Failure> {
        if let Some(span) = rule.thins
            && let Some(subject) = self.subject(place, rule, scope)?
            && self.sample(rule, &subject, span)? == Taken::InTime
        {
            outcome.fate = Fate::Thinned;
            return Ok(ControlFlow::Continue(()));
        }
        for action in &rule.actions {
            match action {
                Action::Alert => self.tags.add(&rule.name),
                Action::Tag(name) => self.tags.add(name),
                Action::Forward(uplinks) => outcome.forward = outcome.forward.and(*uplinks),
                Action::Publish(topic) => {
                    let sensor = self.arrival.reading.sensor_id.as_str();
                    outcome.publishes.push(rule.topic(topic, sensor)?);
                }
                Action::Drop => {
                    outcome.fate = Fate::Dropped;
                    return Ok(ControlFlow::Break(()));
                }
                Action::Downsample(_) => {}
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn sample(&mut self, rule: &Rule, subject: &Subject, span: Span) -> Result<Taken, Failure> {
        let now = self.arrival.now;
        let (last, name) = (self.evidence(), self.name(subject));
        let (set, device_status) = (self.set, self.device_status);
        let judge = |state: &mut State, until, alerts: &mut Alerts<'_>| {
            judge_windows(set, rule, &name, state, until, device_status, alerts);
        };
        self.make_room(rule, subject)?;
        let kept = self.states.get_or_default(subject);
        self.touched.state(rule, subject, kept);
        let reading = self.arrival.reading;
        let (ts, received_at) = (reading.ts.millis(), reading.received_at.millis());
        let windows = kept.state.windows.get_or_insert_default();
        if windows.is_clock_put_back(span, received_at) {
            judge(&mut kept.state, Until(None), &mut self.alerts);
            kept.state.windows = None;
        }
        let windows = kept.state.windows.get_or_insert_default();
        let taken = windows.take(
            span,
            Sample {
                value: reading.value,
                ts,
                received_at,
                now,
            },
        );
        if taken == Taken::Late {
            self.alerts.effects.late.push(Arc::clone(&rule.name));
        }
        if matches!(rule.looks_at, LooksAt::Windows(_)) {
            kept.state.last = Some(last);
            self.evidenced.push(subject.clone());
        }
        judge(&mut kept.state, Until(Some(now)), &mut self.alerts);
        if let Some(due) = rule.due(&kept.state) {
            self.timers.set(subject, kept, due);
        }
        Ok(taken)
    }

    /// A sign of life.
    fn hear(&mut self, rule: &Rule, subject: &Subject, time: i64) -> Result<(), Failure> {
        let (now, last) = (self.arrival.now, self.evidence());
        let name = self.name(subject);
        let attributes = &self.arrival.reading.attributes;
        self.make_room(rule, subject)?;
        let kept = self.states.get_or_default(subject);
        self.touched.state(rule, subject, kept);
        let look = Look {
            ts: last.ts,
            present: i64::MAX,
            is_met: false,
            is_over: true,
        };
        let step = kept.state.life.look(&rule.terms, look);
        let facts = Facts {
            attributes: Some(attributes),
            ..Facts::of(&last)
        };
        self.alerts.tell(rule, &name, &mut kept.state, step, &facts);
        kept.state.last = Some(last);
        self.evidenced.push(subject.clone());
        kept.state.heard = Some(now).into();
        self.timers.set(subject, kept, now + time);
        Ok(())
    }

    fn evidence(&self) -> Box<Evidence> {
        let reading = self.arrival.reading;
        Box::new(Evidence {
            sensor: Arc::clone(reading.sensor_id.shared()),
            reading: self.arrival.id.0,
            value: reading.value,
            ts: reading.ts.millis(),
        })
    }

    fn forget(&mut self, subject: Subject, rule: &Rule) {
        if let Some(kept) = self.states.remove(&subject) {
            if rule.group_by.is_some()
                && let Some(groups) = self.groups.get_mut(&subject.rule)
            {
                groups.count -= 1;
            }
            self.touched.removed(rule, subject, &kept);
        }
    }

    /// A subject that is new may be remembered, if it is not a group too many.
    fn make_room(&mut self, rule: &Rule, subject: &Subject) -> Result<(), Failure> {
        if rule.group_by.is_none() || self.states.contains(subject) {
            return Ok(());
        }
        let now = self.arrival.now;
        let groups = self.groups.entry(subject.rule).or_default();
        if MAX_GROUPS <= groups.count && LOOK_AGAIN <= now - groups.looked_at {
            groups.looked_at = now;
            for (idle, kept) in self.states.take_idle(subject.rule) {
                groups.count -= 1;
                self.touched.removed(rule, idle, &kept);
            }
        }
        if MAX_GROUPS <= groups.count {
            return Err(format!(
                "has {MAX_GROUPS} groups already: another one is not looked at"
            ));
        }
        groups.count += 1;
        Ok(())
    }
}
