//! The rounds in their order: the servers take turns and the first of a round is the last of the next, so that a
//! machine that slows down or warms up favours neither.

use anyhow::{Context, Result};

use crate::{
    gateway,
    machine::Machine,
    mosquitto,
    options::{Only, Options},
    report::Report,
    round::{Round, Subject},
    sink::Sink,
    table::Series,
};

pub(crate) fn run(options: &Options) -> Result<Report> {
    let mut gateway = (options.only != Some(Only::Mosquitto))
        .then(open_gateway)
        .transpose()?;
    let mut mosquitto = (options.only != Some(Only::Gateway))
        .then(open_mosquitto)
        .transpose()?;
    let machine = Machine::look(&options.folder)?;
    if machine.file_system == "tmpfs" {
        eprintln!(
            "the servers' files lie in memory, where syncing costs nothing: --folder takes a folder on a disk"
        );
    }
    for number in 1..=options.rounds {
        let mut turns: Vec<_> = gateway.iter_mut().chain(&mut mosquitto).collect();
        if number % 2 == 0 {
            turns.reverse();
        }
        for (subject, series) in turns {
            let round = subject
                .measure(options.shape(), &options.folder)
                .with_context(|| format!("round {number}, {}", series.server))?;
            announce(number, series.server, &round);
            series.rounds.push(round);
        }
    }
    Ok(Report {
        shape: options.shape(),
        machine,
        gateway: gateway.map(|(_, series)| series),
        mosquitto: mosquitto.map(|(_, series)| series),
    })
}

fn open_gateway() -> Result<(Subject, Series)> {
    let (program, sink) = (gateway::find()?, Sink::start()?);
    open(Subject::Gateway { program, sink })
}

fn open_mosquitto() -> Result<(Subject, Series)> {
    let program = mosquitto::find()?;
    open(Subject::Mosquitto { program })
}

fn open(subject: Subject) -> Result<(Subject, Series)> {
    let (server, version) = (subject.name(), subject.version()?);
    Ok((
        subject,
        Series {
            server,
            version,
            rounds: Vec::new(),
        },
    ))
}

fn announce(number: u32, server: &str, round: &Round) {
    eprintln!(
        "round {number}: {server} {:.0} readings/s",
        round.outcome.readings_per_second()
    );
}
