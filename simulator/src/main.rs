//! The program `simulator`: `sensors` publishes to a broker, `cloud` stands in for a cloud.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
