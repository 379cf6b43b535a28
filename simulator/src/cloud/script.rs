//! What the cloud is to answer: a queue of steps, then a default, changed while it runs.

mod step;

use std::{
    collections::{HashSet, VecDeque},
    num::NonZeroU32,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::Deserialize;
pub use step::{PlanError, Step};
use tokio::sync::watch;

/// All that a script says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plan {
    /// Answers for the requests to come, in this order.
    pub steps: VecDeque<Step>,
    /// The answer when no step is left.
    pub default: Step,
    /// A batch with a reading of one of these sensors is answered 422 instead of 2xx.
    pub poison_sensors: HashSet<String>,
    /// A batch of more readings is answered 413 instead of 2xx.
    pub max_readings: Option<usize>,
}

/// The script of a running cloud.
#[derive(Debug)]
pub struct Script {
    plan: Mutex<Plan>,
    changed: watch::Sender<()>,
}

impl Plan {
    /// Whether every step can be done.
    pub fn check(&self) -> Result<(), PlanError> {
        self.steps
            .iter()
            .chain([&self.default])
            .try_for_each(Step::check)
    }
}

impl Script {
    /// A script that answers 200 to everything.
    pub(super) fn new() -> Self {
        Self {
            plan: Mutex::new(Plan::default()),
            changed: watch::Sender::new(()),
        }
    }

    /// Adds a step after the others.
    ///
    /// # Panics
    /// If the step cannot be done, see [`PlanError`]; likewise [`set_default`](Self::set_default).
    pub fn push(&self, step: Step) {
        step.check().expect("a step that can be done");
        self.change(|plan| plan.steps.push_back(step));
    }

    /// Answers with `step` when no other is left.
    pub fn set_default(&self, step: Step) {
        step.check().expect("a step that can be done");
        self.change(|plan| plan.default = step);
    }

    /// Refuses with 422, from now on, what contains a reading of one of these sensors.
    pub fn set_poison_sensors(&self, sensors: impl IntoIterator<Item = impl Into<String>>) {
        let sensors = sensors.into_iter().map(Into::into).collect();
        self.change(|plan| plan.poison_sensors = sensors);
    }

    /// Refuses with 413, from now on, a batch of more readings than `max_readings`.
    pub fn set_max_readings(&self, max_readings: Option<usize>) {
        self.change(|plan| plan.max_readings = max_readings);
    }

    /// Forgets all that was said and does as `plan` says.
    pub fn replace(&self, plan: Plan) -> Result<(), PlanError> {
        plan.check()?;
        self.change(|current| *current = plan);
        Ok(())
    }

    /// Answers 200 to everything again.
    pub fn clear(&self) {
        self.change(|plan| *plan = Plan::default());
    }

    /// How many requests the queued steps still stand for.
    pub fn remaining(&self) -> u64 {
        let plan = self.plan();
        plan.steps
            .iter()
            .map(|step| u64::from(step.times.get()))
            .sum()
    }

    /// The step for the next request.
    pub(super) fn next(&self) -> Step {
        let mut plan = self.plan();
        let Some(step) = plan.steps.front_mut() else {
            return plan.default.clone();
        };
        let next = step.clone();
        match NonZeroU32::new(step.times.get() - 1) {
            Some(left) => step.times = left,
            None => drop(plan.steps.pop_front()),
        }
        next
    }

    /// Whether a batch of these sensors is to be refused, and with which status.
    pub(super) fn refusal<'a>(
        &self,
        mut sensors: impl ExactSizeIterator<Item = &'a str>,
    ) -> Option<u16> {
        let plan = self.plan();
        if plan.max_readings.is_some_and(|most| most < sensors.len()) {
            return Some(413);
        }
        if plan.poison_sensors.is_empty() {
            return None;
        }
        sensors
            .any(|sensor| plan.poison_sensors.contains(sensor))
            .then_some(422)
    }

    /// Told of each change after this call.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn change(&self, apply: impl FnOnce(&mut Plan)) {
        apply(&mut self.plan());
        self.changed.send_replace(());
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
