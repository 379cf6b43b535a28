//! Store-and-forward to the cloud. The pump reads the outbox; nobody hands it readings, so that its memory does not
//! depend on the backlog.
//!
//! Invariants: a batch is recorded before it is first sent; the same idempotency key is the same bytes; a reading leaves
//! the outbox only after a verdict of delivered.

mod backoff;
mod cut;
mod payload;
mod progress;
mod pump;
mod uplink;
mod verdict;

pub use progress::Progress;
pub use pump::Pump;
pub use uplink::{Uplink, UplinkError};
