//! A rule as its author wrote it. Compiling and evaluating it is `rules`' work.

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use serde_json::value::RawValue;

use crate::domain::{place::Place, topic::TopicFilter, uplink::UplinkSet};

/// What a rule looks at, when it is active, and what follows from it.
#[derive(Clone, Debug)]
pub struct RuleDefinition {
    pub name: Arc<str>,
    /// The topics whose readings it sees; empty for all. A reading that came by HTTP counts as published to
    /// `sensors/<sensor_id>`.
    pub topics: Vec<TopicFilter>,
    /// Gives a bool; may be missing where `absent` stands.
    pub when: Option<Expression>,
    /// Gives a bool: when an active rule is over. Without it, as soon as `when` is not met.
    pub clear: Option<Expression>,
    /// It is active when `when` has been met for so long (`for`).
    pub hold: Duration,
    /// It is over when that has been so for so long (`clear_for`).
    pub clear_hold: Duration,
    /// After it was over it stays so for so long.
    pub cooldown: Duration,
    pub repeat: Repeat,
    /// `when` is asked at the end of each window.
    pub window: Option<WindowDefinition>,
    /// How long after its end a window waits for readings that come late.
    pub lateness: Duration,
    /// Active when a sensor, or a device, has been silent for so long (`absent_for`).
    pub absent: Option<Absence>,
    /// Gives what readings have in common that are looked at together; without it their sensor.
    pub group_by: Option<Expression>,
    pub severity: Option<Severity>,
    /// The text of its alerts, with `%{name}` for what it is about.
    pub message: Option<Box<str>>,
    pub actions: Vec<Action>,
    /// As its author wrote it: a JSON object with the keys of the configuration.
    pub written: Box<RawValue>,
    /// Where it begins, for error messages.
    pub place: Place,
}

/// Two that say the same are the same, wherever they were written.
impl PartialEq for RuleDefinition {
    fn eq(&self, other: &Self) -> bool {
        self.written.get() == other.written.get()
    }
}

impl Eq for RuleDefinition {}

impl RuleDefinition {
    /// A rule that acts on each reading that meets `when`.
    pub fn plain(name: &str, when: Expression, actions: Vec<Action>) -> Self {
        Self {
            name: name.into(),
            topics: Vec::new(),
            place: when.place.clone(),
            when: Some(when),
            clear: None,
            hold: Duration::ZERO,
            clear_hold: Duration::ZERO,
            cooldown: Duration::ZERO,
            repeat: Repeat::Every,
            window: None,
            lateness: Duration::ZERO,
            absent: None,
            group_by: None,
            severity: None,
            message: None,
            actions,
            written: RawValue::NULL.to_owned(),
        }
    }
}

/// A CEL expression and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    /// At most [`Expression::MAX_BYTES`].
    pub text: Box<str>,
    pub place: Place,
}

impl Expression {
    /// The longest expression, in bytes: a bound on what the parser's recursion can cost.
    pub const MAX_BYTES: usize = 1024;
}

/// Which readings of an active rule are events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Each that meets its condition.
    Every,
    /// Only that it became active, and that it is over.
    OnChange,
    /// One of each so many milliseconds, until it is acknowledged.
    After(i64),
}

/// Windows of event time: from `over` before its end up to, not including, its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowDefinition {
    pub over: Duration,
    /// From one end to the next; as long as `over` unless windows overlap.
    pub every: Duration,
}

/// Who is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// A sensor that was there and has had no reading for so long.
    Sensor(Duration),
    /// A device whose status has been `offline` for so long.
    Device(Duration),
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

impl Severity {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The one of this name.
    pub fn from_stored(name: &str) -> Option<Self> {
        let all = [Self::Info, Self::Warning, Self::Critical];
        all.into_iter().find(|severity| severity.as_str() == name)
    }
}

/// What a rule does with a reading while it is active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Tags the reading with the rule's name and raises an alert.
    Alert,
    /// Queues the reading for these uplinks.
    Forward(UplinkSet),
    /// Neither stores nor forwards the reading, and shows it to no later rule.
    Drop,
    /// Tags the reading.
    Tag(Arc<str>),
    /// Publishes the reading to the topic that comes of the template.
    Publish(Box<str>),
    /// Stores min, avg and max of so long instead of each reading.
    Downsample(Duration),
}
