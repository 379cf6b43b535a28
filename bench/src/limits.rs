//! `bench limits`: what bounds the gateway, by turning one thing at a time: clients, how long a sync takes, cores, sensors. And a model
//! of it, fitted to the clients and held against the rest.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::{Args, value_parser};
use tempfile::TempDir;

use crate::compare::{
    OTHER_FILES,
    peers::Peer,
    round::{self, Round},
    workloads::{FLOOD, Pace, Payload, Workload},
};
use crate::flood::by_turns;
use crate::server::version_of;
use crate::sink::Sink;
use crate::table::{self, decimals, median, whole};
use crate::{descriptors, document, gateway};

/// Publishes of each client that wait for their PUBACK.
const IN_FLIGHT: u64 = 20;
/// How many times slower a core is taken to be than one of the machine that measures, and what a sync of its card takes, in milliseconds.
const BOARDS: [(&str, f64, f64); 4] = [
    ("Pi 4, a good card", 5.0, 5.0),
    ("Pi 4, a slow card", 5.0, 30.0),
    ("Pi 5, a good card", 2.2, 5.0),
    ("Pi 5, an SSD", 2.2, 1.0),
];

/// What bounds the gateway: clients, syncs of the disk, cores, sensors, one at a time; takes ten minutes.
///
/// Needs strace, which makes syncs last longer, and taskset.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How often each is measured
    #[arg(long, default_value_t = 3, value_parser = value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only the cases that have this in their name; without the model then
    #[arg(long, value_name = "TEXT")]
    case: Option<String>,
    /// The Markdown file whose section is replaced
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Where the gateway's temporary folders are made; choose a real disk [default: the system's place for them]
    #[arg(long, value_name = "FOLDER", default_value_os_t = env::temp_dir(), hide_default_value = true)]
    folder: PathBuf,
}

/// What differs from the flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turned {
    Clients,
    /// So many milliseconds that each sync lasts longer.
    Sync(u64),
    Cores,
    Sensors,
}

impl Turned {
    /// What stands before the gateway's own command.
    fn wrapper(self) -> String {
        match self {
            Self::Clients | Self::Sensors => String::new(),
            Self::Cores => "taskset -c 0".to_owned(),
            Self::Sync(ms) => format!(
                "strace -D -f --seccomp-bpf -o /dev/null -e trace=fsync,fdatasync -e inject=fsync,fdatasync:delay_exit={}",
                ms * 1_000
            ),
        }
    }

    /// By how many seconds the model has a sync last longer; it says nothing of cores and sensors.
    fn sync_seconds(self) -> Option<f64> {
        match self {
            Self::Clients => Some(0.0),
            Self::Sync(ms) => Some(ms as f64 / 1e3),
            Self::Cores | Self::Sensors => None,
        }
    }
}

struct Case {
    name: String,
    turned: Turned,
    workload: Workload,
}

impl Case {
    fn of(name: String, turned: Turned, clients: u64, publishes: u64) -> Self {
        let workload = Workload {
            name: "limits",
            what: "",
            clients,
            pace: Pace::Flood {
                in_flight: IN_FLIGHT as usize,
                publishes,
            },
            ..FLOOD
        };
        Self {
            name,
            turned,
            workload,
        }
    }

    /// Readings of one commit: while one half of those on their way is committed, the other half is sent.
    fn group(&self) -> f64 {
        (self.workload.clients * IN_FLIGHT) as f64 / 2.0
    }
}

fn cases() -> Vec<Case> {
    let clients = [
        (1, 50_000),
        (5, 100_000),
        (20, 200_000),
        (50, 200_000),
        (200, 200_000),
        (1_000, 200_000),
    ];
    let clients = clients.map(|(clients, publishes)| {
        Case::of(
            format!("clients: {clients}"),
            Turned::Clients,
            clients,
            publishes,
        )
    });
    let syncs = [
        (0, 200_000),
        (1, 200_000),
        (5, 100_000),
        (20, 50_000),
        (100, 20_000),
    ];
    let syncs = syncs.map(|(ms, publishes)| {
        Case::of(
            format!("sync: {ms} ms more"),
            Turned::Sync(ms),
            50,
            publishes,
        )
    });
    let core = Case::of("cores: 1".to_owned(), Turned::Cores, 50, 200_000);
    let sensors = [1, 100, 10_000, 100_000].map(|sensors| {
        let mut case = Case::of(format!("sensors: {sensors}"), Turned::Sensors, 50, 200_000);
        case.workload.payload = Payload::Of(sensors);
        case
    });
    clients
        .into_iter()
        .chain(syncs)
        .chain([core])
        .chain(sensors)
        .collect()
}

pub(crate) fn run(options: &Options) -> Result<()> {
    for tool in ["strace", "taskset"] {
        let found = Command::new(tool).arg("--version").output();
        found.with_context(|| format!("{tool} is not installed"))?;
    }
    let is_wanted = |case: &Case| {
        let part = options.case.as_ref();
        part.is_none_or(|part| case.name.contains(&**part))
    };
    let cases: Vec<Case> = cases().into_iter().filter(is_wanted).collect();
    ensure!(!cases.is_empty(), "nothing has such a name");
    let clients = cases.iter().map(|case| case.workload.clients).max();
    descriptors::allow(clients.unwrap_or(0) + OTHER_FILES)?;
    let (sink, program) = (Sink::start()?, gateway::find()?);
    let scripts = TempDir::with_prefix_in("bench-", &options.folder)?;
    let mut series = Vec::new();
    for (number, case) in cases.into_iter().enumerate() {
        let script = scripts.path().join(number.to_string());
        wrap(&script, &case.turned.wrapper(), &program)?;
        series.push((case, Peer::Gateway { program: script }, Vec::new()));
    }
    by_turns(
        &mut series,
        options.rounds,
        |number, (case, peer, rounds)| {
            let round = round::measure(peer, &case.workload, &sink, &options.folder)
                .with_context(|| format!("{}, round {number}", case.name))?;
            eprintln!(
                "{}, round {number}: {} readings/s",
                case.name,
                whole(rate(case, &round))
            );
            rounds.push(round);
            Ok(())
        },
    )?;
    let series: Vec<(Case, Vec<Round>)> = series
        .into_iter()
        .map(|(case, _, rounds)| (case, rounds))
        .collect();
    let text = render(&series) + &document::origin(&options.folder, &[version_of(&program)?])?;
    print!("{text}");
    match &options.write {
        Some(path) => document::write_section(path, "limits", &text),
        None => Ok(()),
    }
}

/// A script that becomes the gateway: what stands before it keeps its process id.
fn wrap(script: &Path, wrapper: &str, program: &Path) -> Result<()> {
    let text = format!("#!/bin/sh\nexec {wrapper} '{}' \"$@\"\n", program.display());
    fs::write(script, text)?;
    Ok(fs::set_permissions(
        script,
        fs::Permissions::from_mode(0o700),
    )?)
}

fn rate(case: &Case, round: &Round) -> f64 {
    case.workload.pace.publishes() as f64 / round.outcome.took.as_secs_f64()
}

/// Seconds that a commit takes whatever is in it, and seconds for each reading in it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Model {
    commit: f64,
    reading: f64,
}

impl Model {
    /// The least squares of seconds for a commit over the readings in it, each weighed by what it takes, so that small ones count as well.
    fn fit(points: &[(f64, f64)]) -> Option<Self> {
        let mut sums = [0.0; 5];
        for &(group, seconds) in points {
            let weight = 1.0 / (seconds * seconds);
            let of_point = [1.0, group, group * group, seconds, group * seconds];
            for (sum, value) in sums.iter_mut().zip(of_point) {
                *sum += weight * value;
            }
        }
        let [n, x, xx, y, xy] = sums;
        let reading = (n * xy - x * y) / (n * xx - x * x);
        (1 < points.len()).then(|| Self {
            commit: (y - reading * x) / n,
            reading,
        })
    }

    /// Readings a second when each sync lasts so many seconds longer.
    fn rate(self, group: f64, sync: f64) -> f64 {
        group / (self.commit + sync + self.reading * group)
    }
}

fn render(series: &[(Case, Vec<Round>)]) -> String {
    let rate_of = |(case, rounds): &(Case, Vec<Round>)| {
        median(rounds.iter().map(|round| rate(case, round)).collect()).unwrap_or(f64::NAN)
    };
    let fitted = series
        .iter()
        .filter(|(case, _)| case.turned == Turned::Clients);
    let points: Vec<(f64, f64)> = fitted
        .map(|one| (one.0.group(), one.0.group() / rate_of(one)))
        .collect();
    let model = Model::fit(&points);
    let rows = series.iter().map(|one| {
        let (case, rounds) = one;
        let ms = |quantile: f64| {
            let all = rounds
                .iter()
                .map(|round| round.outcome.ack_ns.value_at_quantile(quantile) as f64 / 1e6);
            median(all.collect()).map_or("–".to_owned(), decimals::<2>)
        };
        let predicted = model
            .zip(case.turned.sync_seconds())
            .map(|(model, sync)| model.rate(case.group(), sync));
        let cpu = rounds.iter().map(|round| {
            round.server_cpu.as_secs_f64() * 1e6 / case.workload.pace.publishes() as f64
        });
        let peak = rounds.iter().map(|round| round.peak_kib as f64 / 1024.0);
        vec![
            case.name.clone(),
            whole(rate_of(one)),
            predicted.map_or("–".to_owned(), whole),
            predicted.map_or("–".to_owned(), |rate| decimals::<2>(rate / rate_of(one))),
            ms(0.5),
            ms(0.99),
            median(cpu.collect()).map_or("–".to_owned(), decimals::<2>),
            median(peak.collect()).map_or("–".to_owned(), decimals::<1>),
        ]
    });
    let titles = [
        "readings/s",
        "by the model",
        "of what was measured",
        "PUBACK p50, ms",
        "p99, ms",
        "server CPU, µs a reading",
        "peak, MiB",
    ];
    let mut text = format!(
        "## Limits\n\nThe gateway alone, fresh for each round, with {IN_FLIGHT} publishes of QoS 1 in flight for each client; 50 clients and 1,000 \
         sensors where nothing else is said; a cloud that answers at once. Syncs are made longer by strace's injection, which with 0 ms shows \
         what it costs by itself. Medians of the rounds.\n\n{}",
        table::without_rounds("case", &titles, rows)
    );
    if let Some(model) = model {
        text += &format!(
            "\nThe model: while one half of what is in flight is committed, the other half is on its way, so a commit has half of it, and takes \
             {:.0} µs and {:.2} µs for each reading (fitted to the rows of clients); a slower sync comes on top.\n\n\
             An estimate, not a measurement: with a core so many times slower than this machine's, and syncs that last so long, 50 clients.\n\n",
            model.commit * 1e6,
            model.reading * 1e6
        );
        let rows = BOARDS.map(|(name, slower, sync_ms)| {
            let group = 50.0 * IN_FLIGHT as f64 / 2.0;
            let board = Model {
                commit: model.commit * slower,
                reading: model.reading * slower,
            };
            vec![
                name.to_owned(),
                decimals::<1>(slower),
                decimals::<0>(sync_ms),
                whole(board.rate(group, sync_ms / 1e3)),
            ]
        });
        text += &table::without_rounds("case", &["slower by", "sync, ms", "readings/s"], rows);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_what_made_its_points() {
        let made = Model {
            commit: 0.001,
            reading: 0.000_003,
        };
        let points = [10.0, 100.0, 1000.0].map(|group| (group, made.commit + group * made.reading));
        let found = Model::fit(&points).unwrap_or(Model {
            commit: 0.0,
            reading: 0.0,
        });
        assert!((found.commit - made.commit).abs() < 1e-9, "{found:?}");
        assert!((found.reading - made.reading).abs() < 1e-9, "{found:?}");
        assert!((made.rate(1000.0, 0.006) - 100_000.0).abs() < 1e-6);
        assert_eq!(Model::fit(&points[..1]), None);
    }
}
