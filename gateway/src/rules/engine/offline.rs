//! Devices that go offline and come back.

use std::sync::Arc;

use super::{Engine, silence};
use crate::domain::status::DeviceStatus;
use crate::domain::timestamp::Timestamp;
use crate::rules::alerts::{Alerts, Numbers};
use crate::rules::devices::Devices;
use crate::rules::memory::{Evidence, Memory};
use crate::rules::outcome::Effects;
use crate::rules::rule::{LooksAt, Rule};
use crate::rules::states::{Subject, Whose};

impl Engine {
    /// Takes what a device says.
    pub fn take_status(
        &mut self,
        status: &DeviceStatus,
        now: i64,
        numbers: Numbers<'_>,
    ) -> Effects {
        let mut effects = Effects::default();
        let name: Arc<str> = status.device_id.as_str().into();
        self.devices.hear(&name, &status.status);
        if &*status.status == Devices::OFFLINE {
            self.begin_offline(&name, now, status.ts);
            return effects;
        }
        for (rule, subject, _) in offline_rules(&Arc::clone(&self.set).rules, &name) {
            let Memory {
                states, touched, ..
            } = &mut self.memory;
            if let Some(mut kept) = states.remove(&subject) {
                let mut alerts = Alerts {
                    numbers,
                    effects: &mut effects,
                };
                let ts = status.ts.millis();
                silence(rule, &name, &mut kept.state, false, ts, &mut alerts);
                touched.removed(rule, subject, &kept);
            }
        }
        effects
    }

    /// Has rules that are new count from now on for devices that are offline already.
    pub fn watch_known_devices(&mut self, now: i64, wall: Timestamp) {
        let offline: Vec<Arc<str>> = self.devices.offline().map(Arc::from).collect();
        for name in offline {
            self.begin_offline(&name, now, wall);
        }
    }

    fn begin_offline(&mut self, name: &Arc<str>, now: i64, ts: Timestamp) {
        let Memory {
            states,
            timers,
            touched,
            ..
        } = &mut self.memory;
        for (rule, subject, time) in offline_rules(&self.set.rules, name) {
            let kept = states.get_or_default(&subject);
            if kept.state.heard.get().is_some() {
                continue;
            }
            kept.state.heard = Some(now).into();
            kept.state.last = Some(Box::new(Evidence {
                sensor: Arc::clone(name),
                reading: 0,
                value: 0.0,
                ts: ts.millis(),
            }));
            touched.state(rule, &subject, kept);
            timers.set(&subject, kept, now + time);
        }
    }
}

/// The rules that look at devices, each with a device as its subject, and after how long.
fn offline_rules<'r>(
    rules: &'r [Rule],
    device: &'r Arc<str>,
) -> impl Iterator<Item = (&'r Rule, Subject, i64)> {
    (0..).zip(rules).filter_map(|(place, rule)| {
        let LooksAt::Offline(time) = rule.looks_at else {
            return None;
        };
        let subject = Subject {
            rule: place,
            whose: Whose::Named(Arc::clone(device)),
        };
        Some((rule, subject, time))
    })
}
