//! What a reading means: conditions in CEL, compiled once. Pure: no IO, no clock, no store.

mod condition;
mod engine;
mod names;

pub use condition::{RuleFault, STACK_BYTES};
pub use engine::{Engine, Outcome};
