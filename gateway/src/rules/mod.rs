//! What a reading means: conditions in CEL, compiled once; what they say over time; and the alerts that come of it. Pure: no
//! IO, no clock, no store.

mod alerts;
mod condition;
mod devices;
mod engine;
mod flaw;
mod life;
mod memory;
mod moment;
mod names;
mod outcome;
mod patterns;
mod quick;
mod rule;
mod scope;
mod states;
mod topics;
mod window;
mod work;

pub use alerts::Numbers;
pub use condition::STACK_BYTES;
pub use engine::{Arrival, Engine, Restored, StateChange};
pub use outcome::{AggregateReading, AlertEvent, Effects, Fate, Outcome};
pub use rule::RuleSet;
