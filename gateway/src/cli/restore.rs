//! `edge-gateway restore`: puts a backup in the place of the store, while no gateway runs.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;

use super::progress::Progress;
use super::{refusal, usage};
use crate::clock;
use crate::config::{Config, Faults};
use crate::store::care::{self, Restored};

/// What is restored.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Options {
    /// A file that `edge-gateway backup` has written
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn main(options: &Options, config: impl FnOnce() -> Result<Config, Faults>) -> ExitCode {
    let config = match config() {
        Ok(config) => config,
        Err(faults) => return usage(&faults.to_string()),
    };
    let mut progress = Progress::new();
    let now = Timestamp::from_millisecond(clock::now().millis()).unwrap_or_default();
    let restored = care::restore(
        &config.store.path,
        &options.file,
        &now.strftime("%Y%m%dT%H%M%SZ").to_string(),
        &mut progress.shower(),
    );
    progress.end();
    match restored {
        Ok(restored) => {
            // Whoever closed the output does not want to see it.
            io::stdout().write_all(told(&restored).as_bytes()).ok();
            ExitCode::SUCCESS
        }
        Err(error) => refusal::of_store(&error).told(),
    }
}

fn told(restored: &Restored) -> String {
    let mut text = format!(
        "restored, with the readings up to {}; the next one will be {}\n",
        restored.last_reading, restored.next_reading
    );
    // Writing to a text does not fail.
    if restored.has_new_store_id {
        text.push_str(
            "up to which id the former store went is not known: receivers see a new store_id\n",
        );
    }
    if let Some(aside) = &restored.aside {
        writeln!(
            text,
            "the former store is {}: delete it when you do not need it",
            aside.display()
        )
        .ok();
    }
    text
}
