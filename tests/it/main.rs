//! Black-box tests of the real binary: modules are named by the promise they hold the gateway to.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod access;
mod alerts;
mod api;
mod backups;
mod carets;
mod clock;
mod config;
mod conformance;
mod damage;
mod durability;
mod export;
mod forwarding;
mod logs;
mod looked_through;
mod mended;
mod migrations;
mod monitoring;
mod mqtt;
mod ordering;
mod overload;
mod power;
mod reload;
mod rules;
mod service;
mod sessions;
mod shutdown;
#[cfg(feature = "sparkplug")]
mod sparkplug;
mod store_document;
mod support;
mod terminal;
mod tidy;
mod tls;
mod tokens;
mod users;
mod websocket;
