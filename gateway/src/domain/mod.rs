//! The gateway's words: what crosses from one room to another. Plain data with its rules, no IO and no clock.

pub mod alert;
pub mod message;
pub mod origin;
pub mod place;
pub mod reading;
pub mod rule;
pub mod sensor;
pub mod status;
pub mod subscription;
pub mod template;
pub mod timestamp;
pub mod topic;
pub mod uplink;
