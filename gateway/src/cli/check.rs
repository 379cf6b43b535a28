//! `edge-gateway check`: what a start would refuse, without starting.

use std::process::ExitCode;

use super::usage;
use crate::app;
use crate::config::{Config, Faults};

pub(super) fn main(config: Result<Config, Faults>) -> ExitCode {
    let config = match config {
        Ok(config) => config,
        Err(faults) => return usage(&app::explain(&faults)),
    };
    match app::check(&config) {
        Ok(()) => {
            for risk in app::store_risks(&config) {
                eprintln!("warning: store.path: {risk}");
            }
            println!("the configuration is fine");
            ExitCode::SUCCESS
        }
        Err(error) => usage(&error.to_string()),
    }
}
