//! From what arrived to what is on disk: payloads are decoded, submissions gathered into groups, ruled and committed.
//!
//! The room never speaks MQTT or HTTP; it gives receipts, and who holds one may acknowledge.

mod clock_watch;
mod committer;
pub mod decode;
mod decoder;
mod health;
mod keeper;
mod outbox;
mod outlet;
pub mod replay;
mod rule_book;
mod salvage;
mod submission;
mod topics;
mod traces;

pub use clock_watch::watch_clock;
pub use committer::{Committer, Settings};
pub use decoder::Decoder;
pub use health::Health;
pub use keeper::Keeper;
pub use outbox::OutboxRequest;
pub use outlet::{Outlet, Retention, Routed};
pub use rule_book::{NotReplaced, RuleBook};
pub use salvage::SalvageRequest;
pub use submission::{
    Place, Receipt, Refused, RequestPlace, Stopped, Submission, SubmissionQueue, SubmissionReceiver,
};
pub use topics::{Kind, Topics};
pub use traces::{Source, Traces};
