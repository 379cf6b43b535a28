//! Log lines on stderr: text for people, JSON for machines.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// Starts logging. `level` is a filter such as `info` or `edge_gateway=debug`; without it `RUST_LOG` counts, else
/// `info`. A second call in one process changes nothing.
pub fn start(format: LogFormat, level: Option<&str>) -> Result<(), String> {
    let filter = match level {
        Some(level) => EnvFilter::try_new(level).map_err(|error| error.to_string())?,
        None => EnvFilter::try_from_default_env().or_else(|error| {
            match std::env::var_os("RUST_LOG") {
                Some(text) if !text.is_empty() => Err(format!("RUST_LOG: {error}")),
                _ => Ok(EnvFilter::new("info")),
            }
        })?,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    let started = match format {
        LogFormat::Text => builder
            .with_target(false)
            .with_ansi(io::stderr().is_terminal())
            .try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    drop(started);
    Ok(())
}
