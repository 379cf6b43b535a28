//! `bench compare`: the gateway beside what people use today, each fresh, by turns, under the same loads and before the same cloud.

mod environments;
mod generator;
mod growth;
pub(crate) mod peers;
mod plot;
mod report;
pub(crate) mod round;
pub(crate) mod workloads;

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::{Args, value_parser};

use self::peers::Peer;
use self::report::{Compared, Series};
use self::workloads::Workload;
use crate::flood::by_turns;
use crate::sink::Sink;
use crate::{descriptors, document, drain, gateway};

/// Open files of the generator, and of a server, beside those of the clients.
pub(crate) const OTHER_FILES: u64 = 300;
/// As `--case` finds what is no workload of the table.
const DRAIN: &str = "g drain";

/// The gateway beside other systems, under all workloads; takes an hour and a half, and ten gigabytes of disk.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How often each is measured
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only the workloads that have this in their name; the tables of the others stay as they are
    #[arg(long, value_name = "TEXT")]
    case: Option<String>,
    /// Only the peers that have this in their name; then only printed
    #[arg(long, value_name = "TEXT")]
    peer: Option<String>,
    /// Millions of readings in the largest store that has grown; there are some with 10 and with 100
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u64).range(10..))]
    millions: u64,
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
    let wanted = |all: &'static [Workload]| -> Vec<&'static Workload> {
        all.iter()
            .filter(|workload| is_wanted(workload.name, &options.case))
            .collect()
    };
    let (workloads, growth) = (wanted(workloads::ALL), wanted(workloads::GROWTH));
    let peers = peers::find(options.stock.as_deref())?;
    let peers: Vec<_> = peers
        .into_iter()
        .filter(|peer| is_wanted(peer.name(), &options.peer))
        .collect();
    let has_loads = !workloads.is_empty() || !growth.is_empty() || is_wanted(DRAIN, &options.case);
    ensure!(has_loads && !peers.is_empty(), "nothing has such a name");
    let clients =
        |workload: &&Workload| workload.clients + workload.idle + workload.dashboards as u64;
    descriptors::allow(workloads.iter().map(clients).max().unwrap_or(0) + OTHER_FILES)?;
    let versions = peers
        .iter()
        .map(Peer::version)
        .collect::<Result<Vec<_>>>()?;
    let origin = document::origin(&options.folder, &versions)?;
    let sink = Sink::start()?;
    for workload in workloads {
        let compared = compare(workload, &peers, &sink, options)?;
        keep(&compared, &origin, options)?;
    }
    if !growth.is_empty() {
        let grown = growth::grow(&gateway::find()?, options.millions, &options.folder)?;
        for workload in growth {
            let compared = compare(workload, &grown.peers, &sink, options)?;
            keep(&compared, &origin, options)?;
        }
    }
    if is_wanted(DRAIN, &options.case) {
        let drained = drain(options)?;
        if options.peer.is_none() {
            document::write_section(&options.write, "drain", &drained)?;
        }
    }
    print!("{origin}");
    Ok(())
}

/// Prints what was measured, and puts it into the document at once: the whole takes long, and may be broken off.
fn keep(compared: &Compared, origin: &str, options: &Options) -> Result<()> {
    let table = compared.render(options.rounds)?;
    print!("{table}");
    compared.check()?;
    if options.peer.is_some() {
        return Ok(());
    }
    fs::create_dir_all(&options.plots)?;
    for (name, plot) in compared.plots() {
        let path = options.plots.join(name);
        fs::write(&path, plot).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let all = workloads::ALL.iter().chain(workloads::GROWTH);
    let parts = document::Parts {
        head: report::HEAD,
        order: all.map(|workload| workload.name).collect(),
        origin,
    };
    let part = (compared.workload.name, &*table);
    document::write_part(&options.write, "compare", &parts, part)
}

/// The gateway alone: nobody else keeps for a cloud that is away what it then delivers once, beside live readings.
fn drain(options: &Options) -> Result<String> {
    let report = drain::run_cases(|_| true, options.rounds, &options.folder)?;
    let text = report.render() + &document::origin(&options.folder, &report.versions())?;
    print!("{text}");
    report.check()?;
    Ok(text)
}

fn compare(
    workload: &'static Workload,
    peers: &[Peer],
    sink: &Sink,
    options: &Options,
) -> Result<Compared> {
    let peers = peers.iter().filter(|peer| peer.speaks(workload.transport));
    let mut series: Vec<(&Peer, Series)> =
        peers.map(|peer| (peer, Series::new(peer.name()))).collect();
    by_turns(&mut series, options.rounds, |number, (peer, series)| {
        if series.has_given_up() {
            return Ok(());
        }
        let what = format!("{}, round {number}: {}", workload.name, peer.name());
        match round::measure(peer, workload, sink, &options.folder) {
            Ok(round) => {
                eprintln!("{what} {}", report::shortly(workload, &round));
                series.add(round);
            }
            Err(error) if peer.is_ours() => return Err(error.context(what)),
            Err(error) => {
                eprintln!("{what}: {error:#}");
                series.give_up(number, &error);
            }
        }
        Ok(())
    })?;
    Ok(Compared {
        workload,
        series: series.into_iter().map(|(_, series)| series).collect(),
    })
}
