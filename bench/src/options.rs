//! The command line.

use std::{env, path::PathBuf};

use clap::{Parser, ValueEnum, value_parser};

use crate::load::Shape;

/// Floods the gateway and bare Mosquitto with the same readings, in turn and each fresh, and compares.
///
/// Settings of the gateway can be tried by its environment variables (EDGE_GATEWAY_…); the report names them.
#[derive(Debug, Parser)]
#[command(name = "bench")]
pub(crate) struct Options {
    /// How often each server is measured
    #[arg(long, default_value_t = 3, value_parser = value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    #[arg(long, default_value_t = 50, value_parser = value_parser!(u64).range(1..))]
    pub(crate) clients: u64,
    /// Publishes of each client that may wait for their PUBACK
    #[arg(long, default_value_t = 20, value_parser = value_parser!(u16).range(1..))]
    pub(crate) in_flight: u16,
    /// Readings in each round, of all clients together; all are encoded beforehand, some 80 bytes each
    #[arg(long, default_value_t = 200_000, value_parser = value_parser!(u64).range(1..))]
    pub(crate) readings: u64,
    /// Measure one server alone
    #[arg(long)]
    pub(crate) only: Option<Only>,
    /// Replace the benchmark's section in this Markdown file, or append it
    #[arg(long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
    /// Where the servers' temporary folders are made; choose a real disk [default: the system's place for them]
    #[arg(long, value_name = "FOLDER", default_value_os_t = env::temp_dir(), hide_default_value = true)]
    pub(crate) folder: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Only {
    Gateway,
    Mosquitto,
}

impl Options {
    pub(crate) fn shape(&self) -> Shape {
        Shape {
            // A client without a reading would only be in the way.
            clients: self.clients.min(self.readings),
            in_flight: self.in_flight,
            readings: self.readings,
        }
    }
}
