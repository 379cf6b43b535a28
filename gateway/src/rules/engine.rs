//! All rules over one reading.

use std::{fmt, sync::Arc, thread};

use cel::Context;

use super::{
    RuleFault, STACK_BYTES,
    condition::{Condition, Variables},
};
use crate::domain::{
    reading::Reading,
    rule::{Action, RuleDefinition},
    uplink::UplinkSet,
};

/// The compiled rules. Evaluating needs a thread with [`STACK_BYTES`].
pub struct Engine {
    rules: Vec<Rule>,
    root: Context<'static, 'static>,
}

struct Rule {
    name: Arc<str>,
    condition: Condition,
    actions: Vec<Action>,
}

/// What the rules make of a reading.
#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    /// In the order of the rules, none twice.
    pub tags: Vec<Arc<str>>,
    /// The names of the rules that raise an alert, in their order.
    pub alerts: Vec<Arc<str>>,
    /// The uplinks that are to get it.
    pub forward: UplinkSet,
    pub drop: bool,
    /// Rules that could not be evaluated for this reading, and why. They count as not met.
    pub failures: Vec<(Arc<str>, String)>,
}

impl Engine {
    /// Compiles the rules, or tells every fault of every rule.
    pub fn compile(definitions: &[RuleDefinition]) -> Result<Self, Vec<RuleFault>> {
        let compile = || Self::compile_here(definitions);
        thread::scope(|scope| {
            thread::Builder::new()
                .name("rules".into())
                .stack_size(STACK_BYTES)
                .spawn_scoped(scope, compile)
                .map_err(|error| vec![fault_of_all(&error.to_string())])?
                .join()
                .unwrap_or_else(|_| Err(vec![fault_of_all("the compiler panicked")]))
        })
    }

    fn compile_here(definitions: &[RuleDefinition]) -> Result<Self, Vec<RuleFault>> {
        let root = Context::default();
        let mut rules = Vec::with_capacity(definitions.len());
        let mut faults = Vec::new();
        for definition in definitions {
            match Condition::compile(definition, &root) {
                Ok(condition) => rules.push(Rule {
                    name: Arc::clone(&definition.name),
                    condition,
                    actions: definition.actions.clone(),
                }),
                Err(reason) => faults.push(RuleFault {
                    rule: definition.name.to_string(),
                    place: definition.place.clone(),
                    reason,
                }),
            }
        }
        if faults.is_empty() {
            Ok(Self { rules, root })
        } else {
            Err(faults)
        }
    }

    /// Applies every rule, in their order, to the reading.
    pub fn evaluate(&self, reading: &Reading) -> Outcome {
        let mut outcome = Outcome::default();
        let variables = Variables::new(reading);
        let scope = variables.scope(&self.root);
        for rule in &self.rules {
            match rule.condition.is_met(&scope) {
                Ok(true) => rule.act(&mut outcome),
                Ok(false) => {}
                Err(reason) => outcome.failures.push((Arc::clone(&rule.name), reason)),
            }
        }
        outcome
    }
}

impl Rule {
    fn act(&self, outcome: &mut Outcome) {
        for action in &self.actions {
            match action {
                Action::Alert => {
                    outcome.alerts.push(Arc::clone(&self.name));
                    outcome.tag(&self.name);
                }
                Action::Tag(name) => outcome.tag(name),
                Action::Forward(uplinks) => outcome.forward = outcome.forward.and(*uplinks),
                Action::Drop => outcome.drop = true,
            }
        }
    }
}

impl Outcome {
    fn tag(&mut self, name: &Arc<str>) {
        if !self.tags.contains(name) {
            self.tags.push(Arc::clone(name));
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.rules.iter().map(|rule| &rule.name);
        f.debug_list().entries(names).finish()
    }
}

fn fault_of_all(reason: &str) -> RuleFault {
    RuleFault {
        rule: "*".to_owned(),
        place: crate::domain::rule::Place::Defaults,
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests;
