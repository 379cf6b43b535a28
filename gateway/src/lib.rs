//! The edge gateway, from the bottom up.

pub mod broker;
pub mod clock;
pub mod config;
pub mod domain;
pub mod http;
pub mod ingest;
pub mod logging;
pub mod metrics;
pub mod rules;
pub mod store;
