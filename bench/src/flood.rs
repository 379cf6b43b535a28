//! The rounds in their order: the servers take turns and the first of a round is the last of the next, so that a
//! machine that slows down or warms up favours none.

use anyhow::{Context, Result};

use crate::{
    options::Options,
    report::Report,
    round,
    subject::{self, Subject},
    table::Series,
};

const ROUNDS: u32 = 3;

pub(crate) fn run(options: &Options) -> Result<Report> {
    let mut servers = Vec::new();
    for subject in subject::find(options)? {
        let series = Series {
            server: subject.name(),
            version: subject.version()?,
            rounds: Vec::new(),
        };
        servers.push((subject, series));
    }
    in_turn(
        &mut servers,
        options.rounds_or(ROUNDS),
        |number, (subject, series)| {
            let round = round::measure(subject, options.shape(), &options.folder)?;
            eprintln!(
                "round {number}: {} {:.0} readings/s",
                series.server,
                round.outcome.readings_per_second()
            );
            series.rounds.push(round);
            Ok(())
        },
    )?;
    Ok(Report {
        shape: options.shape(),
        series: servers.into_iter().map(|(_, series)| series).collect(),
    })
}

/// Lets each of `servers` have its [turn](by_turns); what fails says whose it was.
pub(crate) fn in_turn<T>(
    servers: &mut [(Subject, T)],
    rounds: u32,
    mut measure: impl FnMut(u32, &mut (Subject, T)) -> Result<()>,
) -> Result<()> {
    by_turns(servers, rounds, |number, server| {
        let name = server.0.name();
        measure(number, server).with_context(|| format!("round {number}, {name}"))
    })
}

/// Lets each of `all` have its turn in each round, and turns their order around in every second one.
pub(crate) fn by_turns<T>(
    all: &mut [T],
    rounds: u32,
    mut measure: impl FnMut(u32, &mut T) -> Result<()>,
) -> Result<()> {
    for number in 1..=rounds {
        for one in all.iter_mut() {
            measure(number, one)?;
        }
        all.reverse();
    }
    if rounds % 2 == 1 {
        all.reverse();
    }
    Ok(())
}
