//! What stands at both ends of a gateway: sensors that publish to it and a cloud that it delivers to.
//!
//! ```text
//! fleet ── MQTT ──▶ gateway ── HTTPS ──▶ cloud
//! ```
//!
//! The demo, the black-box tests and the benchmark are built on this. It never names the gateway:
//! it knows only the words on the wire, so that it can tell when the gateway changes them.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")
)]

pub mod cloud;
pub mod dashboard;
pub mod fleet;
mod tasks;
mod waiting;
