//! The edge gateway. Data goes one way:
//!
//! ```text
//! broker, http ══submission══▶ ingest::committer: rules → store ─▶ receipt ─▶ acknowledgement
//!                                                    └─ after commit ─▶ broker::Hub ─▶ subscribers
//! store (outbox) ──wake──▶ forwarder ─▶ the cloud
//! ```
//!
//! A room names only rooms below it; `ARCHITECTURE.md` has the table, `tests/it/tidy.rs` checks it. In reading order,
//! from the bottom up:

pub mod domain;

pub mod background;
pub mod clock;
pub mod logging;
pub mod metrics;
pub mod service;

pub mod config;

pub mod access;
pub mod tls;

pub mod rules;
pub mod store;

pub mod ingest;

pub mod broker;
#[cfg_attr(
    not(feature = "mqtt-uplink"),
    expect(dead_code, reason = "some of it is for MQTT uplinks alone")
)]
pub mod forwarder;
pub mod http;

pub mod app;

pub mod cli;
