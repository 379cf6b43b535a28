//! `edge-gateway backup`: a consistent copy of the store, beside a gateway that runs or without one.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use super::progress::Progress;
use super::{refusal, usage};
use crate::config::{Config, Faults};
use crate::store::care;

/// Where it goes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Options {
    /// The file to write
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Overwrite the file if it is there
    #[arg(long)]
    force: bool,
}

pub(super) fn main(options: &Options, config: impl FnOnce() -> Result<Config, Faults>) -> ExitCode {
    let config = match config() {
        Ok(config) => config,
        Err(faults) => return usage(&faults.to_string()),
    };
    let mut progress = Progress::new();
    let made = care::backup(
        &config.store.path,
        &options.file,
        options.force,
        &mut progress.shower(),
    );
    progress.end();
    match made {
        Ok(made) => {
            let told = format!(
                "{}: {} bytes, readings up to {}; checked. The store was looked at for {} ms at most without a break\n",
                options.file.display(),
                made.bytes,
                made.last_reading,
                made.longest_look.as_millis()
            );
            // Whoever closed the output does not want to see it.
            io::stdout().write_all(told.as_bytes()).ok();
            ExitCode::SUCCESS
        }
        Err(error) => refusal::of_store(&error).told(),
    }
}
