//! The command line: one file a subcommand. Decides exit codes and what people read; everything else is `app`'s.

mod ask;
mod backup;
mod check;
#[cfg(feature = "demo")]
mod demo;
mod export;
mod health;
mod progress;
mod put_aside;
mod refusal;
mod restore;
mod rules;
mod run;
mod stoppable;
mod store;
mod tail;
mod token;
#[cfg(feature = "tui")]
mod top;
mod user;
mod visible;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand, ValueEnum};

use crate::config::{Config, Faults};
use crate::logging::{self, LogFormat};

/// Bad usage or configuration (`EX_USAGE` of sysexits.h).
const EXIT_USAGE: u8 = 64;
/// Internal failure (`EX_SOFTWARE`).
const EXIT_INTERNAL: u8 = 70;
/// The store cannot be opened (`EX_IOERR`).
const EXIT_STORE: u8 = 74;

/// Read if it exists and no other file is named.
const DEFAULT_CONFIG: &str = "broker-config/gateway.toml";

/// An MQTT edge gateway: broker, rules, durable store and store-and-forward in one binary.
#[derive(Debug, Parser)]
#[command(name = "edge-gateway", version)]
struct Arguments {
    /// Configuration file [default: broker-config/gateway.toml if it exists, else built-in defaults]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How log lines on stderr look
    #[arg(long, global = true, value_enum, default_value = "text")]
    log_format: LogStyle,
    /// Log filter, such as `debug` or `edge_gateway::broker=debug` [default: RUST_LOG, else info]
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway (the default)
    Run,
    /// Report every fault of the configuration
    Check,
    /// Ask the running gateway whether it is healthy; for containers
    Health,
    /// Add, remove and list the users of the users file
    User(user::Options),
    /// Add, remove and list the tokens of the API
    Token(token::Options),
    /// List readings that a receiver refused for good, have them sent again or give them up
    DeadLetters(put_aside::Options),
    /// List what could not be read, have it read once more or throw it away
    Rejects(put_aside::Options),
    /// Try rules against the stored past
    Rules(rules::Options),
    /// Print stored readings, oldest first; beside a gateway that runs, or without one
    Export(export::Options),
    /// Copy the store into a file; beside a gateway that runs, or without one
    Backup(backup::Options),
    /// Put a backup in the place of the store; what is there now is kept beside it
    Restore(restore::Options),
    /// Look through the store, show what it takes, write it anew without unused room
    Store(store::Options),
    #[cfg(feature = "tui")]
    /// Show the gateway live: rates, uplinks, checks, sensors, open alerts
    Top(top::Options),
    /// Print readings and alerts as they come
    Tail(tail::Options),
    #[cfg(feature = "demo")]
    /// Show the whole story in a minute: sensors, rules, and a cloud with an outage
    Demo(demo::Options),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogStyle {
    Text,
    Json,
}

/// Reads the arguments and does what they say.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let is_answer = matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            );
            // A closed terminal is no reason to fail differently.
            error.print().ok();
            return if is_answer {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(EXIT_USAGE)
            };
        }
    };
    let format = match arguments.log_format {
        LogStyle::Text => LogFormat::Text,
        LogStyle::Json => LogFormat::Json,
    };
    #[cfg(feature = "demo")]
    let is_demo = matches!(arguments.command, Some(Command::Demo(_)));
    #[cfg(not(feature = "demo"))]
    let is_demo = false;
    let quiet = is_demo && std::env::var_os("RUST_LOG").is_none();
    let level = arguments.log_level.as_deref().or(quiet.then_some("error"));
    let log_filter = match logging::start(format, level) {
        Ok(filter) => Arc::new(filter),
        Err(error) => return usage(&format!("log level: {error}")),
    };
    let config = || load(arguments.config.as_deref());
    match arguments.command.unwrap_or(Command::Run) {
        Command::Run => run::main(config(), log_filter),
        Command::Check => check::main(config()),
        Command::Health => health::main(config()),
        Command::User(options) => user::main(&options, config),
        Command::Token(options) => token::main(&options, config),
        Command::DeadLetters(options) => {
            put_aside::main(put_aside::Kind::DeadLetters, &options, config)
        }
        Command::Rejects(options) => put_aside::main(put_aside::Kind::Rejects, &options, config),
        Command::Rules(options) => rules::main(&options, config),
        Command::Export(options) => export::main(options, config),
        Command::Backup(options) => backup::main(&options, config),
        Command::Restore(options) => restore::main(&options, config),
        Command::Store(options) => store::main(&options, config),
        #[cfg(feature = "tui")]
        Command::Top(options) => top::main(&options, config),
        Command::Tail(options) => tail::main(options, config),
        #[cfg(feature = "demo")]
        Command::Demo(options) => demo::main(&options, log_filter),
    }
}

fn load(named: Option<&Path>) -> Result<Config, Faults> {
    let default = Path::new(DEFAULT_CONFIG);
    let path = named.or_else(|| default.exists().then_some(default));
    let environment = std::env::vars_os().filter_map(|(name, value)| {
        Some((
            name.into_string().ok()?,
            value.to_string_lossy().into_owned(),
        ))
    });
    Config::load(path, environment)
}

fn usage(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::from(EXIT_USAGE)
}

/// A runtime with a thread for each core.
fn runtime() -> Result<tokio::runtime::Runtime, ExitCode> {
    let built = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    built.map_err(|error| {
        tracing::error!(%error, "the runtime cannot be started");
        ExitCode::from(EXIT_INTERNAL)
    })
}
