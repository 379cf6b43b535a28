//! The edge gateway, from the bottom up.

pub mod config;
pub mod domain;
