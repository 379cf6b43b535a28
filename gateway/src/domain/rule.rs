//! A rule as its author wrote it. Compiling and evaluating it is `rules`' work.

use std::{fmt, sync::Arc};

use crate::domain::uplink::UplinkSet;

/// Name, condition and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleDefinition {
    pub name: Arc<str>,
    /// A CEL expression over the reading that gives a bool; at most [`RuleDefinition::MAX_WHEN_BYTES`].
    pub when: Box<str>,
    pub actions: Vec<Action>,
    /// Where its condition was written, for error messages.
    pub place: Place,
}

impl RuleDefinition {
    /// The longest condition, in bytes: a bound on what the parser's recursion can cost.
    pub const MAX_WHEN_BYTES: usize = 1024;
}

/// What a rule does with a reading that meets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Tags the reading with the rule's name and raises an alert.
    Alert,
    /// Queues the reading for these uplinks.
    Forward(UplinkSet),
    /// Neither stores nor forwards the reading.
    Drop,
    /// Tags the reading.
    Tag(Arc<str>),
}

/// Where something was written: a file and line, a variable, or the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Place {
    #[default]
    Defaults,
    File {
        path: Arc<str>,
        line: usize,
    },
    Environment(Box<str>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Defaults => f.write_str("defaults"),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Environment(name) => write!(f, "environment {name}"),
        }
    }
}
