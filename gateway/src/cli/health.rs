//! `edge-gateway health`: asks the running gateway's `/healthz`.

use std::process::ExitCode;

use super::ask::ask;
use super::usage;
use crate::config::{Config, Faults};

pub(super) fn main(config: Result<Config, Faults>) -> ExitCode {
    let config = match config {
        Ok(config) => config,
        Err(faults) => return usage(&faults.to_string()),
    };
    match ask(config.http.listen, "GET /healthz", None) {
        Ok(answer) if answer.status == 200 => {
            println!("healthy");
            ExitCode::SUCCESS
        }
        Ok(answer) => {
            eprintln!("not healthy: {}", answer.body.trim());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("no gateway answers on {}: {error}", config.http.listen);
            ExitCode::FAILURE
        }
    }
}
