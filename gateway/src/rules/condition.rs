//! One expression of a rule, in CEL: compiled, tried out, and bounded in what it may cost.

use std::ops::Range;
use std::sync::Arc;

use cel::{Context, Env, ExecutionError, Program, Value};

use super::flaw::Flaw;
use super::names::{self, Extent};
use super::patterns;
use super::quick::Quick;
use super::scope::{Matter, OF_MEMORY, OF_READING, OF_WINDOW, Previous, Scope, Tags};
use super::window::{Aggregate, Closed};
use crate::domain::reading::{Attributes, Reading};
use crate::domain::rule::Expression;
use crate::domain::sensor::SensorId;
use crate::domain::timestamp::Timestamp;

/// Parsing and evaluating recurse with the expression. With cel 0.15 the longest one that is allowed takes between
/// 16 and 32 MiB without optimisation (a quarter of that with it); the 2 MiB that threads have by default overflow.
/// Only what is touched costs memory.
pub const STACK_BYTES: usize = 64 << 20;

/// What an expression may cost on one reading, in steps that take some nanoseconds each.
const MAX_STEPS: usize = 10_000_000;

/// The longest name of a group; it stands in the memory and in the ids of sensors.
const MAX_GROUP_BYTES: usize = 256;

/// So many faults of one expression are told.
const MOST_FLAWS: usize = 10;

/// What an expression is over, and what it is to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A bool over a reading.
    OfReading,
    /// A bool over a window.
    OfWindow,
    /// What readings have in common: a text, number or bool over a reading.
    Group,
}

/// CEL with its standard functions and macros.
pub(super) struct Interpreter {
    environment: Arc<Env>,
    pub(super) root: Context<'static, 'static>,
}

impl Interpreter {
    pub(super) fn new() -> Self {
        let mut environment = Env::stdlib();
        patterns::add_to(&mut environment);
        let environment = Arc::new(environment);
        let root = Context::with_env(Arc::clone(&environment));
        Self { environment, root }
    }
}

/// A compiled expression.
pub(super) struct Condition {
    program: Program,
    quick: Option<Quick>,
    extent: Extent,
    wants_previous: bool,
    wants_rate: bool,
    wants_device: bool,
}

impl Condition {
    /// Compiles and tries the expression. To be called on a thread with [`STACK_BYTES`].
    pub(super) fn compile(
        expression: &Expression,
        kind: Kind,
        cel: &Interpreter,
    ) -> Result<Self, Vec<Flaw>> {
        let text = &*expression.text;
        if Expression::MAX_BYTES < text.len() {
            let (found, max) = (text.len(), Expression::MAX_BYTES);
            let message = format!("the condition has {found} bytes, at most {max} are allowed");
            return Err(vec![Flaw::of_all(message)]);
        }
        let program = cel.environment.compile(text);
        let program = program.map_err(|errors| vec![Flaw::of_syntax(text, &errors)])?;
        let known = match kind {
            Kind::OfReading | Kind::Group => OF_READING,
            Kind::OfWindow => OF_WINDOW,
        };
        let mut flaws = names::unknown(&program, text, known, &cel.root);
        flaws.extend(names::bad_patterns(&program, &cel.root));
        if !flaws.is_empty() {
            flaws.truncate(MOST_FLAWS);
            return Err(flaws);
        }
        let references = program.references();
        let condition = Self {
            wants_rate: references.has_variable("rate"),
            wants_previous: OF_MEMORY.iter().any(|name| references.has_variable(name)),
            wants_device: references.has_variable("device_status"),
            quick: (kind != Kind::Group)
                .then(|| Quick::of(program.expression()))
                .flatten(),
            extent: Extent::of(program.expression()),
            program,
        };
        match condition.try_out(kind, cel) {
            Ok(()) => Ok(condition),
            Err(message) => Err(vec![Flaw::of_all(message)]),
        }
    }

    /// Whether it has to do with what a sensor said before.
    pub(super) fn wants_previous(&self) -> bool {
        self.wants_previous
    }

    /// Where it asks for what other rules made of a reading.
    pub(super) fn place_of_tags(&self) -> Option<Range<usize>> {
        names::first_place_of(&self.program, "tags")
    }

    /// Whether it has to do with the status of a device.
    pub(super) fn wants_device(&self) -> bool {
        self.wants_device
    }

    /// Whether it is met; an error if it cannot be told, such as for a missing attribute.
    pub(super) fn is_met(&self, scope: &Scope<'_>, cel: &Interpreter) -> Result<bool, String> {
        if !self.can_tell(scope) {
            return Ok(false);
        }
        if let Some(quick) = &self.quick {
            return Ok(quick.is_met(&|number| scope.number(number)));
        }
        match self.execute(scope, cel)? {
            Value::Bool(met) => Ok(met),
            other => Err(format!("gives {} and not a bool", other.type_of())),
        }
    }

    /// What it gives, as a text; `None` if it wants a reading before this one.
    pub(super) fn group_of(
        &self,
        scope: &Scope<'_>,
        cel: &Interpreter,
    ) -> Result<Option<Box<str>>, String> {
        if !self.can_tell(scope) {
            return Ok(None);
        }
        let text = match self.execute(scope, cel)? {
            Value::String(text) => text.as_str().into(),
            Value::Int(number) => number.to_string(),
            Value::UInt(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            other => {
                return Err(format!(
                    "gives {} and no text, number or bool",
                    other.type_of()
                ));
            }
        };
        if MAX_GROUP_BYTES < text.len() {
            let found = text.len();
            return Err(format!(
                "gives a group of {found} bytes, at most {MAX_GROUP_BYTES} are allowed"
            ));
        }
        Ok(Some(text.into_boxed_str()))
    }

    /// Whether there is the earlier measurement that it asks for. One that comes late has none, and one that was taken at
    /// the same time no rate.
    fn can_tell(&self, scope: &Scope<'_>) -> bool {
        if !self.wants_previous {
            return true;
        }
        let since = scope.since_previous();
        since.is_some_and(|since| {
            if self.wants_rate {
                0 < since
            } else {
                0 <= since
            }
        })
    }

    fn execute(&self, scope: &Scope<'_>, cel: &Interpreter) -> Result<Value, String> {
        let (elements, bytes) = if self.extent.depth == 0 {
            (0, 0)
        } else {
            scope.extent()
        };
        let steps = self.extent.steps(elements, bytes);
        if MAX_STEPS < steps {
            return Err(format!(
                "would take {steps} steps for {elements} elements, at most {MAX_STEPS} are allowed"
            ));
        }
        let context = scope.context(&cel.root);
        self.program
            .execute(&context)
            .map_err(|error| error.to_string())
    }

    /// Refuses what fails for some readings whatever they say beside their value: no bool, or operands that do not go
    /// together. What depends on the reading (a missing attribute, a division by zero) may pass.
    fn try_out(&self, kind: Kind, cel: &Interpreter) -> Result<(), String> {
        let depends = self.program.references().has_variable("attributes");
        let no_tags = Tags::default();
        for value in SAMPLE_VALUES {
            let reading = sample_reading(value);
            let closed = sample_window(value);
            let matter = match kind {
                Kind::OfReading | Kind::Group => Matter::Reading {
                    reading: &reading,
                    previous: Some(Previous { value: 0.5, ts: -1 }),
                    tags: &no_tags,
                },
                Kind::OfWindow => Matter::Window {
                    closed: &closed,
                    sensor_id: "sample",
                    group: "sample",
                },
            };
            let scope = Scope::new(matter, "");
            let context = scope.context(&cel.root);
            match (self.program.execute(&context), kind) {
                (Ok(Value::Bool(_)), _)
                | (
                    Ok(Value::String(_) | Value::Int(_) | Value::UInt(_) | Value::Float(_)),
                    Kind::Group,
                ) => {}
                (Ok(other), Kind::Group) => {
                    let found = other.type_of();
                    return Err(format!("gives {found} and no text, number or bool"));
                }
                (Ok(other), _) => {
                    return Err(format!("gives {} and not a bool", other.type_of()));
                }
                (Err(error), _) if !depends && is_lasting(&error) => {
                    return Err(format!("always fails: {error}"));
                }
                (Err(_), _) => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
impl Condition {
    /// What it says without the interpreter, and with it.
    pub(super) fn both(
        &self,
        scope: &Scope<'_>,
        cel: &Interpreter,
    ) -> (Option<bool>, Option<bool>) {
        let quick = self.quick.as_ref();
        let quick = quick.map(|quick| quick.is_met(&|number| scope.number(number)));
        let slow = match self.execute(scope, cel) {
            Ok(Value::Bool(met)) => Some(met),
            _ => None,
        };
        (quick, slow)
    }
}

/// Whether it would be so with every reading.
fn is_lasting(error: &ExecutionError) -> bool {
    matches!(
        error,
        ExecutionError::NoSuchOverload(_)
            | ExecutionError::UnexpectedType { .. }
            | ExecutionError::InvalidArgumentCount { .. }
            | ExecutionError::NotSupportedAsMethod { .. }
            | ExecutionError::ValuesNotComparable(..)
            | ExecutionError::UnsupportedBinaryOperator(..)
    )
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

fn sample_window(value: f64) -> Closed {
    Closed {
        start: 0,
        end: 1000,
        seen: Aggregate::of(0, value),
    }
}
