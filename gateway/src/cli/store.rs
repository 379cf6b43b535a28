//! `edge-gateway store`: looks through the store, shows what it takes, writes it anew without unused room.

mod figures;

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::ValueEnum;

use super::progress::Progress;
use super::{EXIT_INTERNAL, refusal, usage};
use crate::config::{Config, Faults};
use crate::store::care::{self, CareError, Checked};

/// What is done with it.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, Debug, clap::Subcommand)]
enum Command {
    /// Look through all of it: exit code 0 if it is sound, else 1 and a list
    Check,
    /// Write it anew without the room that it does not use any more; no gateway may run
    Compact,
    /// Show what it takes and what it holds
    Stats(Stats),
}

#[derive(Clone, Copy, Debug, clap::Args)]
struct Stats {
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// What is said, and with which exit code.
type Told = (String, ExitCode);

pub(super) fn main(options: &Options, config: impl FnOnce() -> Result<Config, Faults>) -> ExitCode {
    let config = match config() {
        Ok(config) => config,
        Err(faults) => return usage(&faults.to_string()),
    };
    let path = &config.store.path;
    let mut progress = Progress::new();
    let done = match &options.command {
        Command::Check => check(path, &mut progress),
        Command::Compact => compact(path, &mut progress),
        Command::Stats(stats) => show(path, stats.format, &mut progress),
    };
    progress.end();
    match done {
        Ok((text, code)) => {
            // Whoever closed the output does not want to see it.
            io::stdout().write_all(text.as_bytes()).ok();
            code
        }
        Err(error @ CareError::Damaged { .. }) if matches!(options.command, Command::Check) => {
            println!("{error}");
            ExitCode::FAILURE
        }
        Err(error) => refusal::of_store(&error).told(),
    }
}

fn check(path: &Path, progress: &mut Progress) -> Result<Told, CareError> {
    let checked = care::check(path, &mut progress.shower())?;
    let Checked {
        faults,
        notes,
        readings,
        is_in_use,
    } = checked;
    let mut text = String::new();
    // Writing to a text does not fail.
    for fault in &faults {
        writeln!(text, "{fault}").ok();
    }
    for note in notes {
        writeln!(text, "no fault: {note}").ok();
    }
    if is_in_use {
        text.push_str("a gateway runs: what SQLite itself says of the large tables is left to a look while none does\n");
    }
    if faults.is_empty() {
        writeln!(text, "sound: {readings} readings").ok();
        return Ok((text, ExitCode::SUCCESS));
    }
    let count = faults.len();
    writeln!(text, "{count} faults: stop the gateway, keep a copy of the files, and restore a backup if you have one").ok();
    Ok((text, ExitCode::FAILURE))
}

fn compact(path: &Path, progress: &mut Progress) -> Result<Told, CareError> {
    let compacted = care::compact(path, &mut progress.shower())?;
    let (before, bytes) = (compacted.bytes_before, compacted.bytes);
    Ok((
        format!("{before} bytes before, {bytes} now\n"),
        ExitCode::SUCCESS,
    ))
}

fn show(path: &Path, format: Format, progress: &mut Progress) -> Result<Told, CareError> {
    let stats = care::stats(path, &mut progress.shower())?;
    let text = match format {
        Format::Text => figures::text(&stats),
        Format::Json => match serde_json::to_string(&stats) {
            Ok(json) => format!("{json}\n"),
            Err(error) => return Ok((format!("{error}\n"), ExitCode::from(EXIT_INTERNAL))),
        },
    };
    Ok((text, ExitCode::SUCCESS))
}
