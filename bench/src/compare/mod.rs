//! `bench compare`: the gateway beside what people use today, each fresh, by turns, under the same loads and before the same cloud.

mod generator;
mod peers;
mod plot;
mod report;
mod round;
mod workloads;

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::{Args, value_parser};

use self::peers::Peer;
use self::report::{Compared, Report};
use self::workloads::Workload;
use crate::flood::by_turns;
use crate::sink::Sink;
use crate::{descriptors, document};

/// Open files of the generator, and of a server, beside those of the clients.
const OTHER_FILES: u64 = 300;

/// The gateway beside other systems, under all workloads; takes an hour.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How often each is measured
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only the workloads that have this in their name; then only printed
    #[arg(long, value_name = "TEXT")]
    case: Option<String>,
    /// Only the peers that have this in their name; then only printed
    #[arg(long, value_name = "TEXT")]
    peer: Option<String>,
    /// The stock gateway's binary [default: beside this one, else bench/stock/target/release/stock-gateway]
    #[arg(long, value_name = "FILE")]
    stock: Option<PathBuf>,
    /// The Markdown file whose section is replaced
    #[arg(long, value_name = "FILE", default_value = "docs/measurements.md")]
    write: PathBuf,
    /// Where plots go
    #[arg(long, value_name = "FOLDER", default_value = "docs/pictures")]
    plots: PathBuf,
    /// Where the servers' temporary folders are made; choose a real disk [default: the system's place for them]
    #[arg(long, value_name = "FOLDER", default_value_os_t = env::temp_dir(), hide_default_value = true)]
    folder: PathBuf,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let is_wanted =
        |name: &str, part: &Option<String>| part.as_ref().is_none_or(|part| name.contains(&**part));
    let workloads: Vec<&Workload> = workloads::ALL
        .iter()
        .filter(|workload| is_wanted(workload.name, &options.case))
        .collect();
    let peers = peers::find(options.stock.as_deref())?;
    let peers: Vec<_> = peers
        .into_iter()
        .filter(|peer| is_wanted(peer.name(), &options.peer))
        .collect();
    ensure!(
        !workloads.is_empty() && !peers.is_empty(),
        "nothing has such a name"
    );
    let clients =
        |workload: &&Workload| workload.clients + workload.idle + workload.dashboards as u64;
    descriptors::allow(workloads.iter().map(clients).max().unwrap_or(0) + OTHER_FILES)?;
    let sink = Sink::start()?;
    let mut compared = Vec::new();
    for workload in workloads {
        compared.push(compare(workload, &peers, &sink, options)?);
    }
    let versions = peers
        .iter()
        .map(Peer::version)
        .collect::<Result<Vec<_>>>()?;
    let report = Report { compared };
    let text = report.render() + &document::origin(&options.folder, &versions)?;
    print!("{text}");
    report.check()?;
    if options.case.is_some() || options.peer.is_some() {
        return Ok(());
    }
    fs::create_dir_all(&options.plots)?;
    for (name, plot) in report.plots() {
        let path = options.plots.join(name);
        fs::write(&path, plot).with_context(|| format!("cannot write {}", path.display()))?;
    }
    document::write_section(&options.write, "compare", &text)
}

fn compare(
    workload: &'static Workload,
    peers: &[Peer],
    sink: &Sink,
    options: &Options,
) -> Result<Compared> {
    let mut series: Vec<(&Peer, Vec<_>)> = peers.iter().map(|peer| (peer, Vec::new())).collect();
    by_turns(&mut series, options.rounds, |number, (peer, rounds)| {
        let round = round::measure(peer, workload, sink, &options.folder)
            .with_context(|| format!("{}, round {number}, {}", workload.name, peer.name()))?;
        eprintln!(
            "{}, round {number}: {} {}",
            workload.name,
            peer.name(),
            report::shortly(workload, &round)
        );
        rounds.push(round);
        Ok(())
    })?;
    Ok(Compared {
        workload,
        series: series
            .into_iter()
            .map(|(peer, rounds)| (peer.name(), rounds))
            .collect(),
    })
}
