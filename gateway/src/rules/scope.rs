//! What the names in an expression stand for.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use cel::common::types::{CelBool, CelDouble, CelInt, CelNull, CelString};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use cel::{Context, Value};
use serde::{Deserialize, Serialize};

use super::window::Closed;
use crate::domain::reading::Reading;

/// Names of any expression over a reading.
pub(super) const OF_READING: &[&str] = &[
    "value",
    "sensor_id",
    "topic",
    "ts",
    "received_at",
    "attributes",
    "tags",
    "device_status",
    "previous",
    "delta",
    "rate",
    "changed",
];

/// Names of an expression over a window.
pub(super) const OF_WINDOW: &[&str] = &[
    "avg",
    "min",
    "max",
    "sum",
    "count",
    "stddev",
    "first",
    "last",
    "start",
    "end",
    "sensor_id",
    "group",
    "device_status",
];

/// Names that are there only if the sensor had an earlier reading.
pub(super) const OF_MEMORY: &[&str] = &["previous", "delta", "rate", "changed"];

/// Names that stand for a number, or for a flag as 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Value,
    Ts,
    ReceivedAt,
    Delta,
    Rate,
    Changed,
    Avg,
    Min,
    Max,
    Sum,
    Count,
    Stddev,
    First,
    Last,
}

impl Number {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "value" => Self::Value,
            "ts" => Self::Ts,
            "received_at" => Self::ReceivedAt,
            "delta" => Self::Delta,
            "rate" => Self::Rate,
            "changed" => Self::Changed,
            "avg" => Self::Avg,
            "min" => Self::Min,
            "max" => Self::Max,
            "sum" => Self::Sum,
            "count" => Self::Count,
            "stddev" => Self::Stddev,
            "first" => Self::First,
            "last" => Self::Last,
            _ => return None,
        })
    }

    pub(super) fn is_flag(self) -> bool {
        self == Self::Changed
    }

    fn is_whole(self) -> bool {
        matches!(self, Self::Ts | Self::ReceivedAt | Self::Count)
    }
}

/// The newest earlier measurement of a sensor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Previous {
    pub(super) value: f64,
    /// Milliseconds since 1970.
    pub(super) ts: i64,
}

/// Names that the rules have given a reading so far.
#[derive(Debug, Default)]
pub(super) struct Tags(Mutex<Vec<Arc<str>>>);

impl Tags {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<str>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives it once.
    pub(super) fn add(&self, name: &Arc<str>) {
        let mut names = self.lock();
        if !names.contains(name) {
            names.push(Arc::clone(name));
        }
    }

    /// All of them, in the order in which they came.
    pub(super) fn into_names(self) -> Vec<Arc<str>> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an expression is asked about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Matter<'m> {
    Reading {
        reading: &'m Reading,
        previous: Option<Previous>,
        /// So far.
        tags: &'m Tags,
    },
    Window {
        closed: &'m Closed,
        sensor_id: &'m str,
        group: &'m str,
    },
}

/// The names and what they stand for. Attributes are parsed only if an expression looks at them.
pub(super) struct Scope<'m> {
    pub(super) matter: Matter<'m>,
    pub(super) device_status: &'m str,
    attributes: OnceLock<Box<dyn Val>>,
}

impl<'m> Scope<'m> {
    pub(super) fn new(matter: Matter<'m>, device_status: &'m str) -> Self {
        Self {
            matter,
            device_status,
            attributes: OnceLock::new(),
        }
    }

    /// The time since the newest earlier measurement, in milliseconds; negative for a reading that comes late.
    pub(super) fn since_previous(&self) -> Option<i64> {
        match self.matter {
            Matter::Reading {
                reading, previous, ..
            } => previous.map(|previous| reading.ts.millis() - previous.ts),
            Matter::Window { .. } => None,
        }
    }

    /// Zero for a name that stands for nothing here: whoever asks has seen to that.
    pub(super) fn number(&self, number: Number) -> f64 {
        match self.matter {
            Matter::Reading {
                reading, previous, ..
            } => {
                let (value, ts) = (reading.value, reading.ts.millis());
                match (number, previous) {
                    (Number::Value, _) => value,
                    (Number::Ts, _) => ts as f64,
                    (Number::ReceivedAt, _) => reading.received_at.millis() as f64,
                    (Number::Delta, Some(previous)) => value - previous.value,
                    (Number::Rate, Some(previous)) => {
                        (value - previous.value) * 1000.0 / (ts - previous.ts) as f64
                    }
                    (Number::Changed, Some(previous)) => {
                        f64::from(u8::from(value.to_bits() != previous.value.to_bits()))
                    }
                    _ => 0.0,
                }
            }
            Matter::Window {
                closed: Closed { seen, .. },
                ..
            } => match number {
                Number::Avg => seen.avg(),
                Number::Min => seen.min,
                Number::Max => seen.max,
                Number::Sum => seen.sum,
                Number::Count => seen.count as f64,
                Number::Stddev => seen.stddev(),
                Number::First => seen.first.1,
                Number::Last => seen.last.1,
                _ => 0.0,
            },
        }
    }

    /// How much there is in the attributes: elements of lists and objects, and bytes.
    pub(super) fn extent(&self) -> (usize, usize) {
        let Matter::Reading { reading, .. } = self.matter else {
            return (0, 0);
        };
        let text = reading.attributes.as_json();
        // Each element but the first of a list or object has a comma before it; those in texts do not matter.
        let elements = 1 + text
            .bytes()
            .filter(|byte| matches!(byte, b',' | b'[' | b'{'))
            .count();
        (elements, text.len())
    }

    /// As the interpreter wants it.
    pub(super) fn context<'c>(&'c self, root: &'c Context<'c, 'c>) -> Context<'c, 'c> {
        let mut context = root.new_inner_scope();
        context.set_variable_resolver(self);
        context
    }

    fn attributes(&self) -> &dyn Val {
        let parse = || {
            let text = match self.matter {
                Matter::Reading { reading, .. } => reading.attributes.as_json(),
                Matter::Window { .. } => "{}",
            };
            let json: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
            boxed(json)
        };
        &**self.attributes.get_or_init(parse)
    }

    fn text(&self, name: &str) -> Option<&str> {
        Some(match (name, self.matter) {
            ("device_status", _) => self.device_status,
            ("sensor_id", Matter::Reading { reading, .. }) => reading.sensor_id.as_str(),
            ("sensor_id", Matter::Window { sensor_id, .. }) => sensor_id,
            ("group", Matter::Window { group, .. }) => group,
            ("topic", Matter::Reading { reading, .. }) => {
                reading.topic.as_ref().map_or("", |topic| topic.as_str())
            }
            _ => return None,
        })
    }
}

/// As the interpreter knows it.
fn boxed(value: impl Serialize) -> Box<dyn Val> {
    let value = cel::to_value(value).unwrap_or(Value::Null);
    Box::<dyn Val>::try_from(value).unwrap_or_else(|_| Box::new(CelNull))
}

impl VariableResolver for Scope<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        if let Some(text) = self.text(name) {
            return Some(CowVal::owned(CelString::from(text)));
        }
        if let Some(number) = Number::named(name) {
            let value = self.number(number);
            return Some(match number {
                number if number.is_flag() => CowVal::owned(CelBool::from(value != 0.0)),
                number if number.is_whole() => CowVal::owned(CelInt::from(value as i64)),
                _ => CowVal::owned(CelDouble::from(value)),
            });
        }
        Some(match (name, self.matter) {
            ("attributes", _) => CowVal::Borrowed(self.attributes()),
            ("start", Matter::Window { closed, .. }) => CowVal::owned(CelInt::from(closed.start)),
            ("end", Matter::Window { closed, .. }) => CowVal::owned(CelInt::from(closed.end)),
            ("tags", Matter::Reading { tags, .. }) => CowVal::Owned(boxed(&*tags.lock())),
            ("previous", Matter::Reading { previous, .. }) => CowVal::Owned(boxed(previous)),
            _ => return None,
        })
    }
}
