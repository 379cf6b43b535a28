//! The gateway's job built the literal way on rumqttd: the baseline that the benchmark measures beside ours.
//! It acknowledges before it stores, because its broker does.

mod broker;
mod forward;
mod gateway;
mod reading;
mod store;

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
};

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use signal_hook::consts::{SIGINT, SIGTERM};

#[derive(Debug, Parser)]
#[command(
    name = "stock-gateway",
    version = "0.1.0 on rumqttd 0.20.0",
    args_conflicts_with_subcommands = true
)]
struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    gateway: Option<GatewayOptions>,
}

#[derive(Debug, Args)]
struct GatewayOptions {
    /// Where MQTT 3.1.1 clients connect; port 0 takes a free one
    #[arg(long)]
    listen: SocketAddr,
    /// The SQLite file
    #[arg(long, value_name = "FILE")]
    store: PathBuf,
    /// Where readings over 50 are posted
    #[arg(long, value_name = "URL")]
    cloud: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The broker alone, in its shipped configuration: for the tests that show its faults
    Bare(broker::BareOptions),
}

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stock-gateway: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    match (options.command, options.gateway) {
        (Some(Command::Bare(bare)), _) => broker::run_bare(&bare, &stop),
        (None, Some(gateway)) => {
            let totals = gateway::run(gateway.listen, &gateway.store, gateway.cloud, &stop)?;
            println!("{}", serde_json::to_string(&totals)?);
            Ok(())
        }
        (None, None) => anyhow::bail!("--listen, --store and --cloud are needed"),
    }
}
