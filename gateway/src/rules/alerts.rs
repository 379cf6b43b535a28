//! Events in the lives of alerts: what a step of a rule says to people.

use std::sync::Arc;

use super::life::{Episode, Look, Step};
use super::memory::{Evidence, State};
use super::outcome::{AggregateReading, AlertEvent, Effects};
use super::rule::{LooksAt, Rule, RuleSet};
use super::scope::{Matter, Scope};
use super::window::{Closed, Span};
use crate::domain::alert::AlertState;
use crate::domain::reading::{Attributes, ReadingId};
use crate::domain::rule::Action;
use crate::domain::sensor::SensorId;
use crate::domain::template;
use crate::domain::timestamp::Timestamp;

/// Gives the ids of alert events, each once.
pub type Numbers<'n> = &'n mut dyn FnMut() -> i64;

/// The events that come of a step.
pub(super) struct Alerts<'a> {
    pub(super) numbers: Numbers<'a>,
    pub(super) effects: &'a mut Effects,
}

/// What an event is about.
#[derive(Clone, Debug)]
pub(super) struct Facts<'f> {
    pub(super) sensor: &'f Arc<str>,
    pub(super) reading: i64,
    pub(super) value: f64,
    pub(super) ts: i64,
    pub(super) attributes: Option<&'f Attributes>,
    pub(super) closed: Option<&'f Closed>,
}

impl<'f> Facts<'f> {
    pub(super) fn of(last: &'f Evidence) -> Self {
        Self {
            sensor: &last.sensor,
            reading: last.reading,
            value: last.value,
            ts: last.ts,
            attributes: None,
            closed: None,
        }
    }
}

impl Alerts<'_> {
    /// Tells what a step means, if the rule alerts.
    pub(super) fn tell(
        &mut self,
        rule: &Rule,
        name: &Arc<str>,
        state: &mut State,
        step: Step,
        facts: &Facts<'_>,
    ) {
        if !rule.has_alert() {
            return;
        }
        let (state, episode) = match step {
            Step::Raised => {
                let id = (self.numbers)();
                state.life.open(id);
                return self.push(rule, name, AlertState::Raised, id, id, facts);
            }
            Step::Active { is_event: true } => match state.life.episode() {
                Some(Episode {
                    id,
                    is_acknowledged: true,
                }) => (AlertState::Acknowledged, id),
                Some(Episode { id, .. }) => (AlertState::Raised, id),
                None => return,
            },
            Step::Cleared(Some(Episode { id, .. })) => (AlertState::Cleared, id),
            _ => return,
        };
        let id = (self.numbers)();
        self.push(rule, name, state, id, episode, facts);
    }

    fn push(
        &mut self,
        rule: &Rule,
        name: &Arc<str>,
        state: AlertState,
        id: i64,
        episode: i64,
        facts: &Facts<'_>,
    ) {
        let group = rule.group_by.is_some().then(|| Arc::clone(name));
        let message = rule.message.as_ref().map(|template| {
            template::fill(template, |key| match key {
                "rule" => Some(rule.name.to_string()),
                "sensor_id" => Some(facts.sensor.to_string()),
                "group" => group.as_ref().map(ToString::to_string),
                "value" => Some(facts.value.to_string()),
                "state" => Some(state.as_str().to_owned()),
                key => aggregate_named(facts.closed?, key).map(|value| value.to_string()),
            })
        });
        self.effects.events.push(AlertEvent {
            id,
            episode,
            rule: Arc::clone(&rule.name),
            state,
            severity: rule.severity,
            message: message.map(String::into_boxed_str),
            group,
            sensor_id: SensorId::from_stored(Arc::clone(facts.sensor)),
            value: facts.value,
            ts: Timestamp::from_millis(facts.ts),
            reading_id: ReadingId(facts.reading),
            attributes: facts.attributes.cloned(),
        });
    }

    /// A rule could not be asked.
    pub(super) fn fail(&mut self, rule: &Rule, reason: String) {
        self.effects.failures.push((Arc::clone(&rule.name), reason));
    }
}

/// Names that a message may have beside those of every alert.
fn aggregate_named(closed: &Closed, name: &str) -> Option<f64> {
    let seen = &closed.seen;
    Some(match name {
        "avg" => seen.avg(),
        "min" => seen.min,
        "max" => seen.max,
        "sum" => seen.sum,
        "count" => seen.count as f64,
        _ => return None,
    })
}

/// Asks a rule about each of its windows that is over; `name` is that of the sensor or group.
pub(super) fn judge_windows(
    set: &RuleSet,
    rule: &Rule,
    name: &Arc<str>,
    state: &mut State,
    until: Until,
    device_status: &str,
    alerts: &mut Alerts<'_>,
) {
    let Some(span) = rule.span() else { return };
    loop {
        let Some(windows) = &mut state.windows else {
            return;
        };
        let closed = match until {
            Until(Some(now)) => windows.close(span, now),
            Until(None) => windows.close_next(span),
        };
        let Some(closed) = closed else { return };
        if !closed.seen.is_finite() {
            let reason = "has a window whose values are beyond all bounds: it is left out";
            alerts.fail(rule, reason.to_owned());
            continue;
        }
        let outcome = match rule.looks_at {
            LooksAt::Windows(_) => judge(set, rule, name, state, &closed, device_status, alerts),
            _ => tell_aggregate(rule, name, &closed, alerts),
        };
        if let Err(reason) = outcome {
            alerts.fail(rule, reason);
        }
    }
}

/// Up to which time of the engine's clock windows are over; `None`: all are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until(pub(super) Option<i64>);

fn judge(
    set: &RuleSet,
    rule: &Rule,
    name: &Arc<str>,
    state: &mut State,
    closed: &Closed,
    device_status: &str,
    alerts: &mut Alerts<'_>,
) -> Result<(), String> {
    let Some(last) = state.last.clone() else {
        return Ok(());
    };
    let group = if rule.group_by.is_some() { &**name } else { "" };
    let matter = Matter::Window {
        closed,
        sensor_id: &last.sensor,
        group,
    };
    let scope = Scope::new(matter, device_status);
    let ask = |condition: &Option<super::condition::Condition>, default| {
        condition
            .as_ref()
            .map_or(Ok(default), |condition| condition.is_met(&scope, &set.cel))
    };
    let is_met = ask(&rule.when, true)?;
    let is_over = ask(&rule.clear, !is_met)?;
    let step = state.life.look(
        &rule.terms,
        Look {
            ts: closed.end,
            present: i64::MAX,
            is_met,
            is_over,
        },
    );
    let facts = Facts {
        value: closed.seen.avg(),
        ts: closed.end,
        closed: Some(closed),
        ..Facts::of(&last)
    };
    alerts.tell(rule, name, state, step, &facts);
    if matches!(step, Step::Raised | Step::Active { .. }) {
        tell_aggregate(rule, name, closed, alerts)?;
    }
    Ok(())
}

/// A window as a reading, for what the rule does with it.
fn tell_aggregate(
    rule: &Rule,
    name: &Arc<str>,
    closed: &Closed,
    alerts: &mut Alerts<'_>,
) -> Result<(), String> {
    let group = rule.group_by.is_some().then_some(&**name);
    let sensor = match group {
        None => SensorId::from_stored(Arc::clone(name)),
        Some(group) => {
            let id = format!("{}/{group}", rule.name);
            SensorId::new(&id).map_err(|error| format!("{id:?} is no sensor id: {error}"))?
        }
    };
    let mut aggregate = AggregateReading::new(sensor, Arc::clone(&rule.name), group, closed);
    let mut is_wanted = false;
    for action in &rule.actions {
        match action {
            Action::Forward(uplinks) => aggregate.forward = aggregate.forward.and(*uplinks),
            Action::Publish(topic) => {
                let topic = rule.topic(topic, aggregate.sensor_id.as_str())?;
                aggregate.publishes.push(topic);
            }
            Action::Downsample(_) => {}
            Action::Alert | Action::Tag(_) | Action::Drop => continue,
        }
        is_wanted = true;
    }
    if is_wanted {
        alerts.effects.aggregates.push(aggregate);
    }
    Ok(())
}

impl Rule {
    /// The windows that it fills: those it is asked about, or those that take the place of readings.
    pub(super) fn span(&self) -> Option<Span> {
        match self.looks_at {
            LooksAt::Windows(span) => Some(span),
            _ => self.thins,
        }
    }

    /// When something is to be done with the state, by the engine's clock, if no reading comes.
    pub(super) fn due(&self, state: &State) -> Option<i64> {
        match self.looks_at {
            LooksAt::Silence(time) | LooksAt::Offline(time) => {
                let is_told = state.life.is_active();
                state
                    .heard
                    .get()
                    .filter(|_| !is_told)
                    .map(|heard| heard + time)
            }
            LooksAt::Windows(_) | LooksAt::EachReading => state.windows.as_ref()?.due(self.span()?),
        }
    }
}
