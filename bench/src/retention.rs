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
    /// While there is room, and while some is made.
    phases: [Phase; 2],
    thinned: u64,
}

/// In milliseconds.
struct Phase {
    /// A half, 99 of 100, and the longest of all PUBACKs.
    pubacks: [f64; 3],
    /// 99 of 100 commits.
    commit: f64,
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
    let steady = || -> Result<Phase> {
        let live = Steady::start(mqtt, rate, 2 * PHASE.as_secs())?;
        let commits = commits(http)?;
        thread::sleep(PHASE);
        let commit = quantile(0.99, &commits, &self::commits(http)?);
        let (_, [of_live, _]) = live.stop()?;
        let milliseconds = |quantile| of_live.value_at_quantile(quantile) as f64 / 1e6;
        Ok(Phase {
            pubacks: [0.5, 0.99, 1.0].map(milliseconds),
            commit: 1e3 * commit.context("nothing is committed")?,
        })
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

/// How many commits took no longer than each bound of the histogram, in seconds; the last one has none.
fn commits(http: SocketAddr) -> Result<Vec<(f64, f64)>> {
    let metrics = get(http, "/metrics")?;
    let lines = metrics.lines();
    let buckets = lines.filter_map(|line| line.strip_prefix("gateway_commit_seconds_bucket{le=\""));
    let bounds = buckets.filter_map(|bucket| bucket.split_once("\"} "));
    bounds
        .map(|(bound, count)| Ok((bound.parse()?, count.parse()?)))
        .collect()
}

/// As Prometheus does it: even within a bucket.
fn quantile(quantile: f64, before: &[(f64, f64)], after: &[(f64, f64)]) -> Option<f64> {
    let counts = before.iter().zip(after);
    let counts: Vec<(f64, f64)> = counts.map(|((_, a), (bound, b))| (*bound, b - a)).collect();
    let rank = quantile * counts.last().filter(|(_, all)| 0.0 < *all)?.1;
    let at = counts.iter().position(|(_, count)| rank <= *count)?;
    let (low, below) = at
        .checked_sub(1)
        .map_or((0.0, 0.0), |before| counts[before]);
    let (high, upto) = counts[at];
    Some(low + (high - low) * (rank - below) / (upto - below))
}

fn thinned(http: SocketAddr) -> Result<u64> {
    const METRIC: &str = "gateway_readings_removed_total{reason=\"thinned\"} ";
    let metrics = get(http, "/metrics")?;
    let line = metrics.lines().find_map(|line| line.strip_prefix(METRIC));
    Ok(line.map_or(Ok(0), str::parse)?)
}

impl Round {
    /// How many times as long 99 of 100 take at the most while room is made: PUBACKs, and commits.
    fn ratios(&self) -> [f64; 2] {
        let [before, during] = &self.phases;
        [
            during.pubacks[1] / before.pubacks[1],
            during.commit / before.commit,
        ]
    }

    fn row(&self) -> String {
        let [before, during] = &self.phases;
        let mut times: Vec<[f64; 2]> = Vec::new();
        times.extend((0..3).map(|of| [before.pubacks[of], during.pubacks[of]]));
        times.push([before.commit, during.commit]);
        let times = times.into_iter().flatten().chain(self.ratios());
        let mut cells = vec![whole(self.rate as f64)];
        cells.extend(times.map(decimals::<2>));
        cells.push(whole(self.thinned as f64));
        row_of(cells)
    }
}

impl Report {
    pub(crate) fn render(&self) -> String {
        let rows: String = self.rounds.iter().map(Round::row).collect();
        let ratios = RATES.map(|rate| {
            let of_rate = || self.rounds.iter().filter(|round| round.rate == rate);
            let ratio = |of: usize| {
                let ratios = of_rate().map(|round| round.ratios()[of]);
                median(ratios.collect()).unwrap_or(f64::NAN)
            };
            format!(
                "at {} a second {} of commits{}, {} of PUBACKs",
                whole(rate as f64),
                decimals::<2>(ratio(1)),
                missed(ratio(1) <= GOAL),
                decimals::<2>(ratio(0)),
            )
        });
        format!(
            "## Retention\n\nTen clients publish at a steady rate with QoS 1 for {} s to a new store, half of it forwarded. Then its budget of \
             {BUDGET} is flooded until readings are thinned, and when that is done they go on for as long, while blocks are packed and thinned as they \
             come.\n\n\
             | readings/s | PUBACK median with room, ms | while some is made, ms | p99, ms | while, ms | max, ms | while, ms | commits, p99, ms | while, ms | PUBACK p99, ratio | commit p99, ratio | thinned meanwhile |\n\
             |---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n{rows}\n\
             **p99 while room is made, as many times that with room: {} (goal {} for commits; medians).**\n\n\
             That of commits is made out of the buckets of `gateway_commit_seconds`, as Prometheus does it.\n",
            PHASE.as_secs(),
            ratios.join("; "),
            decimals::<0>(GOAL),
        )
    }

    pub(crate) fn versions(&self) -> Vec<String> {
        vec![self.version.clone()]
    }
}
