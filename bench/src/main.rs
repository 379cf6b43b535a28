//! Side-by-side benchmark: the gateway, which stores every reading before its PUBACK, the same job on a stock broker,
//! which acks first, and bare Mosquitto, which stores nothing, under the same load on one machine.
//! It needs Linux: what a server costs is read from `/proc`.

mod acks;
mod alerts;
mod cases;
mod client;
mod cloud;
mod compare;
mod descriptors;
mod document;
mod drain;
mod evaluations;
mod exchange;
mod fanout;
mod flood;
mod forwarding;
mod frames;
mod gateway;
mod history;
mod hot;
mod http;
mod kill;
mod limits;
mod line;
mod listening;
mod load;
mod logins;
mod machine;
mod matching;
mod mosquitto;
mod numbered;
mod options;
mod outage;
mod peer;
mod process;
mod report;
mod retention;
mod returning;
mod round;
mod rules;
mod server;
mod sink;
mod split;
mod steady;
mod stock;
mod stored;
mod storms;
mod subject;
mod subscriber;
mod table;
mod traffic;
mod wear;
mod window;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::options::{Command, Options};

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    match &options.command {
        Some(Command::Compare(options)) => return compare::run(options),
        Some(Command::Limits(options)) => return limits::run(options),
        Some(Command::Hot(options)) => return hot::run(options),
        None => {}
    }
    if let Some(kind) = options.memory_of {
        println!("{}", evaluations::apart(|| evaluations::memory(kind))?);
        return Ok(());
    }
    let (section, report, versions, check) = if options.kill {
        let report = kill::run(options)?;
        ("kill", report.render(), report.versions()?, report.check())
    } else if options.alerts {
        let report = alerts::run(options)?;
        ("alerts", report.render(), report.versions()?, Ok(()))
    } else if options.fanout {
        let report = fanout::run(options)?;
        (
            "fanout",
            report.render(),
            report.versions()?,
            report.check(),
        )
    } else if options.matching {
        let report = matching::run(options)?;
        ("matching", report.render(), report.versions()?, Ok(()))
    } else if options.storms {
        let report = storms::run(options)?;
        ("storms", report.render(), report.versions()?, Ok(()))
    } else if options.drain {
        let report = drain::run(options)?;
        ("drain", report.render(), report.versions(), report.check())
    } else if options.history {
        let report = history::run(options)?;
        ("history", report.render(), report.versions(), Ok(()))
    } else if options.retention {
        let report = retention::run(options)?;
        ("retention", report.render(), report.versions(), Ok(()))
    } else if options.wear {
        let report = wear::run(options)?;
        ("wear", report.render(), report.versions(), Ok(()))
    } else if options.rules {
        let report = rules::run(options)?;
        ("rules", report.render(), report.versions(), Ok(()))
    } else if options.outage {
        let report = outage::run(options)?;
        let check = report.check();
        ("outage", report.render(), report.versions, check)
    } else if options.logins {
        let report = logins::run(options)?;
        ("logins", report.render(), report.versions()?, Ok(()))
    } else {
        let report = flood::run(options)?;
        let check = report.check_stored();
        ("flood", report.render(), report.versions(), check)
    };
    let text = report + &document::origin(&options.folder, &versions)?;
    // A fault is seen best in its figures, so they are shown; into the document go only good ones.
    print!("{text}");
    check?;
    let Some(path) = &options.write else {
        return Ok(());
    };
    document::write_section(path, section, &text)
}
