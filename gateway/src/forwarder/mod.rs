//! Store-and-forward to receivers. There is a pump for each; it reads its part of the outbox; nobody hands it readings, so that its memory does not
//! depend on the backlog.
//!
//! Invariants: a batch is recorded before it is first sent; the same idempotency key is the same bytes; a reading leaves
//! the outbox only after a verdict of delivered.

mod backoff;
mod budget;
mod claim;
mod cut;
mod failure;
mod flights;
mod https;
mod kept;
mod lanes;
mod limit;
#[cfg(feature = "mqtt-uplink")]
mod mqtt;
#[cfg(not(feature = "mqtt-uplink"))]
#[path = "without_mqtt.rs"]
mod mqtt;
mod payload;
mod places;
mod progress;
mod pump;
mod rate;
mod secret;
mod settle;
mod trouble;
mod uplink;
mod verdict;

pub use progress::Progress;
pub use pump::{Pump, Surroundings};
pub use uplink::{Uplink, UplinkError};
