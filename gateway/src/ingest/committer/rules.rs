//! What the rules make of what arrives, on its way into a group.

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use super::overflow;
use super::{Committer, Pending};
use crate::clock;
use crate::domain::alert::{Alert, AlertState};
use crate::domain::message::{Message, Qos};
use crate::domain::reading::{Attributes, Reading, ReadingId};
use crate::domain::sensor::SensorId;
use crate::domain::status::DeviceStatus;
use crate::domain::timestamp::Timestamp;
use crate::domain::topic::TopicName;
use crate::domain::uplink::UplinkSet;
use crate::ingest::rule_book::NewRules;
use crate::rules::{AggregateReading, AlertEvent, Arrival, Effects, Fate, Restored, StateChange};
use crate::store::{RuleMemory, RuleNames, RuleState};

/// A reading as it is published by a rule: the shape of the API.
#[derive(Serialize)]
struct Published<'p> {
    /// `null` if it is not stored.
    id: Option<ReadingId>,
    sensor_id: &'p SensorId,
    value: f64,
    ts: Timestamp,
    received_at: Timestamp,
    tags: &'p RawValue,
    attributes: &'p Attributes,
}

impl Committer {
    /// Takes up what the rules remembered, and puts what has become of it since into the group.
    pub(super) fn restore_rules(&mut self, memory: RuleMemory, pending: &mut Pending) {
        let devices = memory
            .devices
            .iter()
            .map(|(device, status)| (&**device, &**status));
        self.engine.hear_devices(devices);
        let states = memory.states.into_iter();
        let states = states.map(
            |RuleState {
                 rule,
                 subject,
                 state,
             }| StateChange {
                rule,
                subject,
                state,
            },
        );
        let states = states.collect();
        let restored = self.engine.restore(&memory.names, states, &memory.alerts);
        let (mut known, mut now) = (memory.names, self.engine.names());
        known.sort_unstable();
        now.sort_unstable();
        if known != now {
            self.end(restored, pending);
        } else if 0 < restored.unreadable {
            tracing::warn!(
                states = restored.unreadable,
                "rules begin anew: their states are of another version"
            );
        }
    }

    /// Takes other rules: what came before in this group saw the old ones.
    pub(super) fn replace_rules(&mut self, rules: NewRules, pending: &mut Pending) {
        // What is open now is what it is by the old ones.
        self.remember_behind(pending);
        let restored = self.engine.replace(Arc::new(rules.set));
        self.failed_rules.clear();
        self.begin_counting();
        self.end(restored, pending);
        pending.answer(rules.done, |committed| committed);
    }

    pub(super) fn begin_counting(&self) {
        for (rule, raises_alerts) in self.engine.rules() {
            self.settings.metrics.begin_rule(rule, raises_alerts);
        }
    }

    /// Rules are gone or have changed: their alerts are over.
    fn end(&mut self, restored: Restored, pending: &mut Pending) {
        let names = RuleNames {
            now: self.engine.names(),
            forgotten: restored.forgotten,
        };
        pending.group.name_rules(names);
        for episode in restored.ended {
            self.follow(episode, AlertState::Cleared, pending);
        }
        let now = self.rules_clock.now();
        self.engine.watch_known_devices(now, clock::now());
    }

    /// Somebody has seen an alert: `id` is that of any of its events.
    pub(super) fn acknowledge(&mut self, id: i64, pending: &mut Pending) {
        let gateway_id = &self.settings.gateway_id;
        let of_group = pending.group.alerts().find(|alert| alert.alert_id == id);
        let alert = match of_group {
            Some(alert) => Some(alert.past()),
            None => match self.writer.alert(id, gateway_id) {
                Ok(found) => found.map(|alert| alert.past()),
                Err(error) => return tracing::error!(%error, alert = id, "cannot look up an alert"),
            },
        };
        let Some(alert) = alert else {
            return tracing::info!(alert = id, "there is no such alert to acknowledge");
        };
        if self.engine.acknowledge(&alert) {
            self.follow(alert.episode, AlertState::Acknowledged, pending);
        }
    }

    /// A further event of an alert, about what its first event was about.
    fn follow(&mut self, episode: i64, state: AlertState, pending: &mut Pending) {
        match self.writer.alert(episode, &self.settings.gateway_id) {
            Ok(Some(first)) => {
                let alert_id = self.writer.next_alert_id();
                self.add_alert(
                    Alert {
                        alert_id,
                        episode,
                        state,
                        ts: clock::now(),
                        ..first
                    },
                    pending,
                );
            }
            Ok(None) => tracing::warn!(alert = episode, "the first event of an alert is gone"),
            Err(error) => tracing::error!(%error, alert = episode, "cannot look up an alert"),
        }
    }

    /// Does what is due without a reading.
    pub(super) fn tick(&mut self, pending: &mut Pending) {
        let writer = &mut self.writer;
        let effects = self
            .engine
            .tick(self.rules_clock.now(), &mut || writer.next_alert_id());
        self.apply(effects, None, pending);
    }

    /// Puts a reading, with what follows from it, into the group; `now` is the time of the rules' clock.
    pub(super) fn rule(&mut self, reading: Reading, now: i64, pending: &mut Pending) {
        // Nothing remembers a sensor that cannot be stored.
        if !self.writer.has_room_for(std::slice::from_ref(&reading)) {
            let reject = overflow::too_many_sensors(reading);
            return self.reject("sensors", reject, &mut pending.group);
        }
        let id = self.writer.next_reading_id();
        let arrival = Arrival {
            reading: &reading,
            id,
            now,
        };
        let writer = &mut self.writer;
        let outcome = self
            .engine
            .take_reading(arrival, &mut || writer.next_alert_id());
        let tags = tags_of(&outcome.tags);
        for topic in outcome.publishes {
            let id = (outcome.fate == Fate::Stored).then_some(id);
            self.publish(topic, &reading, id, tags.as_deref(), pending);
        }
        match outcome.fate {
            Fate::Stored => self.store_reading(reading, tags, outcome.forward, pending),
            Fate::Thinned => {
                // It counts among the sensors that are known, as what comes of its window will.
                self.writer
                    .know_sensor(&mut pending.group, &reading.sensor_id);
                self.settings.metrics.readings_thinned.inc();
                self.apply(outcome.effects, Some(&reading.attributes), pending);
                return;
            }
            Fate::Dropped => self.count_lost("rule"),
        }
        self.apply(outcome.effects, None, pending);
    }

    fn store_reading(
        &mut self,
        reading: Reading,
        tags: Option<Box<str>>,
        forward: UplinkSet,
        pending: &mut Pending,
    ) {
        if let Err(reading) = self
            .writer
            .add_reading(&mut pending.group, reading, tags, forward)
        {
            let reject = overflow::too_many_sensors(reading);
            self.reject("sensors", reject, &mut pending.group);
        }
    }

    /// What a device says, for the rules that look at it.
    pub(super) fn rule_status(&mut self, status: &DeviceStatus, pending: &mut Pending) {
        let writer = &mut self.writer;
        let now = self.rules_clock.now();
        let effects = self
            .engine
            .take_status(status, now, &mut || writer.next_alert_id());
        self.apply(effects, None, pending);
    }

    fn apply(&mut self, effects: Effects, attributes: Option<&Attributes>, pending: &mut Pending) {
        for (rule, reason) in effects.failures {
            self.settings
                .metrics
                .rule_failures
                .with_label_values(&[&*rule])
                .inc();
            if self.failed_rules.insert(Arc::clone(&rule)) {
                tracing::warn!(%rule, %reason, "rule cannot be evaluated; said once");
            }
        }
        for rule in effects.late {
            self.settings
                .metrics
                .rule_late
                .with_label_values(&[&*rule])
                .inc();
        }
        for event in effects.events {
            self.raise(event, attributes, pending);
        }
        for aggregate in effects.aggregates {
            self.add_aggregate(aggregate, pending);
        }
    }

    fn raise(&mut self, event: AlertEvent, attributes: Option<&Attributes>, pending: &mut Pending) {
        let attributes = match event.attributes.as_ref().or(attributes) {
            Some(attributes) => attributes.clone(),
            None => match self.writer.attributes_of(&pending.group, event.reading_id) {
                Ok(attributes) => attributes,
                Err(error) => {
                    tracing::error!(%error, reading = %event.reading_id, "cannot read attributes");
                    Attributes::default()
                }
            },
        };
        let alert = Alert {
            gateway_id: Arc::clone(&self.settings.gateway_id),
            alert_id: event.id,
            episode: event.episode,
            rule: event.rule,
            state: event.state,
            sensor_id: event.sensor_id,
            value: event.value,
            ts: event.ts,
            reading_id: event.reading_id,
            attributes,
            severity: event.severity,
            message: event.message,
            group: event.group,
        };
        self.add_alert(alert, pending);
    }

    pub(super) fn add_alert(&mut self, alert: Alert, pending: &mut Pending) {
        let message = alert.message();
        if !self.writer.add_alert(&mut pending.group, alert) {
            return self.count_lost("alert");
        }
        if let Some(message) = message {
            let message = Arc::new(message);
            let routed = self.settings.outlet.route(&message);
            // What its topic retains follows from the alert's own row.
            for queued in routed.queued_changes() {
                pending.group.push_session(queued);
            }
            pending.alerts.push((message, routed));
        }
    }

    fn add_aggregate(&mut self, aggregate: AggregateReading, pending: &mut Pending) {
        let reading = Reading {
            sensor_id: aggregate.sensor_id,
            value: aggregate.value,
            ts: aggregate.ts,
            received_at: clock::now(),
            attributes: aggregate.attributes,
            topic: None,
        };
        let tags = tags_of(std::slice::from_ref(&aggregate.tag));
        let id = self.writer.next_reading_id();
        for topic in aggregate.publishes {
            self.publish(topic, &reading, Some(id), tags.as_deref(), pending);
        }
        self.store_reading(reading, tags, aggregate.forward, pending);
    }

    fn publish(
        &mut self,
        topic: TopicName,
        reading: &Reading,
        id: Option<ReadingId>,
        tags: Option<&str>,
        pending: &mut Pending,
    ) {
        let Ok(tags) = serde_json::from_str(tags.unwrap_or("[]")) else {
            return;
        };
        let published = Published {
            id,
            sensor_id: &reading.sensor_id,
            value: reading.value,
            ts: reading.ts,
            received_at: reading.received_at,
            tags,
            attributes: &reading.attributes,
        };
        let Ok(payload) = serde_json::to_vec(&published) else {
            return;
        };
        let message = Message {
            topic,
            payload: payload.into(),
            qos: Qos::AtLeastOnce,
            retain: false,
            received_at: reading.received_at,
            publisher: "".into(),
            properties: None,
        };
        let routed = self.route(message, &mut pending.group);
        pending.messages.push(routed);
    }

    /// What the rules remember after this group goes with it.
    pub(super) fn remember(&mut self, pending: &mut Pending) {
        let changes = self.engine.changes();
        pending.group.remember(changes.into_iter().map(stored));
        if self.writer.saves_rules_behind(&pending.group) {
            self.remember_behind(pending);
        }
        let now = self.rules_clock.now();
        let is_due = self.engine.next_due().is_some() && self.rules_clock.kept_until() <= now;
        if is_due || !pending.group.is_empty() {
            pending.group.set_rules_clock(now);
            self.rules_clock.keeps(now);
        }
    }

    fn remember_behind(&mut self, pending: &mut Pending) {
        let changes = self.engine.changes_behind();
        let changes = changes.into_iter().map(stored);
        pending.group.remember_behind(changes);
    }
}

fn stored(change: StateChange) -> RuleState {
    let StateChange {
        rule,
        subject,
        state,
    } = change;
    RuleState {
        rule,
        subject,
        state,
    }
}

/// As they are stored. Names of rules and tags need no escaping in JSON: letters, digits, `.`, `_` and `-`.
fn tags_of(names: &[Arc<str>]) -> Option<Box<str>> {
    (!names.is_empty()).then(|| format!("[\"{}\"]", names.join("\",\"")).into_boxed_str())
}
