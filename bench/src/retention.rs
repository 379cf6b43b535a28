//! What who publishes feels of a budget that is spent: how long a PUBACK takes while there is room, and while old readings are packed
//! and thinned to make some.

use std::{
    net::SocketAddr,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{
    gateway,
    http::get,
    load::{Load, Shape},
    options::{Only, Options},
    sink::Sink,
    steady::Steady,
    table::{decimals, median, missed, row_of, whole},
};

const ROUNDS: u32 = 3;
const RATES: [u64; 2] = [1_000, 10_000];
const BUDGET: &str = "64MiB";
const FLOODED_AT_ONCE: u64 = 200_000;
const REST: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(120);
/// Of each of the two loads; a thousand a second fill a block in 33 s.
const PHASE: Duration = Duration::from_secs(45);

const GOAL: f64 = 2.0;

pub(crate) struct Report {
    version: String,
    rounds: Vec<Round>,
}

struct Round {
    rate: u64,
    /// While there is room, and while some is made: a half, 99 of 100, and the longest of all PUBACKs, in milliseconds.
    phases: [[f64; 3]; 2],
    thinned: u64,
}

pub(crate) fn run(options: &Options) -> Result<Report> {
    ensure!(
        options.only.is_none_or(|only| only == Only::Gateway),
        "only the gateway is measured"
    );
    let program = gateway::find()?;
    let mut rounds = Vec::new();
    for rate in RATES {
        for number in 1..=options.rounds_or(ROUNDS) {
            let round = measure(&program, &options.folder, rate)?;
            eprintln!("round {number}: {}", round.row().trim());
            rounds.push(round);
        }
    }
    let subjects = crate::subject::find_that_store(options)?;
    let version = subjects.first().context("no gateway")?.version()?;
    Ok(Report { version, rounds })
}

fn measure(program: &Path, parent: &Path, rate: u64) -> Result<Round> {
    let folder =
        TempDir::with_prefix_in("bench-", parent).context("cannot make a temporary folder")?;
    let sink = Sink::start()?;
    let (server, mqtt, http) =
        gateway::start_with_budget(program, folder.path(), &sink.url(), BUDGET)?;
    let steady = || -> Result<[f64; 3]> {
        let live = Steady::start(mqtt, rate, 2 * PHASE.as_secs())?;
        thread::sleep(PHASE);
        let (_, [of_live, _]) = live.stop()?;
        let milliseconds = |quantile| of_live.value_at_quantile(quantile) as f64 / 1e6;
        Ok([0.5, 0.99, 1.0].map(milliseconds))
    };
    let before = steady()?;
    ensure!(thinned(http)? == 0, "there is no room to begin with");
    let started = Instant::now();
    while thinned(http)? == 0 {
        ensure!(started.elapsed() < PATIENCE, "nothing is thinned");
        let shape = Shape {
            clients: 20,
            in_flight: 20,
            readings: FLOODED_AT_ONCE,
        };
        Load::prepare(mqtt, shape)?.run(|| Ok(()))?;
    }
    // What the flood has left to do is not what a steady rate asks for.
    let mut thinned_before = 0;
    while thinned_before < thinned(http)? {
        thinned_before = thinned(http)?;
        thread::sleep(REST);
    }
    let during = steady()?;
    let thinned = thinned(http)? - thinned_before;
    ensure!(0 < thinned, "no room is made while it is measured");
    server.stop()?;
    Ok(Round {
        rate,
        phases: [before, during],
        thinned,
    })
}

fn thinned(http: SocketAddr) -> Result<u64> {
    const METRIC: &str = "gateway_readings_removed_total{reason=\"thinned\"} ";
    let metrics = get(http, "/metrics")?;
    let line = metrics.lines().find_map(|line| line.strip_prefix(METRIC));
    Ok(line.map_or(Ok(0), str::parse)?)
}

impl Round {
    /// How many times as long 99 of 100 take at the most while room is made.
    fn ratio(&self) -> f64 {
        self.phases[1][1] / self.phases[0][1]
    }

    fn row(&self) -> String {
        let [before, during] = &self.phases;
        let times = before.iter().zip(during).flat_map(|(a, b)| [a, b]);
        let mut cells = vec![whole(self.rate as f64)];
        cells.extend(times.map(|time| decimals::<2>(*time)));
        cells.extend([decimals::<2>(self.ratio()), whole(self.thinned as f64)]);
        row_of(cells)
    }
}

impl Report {
    pub(crate) fn render(&self) -> String {
        let rows: String = self.rounds.iter().map(Round::row).collect();
        let ratios = RATES.map(|rate| {
            let of_rate = self.rounds.iter().filter(|round| round.rate == rate);
            let ratio = median(of_rate.map(Round::ratio).collect()).unwrap_or(f64::NAN);
            let goal = missed(ratio <= GOAL);
            format!(
                "{} at {} a second{goal}",
                decimals::<2>(ratio),
                whole(rate as f64)
            )
        });
        format!(
            "## Retention\n\nTen clients publish at a steady rate with QoS 1 for {} s to a new store, half of it forwarded. Then its budget of \
             {BUDGET} is flooded until readings are thinned, and when that is done they go on for as long, while blocks are packed and thinned as they \
             come.\n\n\
             | readings/s | PUBACK median with room, ms | while some is made, ms | p99, ms | while, ms | max, ms | while, ms | p99, ratio | thinned meanwhile |\n\
             |---:|---:|---:|---:|---:|---:|---:|---:|---:|\n{rows}\n\
             **p99 while room is made, as many times that with room: {} (goal {}; medians).**\n",
            PHASE.as_secs(),
            ratios.join(", "),
            decimals::<0>(GOAL),
        )
    }

    pub(crate) fn versions(&self) -> Vec<String> {
        vec![self.version.clone()]
    }
}
