//! One condition: a CEL expression over a reading that gives a bool.

use std::sync::OnceLock;

use cel::{
    Context, ExecutionError, Program, Value,
    common::{
        types::{CelDouble, CelInt, CelString},
        value::{CowVal, Val},
    },
    context::VariableResolver,
};

use super::names;
use crate::domain::{
    reading::{Attributes, Reading},
    rule::{Place, RuleDefinition},
    sensor::SensorId,
    timestamp::Timestamp,
};

/// Parsing and evaluating recurse with the expression. With cel 0.15 the longest one that is allowed takes between
/// 16 and 32 MiB without optimisation (a quarter of that with it); the 2 MiB that threads have by default overflow.
/// Only what is touched costs memory.
pub const STACK_BYTES: usize = 64 << 20;

/// Names that a condition may use.
const VARIABLES: &[&str] = &[
    "value",
    "sensor_id",
    "topic",
    "ts",
    "received_at",
    "attributes",
];

/// Why a rule cannot be used.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
#[error("{place}: rule `{rule}`: {reason}")]
pub struct RuleFault {
    pub rule: String,
    pub place: Place,
    pub reason: String,
}

/// A compiled condition.
pub(super) struct Condition {
    program: Program,
}

impl Condition {
    /// Compiles and tries the condition. To be called on a thread with [`STACK_BYTES`].
    pub(super) fn compile(
        definition: &RuleDefinition,
        root: &Context<'_, '_>,
    ) -> Result<Self, String> {
        let when = &*definition.when;
        if RuleDefinition::MAX_WHEN_BYTES < when.len() {
            let (found, max) = (when.len(), RuleDefinition::MAX_WHEN_BYTES);
            return Err(format!(
                "the condition has {found} bytes, at most {max} are allowed"
            ));
        }
        let program = Program::compile(when).map_err(|errors| {
            let described = errors.errors.iter().map(|error| {
                let (line, column) = error.pos;
                format!("{} at line {line}, column {column} of `{when}`", error.msg)
            });
            described.collect::<Vec<_>>().join("; ")
        })?;
        if let Some(unknown) = names::unknown_variable(&program, VARIABLES) {
            let (known, place) = (VARIABLES.join(", "), position(when, &unknown));
            return Err(format!(
                "unknown name `{unknown}`{place}; known are {known}"
            ));
        }
        if let Some(unknown) = names::unknown_function(&program, root) {
            let place = position(when, &unknown);
            return Err(format!("unknown function `{unknown}`{place}"));
        }
        let condition = Self { program };
        condition.try_out(when, root)?;
        Ok(condition)
    }

    /// Whether the reading meets the condition; an error if it cannot be told, such as for a missing attribute.
    pub(super) fn is_met(&self, scope: &Context<'_, '_>) -> Result<bool, String> {
        match self.program.execute(scope) {
            Ok(Value::Bool(met)) => Ok(met),
            Ok(other) => Err(format!("gives {} and not a bool", other.type_of())),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Refuses what fails for some readings whatever they say beside their value: no bool, or operands that do not go
    /// together. What depends on the reading (a missing attribute, a division by zero) may pass.
    fn try_out(&self, when: &str, root: &Context<'_, '_>) -> Result<(), String> {
        let depends = self.program.references().has_variable("attributes");
        for value in SAMPLE_VALUES {
            let sample = sample_reading(value);
            let variables = Variables::new(&sample);
            match self.program.execute(&variables.scope(root)) {
                Ok(Value::Bool(_)) => {}
                Ok(other) => {
                    return Err(format!("`{when}` gives {} and not a bool", other.type_of()));
                }
                Err(
                    error @ (ExecutionError::NoSuchOverload(_)
                    | ExecutionError::UnexpectedType { .. }
                    | ExecutionError::InvalidArgumentCount { .. }
                    | ExecutionError::NotSupportedAsMethod { .. }
                    | ExecutionError::ValuesNotComparable(..)
                    | ExecutionError::UnsupportedBinaryOperator(..)),
                ) if !depends => return Err(format!("`{when}`: {error}")),
                Err(_) => {}
            }
        }
        Ok(())
    }
}

/// ` at column N` of the first place where `name` stands.
fn position(when: &str, name: &str) -> String {
    when.find(name).map_or_else(String::new, |byte| {
        let column = when[..byte].chars().count() + 1;
        format!(" at column {column} of `{when}`")
    })
}

/// Values on both sides of what conditions usually ask for.
const SAMPLE_VALUES: [f64; 8] = [-1e9, -1.0, 0.0, 1.0, 51.0, 76.0, 101.0, 1e9];

fn sample_reading(value: f64) -> Reading {
    Reading {
        sensor_id: SensorId::from_stored("sample".into()),
        value,
        ts: Timestamp::MIN,
        received_at: Timestamp::MIN,
        attributes: Attributes::default(),
        topic: None,
    }
}

/// What a condition sees of one reading. Attributes are parsed only if a rule looks at them.
pub(super) struct Variables<'r> {
    reading: &'r Reading,
    attributes: OnceLock<Box<dyn Val>>,
}

impl<'r> Variables<'r> {
    pub(super) fn new(reading: &'r Reading) -> Self {
        Self {
            reading,
            attributes: OnceLock::new(),
        }
    }

    /// A scope in which the names stand for this reading.
    pub(super) fn scope<'v>(&'v self, root: &'v Context<'v, 'v>) -> Context<'v, 'v> {
        let mut scope = root.new_inner_scope();
        scope.set_variable_resolver(self);
        scope
    }

    fn attributes(&self) -> &dyn Val {
        let parse = || {
            let json: serde_json::Value =
                serde_json::from_str(self.reading.attributes.as_json()).unwrap_or_default();
            let value = cel::to_value(json).unwrap_or(Value::Null);
            Box::<dyn Val>::try_from(value)
                .unwrap_or_else(|_| Box::new(cel::common::types::CelNull))
        };
        &**self.attributes.get_or_init(parse)
    }
}

impl VariableResolver for Variables<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        let reading = self.reading;
        Some(match name {
            "value" => CowVal::owned(CelDouble::from(reading.value)),
            "sensor_id" => CowVal::owned(CelString::from(reading.sensor_id.as_str())),
            "topic" => {
                let topic = reading.topic.as_ref().map_or("", |topic| topic.as_str());
                CowVal::owned(CelString::from(topic))
            }
            "ts" => CowVal::owned(CelInt::from(reading.ts.millis())),
            "received_at" => CowVal::owned(CelInt::from(reading.received_at.millis())),
            "attributes" => CowVal::Borrowed(self.attributes()),
            _ => return None,
        })
    }
}
