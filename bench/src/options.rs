//! The command line.

use std::{env, path::PathBuf};

use clap::{Parser, Subcommand, ValueEnum, value_parser};

use crate::compare;
use crate::evaluations::Kind;
use crate::hot;
use crate::limits;
use crate::load::Shape;

/// Floods the gateway, the same job on a stock broker and bare Mosquitto with the same readings, in turn and each
/// fresh, and compares.
///
/// Settings of the gateway can be tried by its environment variables (EDGE_GATEWAY_…); the report names them.
#[derive(Debug, Parser)]
#[command(name = "bench", args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Instead of the flood: kill the servers that store in the middle of one, and count acked readings that are gone
    #[arg(long, group = "workload")]
    pub(crate) kill: bool,
    /// Instead of the flood: how long an alert takes from publish to subscriber, at steady rates
    #[arg(long, group = "workload")]
    pub(crate) alerts: bool,
    /// Instead of the flood: messages between clients, one to many, many to one and in pairs, at each QoS
    #[arg(long, group = "workload")]
    pub(crate) fanout: bool,
    /// Instead of the flood: a publisher and a subscriber beside few and beside many subscriptions that do not match
    #[arg(long, group = "workload")]
    pub(crate) matching: bool,
    /// Instead of the flood: storms of connects and of subscriptions, and the memory of idle clients; raises the limit of
    /// open files to 5,500 by prlimit(1) if it is lower
    #[arg(long, group = "workload")]
    pub(crate) storms: bool,
    /// Instead of the flood: 1,000 clients with passwords and sessions come back at once after a SIGKILL; raises the limit
    /// of open files to 1,500
    #[arg(long, group = "workload")]
    pub(crate) logins: bool,
    /// Instead of the flood: a million readings that wait go out to a cloud that is back, while live ones go on
    #[arg(long, group = "workload")]
    pub(crate) drain: bool,
    /// Instead of the flood: the cloud is away and the server is killed meanwhile; the gateway, Mosquitto's bridge, and
    /// Mosquitto with a script
    #[arg(long, group = "workload")]
    pub(crate) outage: bool,
    /// Instead of the flood: what rules cost, alone in this process, and in a gateway beside one without any
    #[arg(long, group = "workload")]
    pub(crate) rules: bool,
    /// Instead of the flood: what is asked of ten million stored readings, before and after they are packed, starts with them, and
    /// all of them as a stream; takes a gigabyte of disk
    #[arg(long, group = "workload")]
    pub(crate) history: bool,
    /// Instead of the flood: bytes written for each reading, at four rates and three `group_commit`, alone and with rules and an
    /// uplink; takes ten minutes
    #[arg(long, group = "workload")]
    pub(crate) wear: bool,
    /// Instead of the flood: how long PUBACKs and commits take while there is room in the store's budget, and while some is made; takes eleven
    /// minutes
    #[arg(long, group = "workload")]
    pub(crate) retention: bool,
    /// With --history: how many millions of readings
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u64).range(1..=1000))]
    pub(crate) millions: u64,
    /// Prints the bytes that rules of one kind remember of a sensor, for --rules
    #[arg(long, group = "workload", hide = true, value_name = "KIND")]
    pub(crate) memory_of: Option<Kind>,
    /// With --fanout, --matching, --storms, --drain and --outage: only the cases that have this in their name
    #[arg(long, value_name = "TEXT")]
    case: Option<String>,
    /// How often each server is measured [default: 3, with --kill 5]
    #[arg(long, value_parser = value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    #[arg(long, default_value_t = 50, value_parser = value_parser!(u64).range(1..))]
    clients: u64,
    /// Publishes of each client that may wait for their PUBACK
    #[arg(long, default_value_t = 20, value_parser = value_parser!(u16).range(1..))]
    in_flight: u16,
    /// Readings in each round, of all clients together; all are encoded beforehand, some 80 bytes each
    #[arg(long, default_value_t = 200_000, value_parser = value_parser!(u64).range(1..))]
    readings: u64,
    /// Decides when --kill kills
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Measure one server alone
    #[arg(long)]
    pub(crate) only: Option<Only>,
    /// The stock gateway's binary [default: beside this one, else bench/stock/target/release/stock-gateway]
    #[arg(long, value_name = "FILE")]
    pub(crate) stock: Option<PathBuf>,
    /// Replace the benchmark's section in this Markdown file, or append it
    #[arg(long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
    /// Where the servers' temporary folders are made; choose a real disk [default: the system's place for them]
    #[arg(long, value_name = "FOLDER", default_value_os_t = env::temp_dir(), hide_default_value = true)]
    pub(crate) folder: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Compare(compare::Options),
    Limits(limits::Options),
    #[command(hide = true)]
    Hot(hot::Options),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Only {
    Gateway,
    Stock,
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

    pub(crate) fn rounds_or(&self, rounds: u32) -> u32 {
        self.rounds.unwrap_or(rounds)
    }

    pub(crate) fn wants_case(&self, name: &str) -> bool {
        self.case.as_ref().is_none_or(|text| name.contains(text))
    }

    pub(crate) fn wants(&self, server: Only) -> bool {
        self.only.is_none_or(|only| only == server)
    }
}
