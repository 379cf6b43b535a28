//! From what arrived to what is on disk: payloads are decoded, submissions gathered into groups, ruled and committed.
//!
//! The room never speaks MQTT or HTTP; it gives receipts, and who holds one may acknowledge.

mod committer;
pub mod decode;
mod submission;

pub use committer::{Committer, Health, Settings};
pub use submission::{
    Busy, OutboxRequest, Place, Receipt, Refused, Submission, SubmissionQueue, SubmissionReceiver,
};
