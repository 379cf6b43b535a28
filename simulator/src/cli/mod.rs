//! Arguments, signals and exit codes of the program; the work is the library's.

mod cloud;
mod sensors;

use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use clap::{Parser, Subcommand};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// `EX_USAGE` and `EX_SOFTWARE` of sysexits(3).
const BAD_USAGE: u8 = 64;
const FAILED: u8 = 70;

#[derive(Debug, Parser)]
#[command(
    name = "simulator",
    about = "Simulated sensors and a reference cloud for an MQTT gateway"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Publishes the readings of a fleet of sensors to a broker
    Sensors(sensors::Arguments),
    /// Receives what a gateway delivers, over HTTPS with a certificate made on the spot
    Cloud(cloud::Arguments),
}

/// How a command ended badly.
enum Failure {
    Usage(anyhow::Error),
    Other(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

pub(crate) fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help, too, comes as an error; nothing is left to do if it cannot be shown.
            error.print().ok();
            return if error.use_stderr() {
                ExitCode::from(BAD_USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let (error, code) = match execute(arguments.command) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Usage(error)) => (error, BAD_USAGE),
        Err(Failure::Other(error)) => (error, FAILED),
    };
    eprintln!("error: {error:#}");
    ExitCode::from(code)
}

fn execute(command: Command) -> Result<(), Failure> {
    let runtime = Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let signals = signals(stop.clone())?;
        let work = async {
            match command {
                Command::Sensors(arguments) => sensors::run(arguments, &stop).await,
                Command::Cloud(arguments) => cloud::run(arguments, &stop).await,
            }
        };
        tokio::select! {
            outcome = work => outcome,
            // It only ends at the second signal: someone does not want to wait for the first.
            () = signals => Err(anyhow::anyhow!("interrupted twice").into()),
        }
    })
}

/// Cancels `stop` at the first SIGINT or SIGTERM, ends at the second.
fn signals(stop: CancellationToken) -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    Ok(async move {
        for _ in 0..2 {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            stop.cancel();
        }
    })
}

/// Reads `250ms`, `60s`, `5m`, `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("expected a number with ms, s, m or h, such as 60s".to_owned()),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .map(Duration::from_millis)
        .ok_or_else(|| "the number is missing or too large".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn durations_are_read_with_their_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3_600)));
        for bad in ["", "60", "s", "-1s", "1.5s", "1d", "99999999999999999999s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
