//! Side-by-side benchmark: the gateway, which stores every reading before its PUBACK, and bare Mosquitto, which
//! stores nothing, under the same load on one machine. It needs Linux: what a server costs is read from `/proc`.

mod client;
mod flood;
mod frames;
mod gateway;
mod load;
mod machine;
mod mosquitto;
mod options;
mod process;
mod report;
mod round;
mod server;
mod sink;
mod table;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::options::Options;

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<()> {
    let report = flood::run(&options)?;
    let text = report.render()?;
    print!("{text}");
    report.check_stored()?;
    options
        .write
        .map_or(Ok(()), |path| report::write_section(&path, &text))
}
