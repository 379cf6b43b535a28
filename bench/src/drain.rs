//! An outage and its end: readings wait in the outbox, the cloud comes back, and live readings go on meanwhile.

use std::{
    collections::HashSet,
    io::Read,
    net::SocketAddr,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use flate2::read::GzDecoder;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    gateway,
    http::get,
    load::{Load, Shape},
    options::{Only, Options},
    process,
    server::version_of,
    sink::Sink,
    steady::Steady,
    table::{self, decimals, median, whole},
};

const ROUNDS: u32 = 3;
/// Half of the readings are over 50: a million waits.
const READINGS: u64 = 2_000_000;
const LIVE_RATE: u64 = 10_000;
const BASELINE: Duration = Duration::from_secs(8);
const LONGEST: u64 = 240;
const LOOK: Duration = Duration::from_millis(50);

struct Case {
    name: &'static str,
    round_trip: Duration,
}

const CASES: &[Case] = &[
    Case {
        name: "loopback",
        round_trip: Duration::ZERO,
    },
    Case {
        name: "200 ms to the answer",
        round_trip: Duration::from_millis(200),
    },
];

pub(crate) struct Report {
    version: String,
    rounds: Vec<(&'static str, Drained)>,
}

struct Drained {
    waited: u64,
    /// From the cloud's return to the first request that it answers.
    tried_after: Duration,
    /// From then on.
    took: Duration,
    before_ms: f64,
    during_ms: f64,
    idle_load_kib: u64,
    peak_kib: u64,
    cpu: Duration,
    /// What should have arrived and did not.
    lost: usize,
    repeated: usize,
    bytes: u64,
}

pub(crate) fn run(options: &Options) -> Result<Report> {
    ensure!(
        options.wants(Only::Gateway) && options.only.is_none_or(|only| only == Only::Gateway),
        "only the gateway is measured"
    );
    let is_wanted = |name: &str| options.wants_case(name);
    run_cases(is_wanted, options.rounds_or(ROUNDS), &options.folder)
}

/// The cases that are wanted, so often each.
pub(crate) fn run_cases(
    is_wanted: impl Fn(&str) -> bool,
    rounds_of_each: u32,
    folder: &Path,
) -> Result<Report> {
    let program = gateway::find()?;
    let mut rounds = Vec::new();
    for case in CASES.iter().filter(|case| is_wanted(case.name)) {
        for round in 1..=rounds_of_each {
            let drained = measure(&program, case, folder)?;
            eprintln!(
                "round {round}, {}: {:.0} readings/s, live p99 {:.2} ms before, {:.2} ms during, {} lost",
                case.name,
                drained.rate(),
                drained.before_ms,
                drained.during_ms,
                drained.lost
            );
            rounds.push((case.name, drained));
        }
    }
    Ok(Report {
        version: version_of(&program)?,
        rounds,
    })
}

fn measure(program: &Path, case: &Case, parent: &Path) -> Result<Drained> {
    let folder =
        TempDir::with_prefix_in("bench-", parent).context("cannot make a temporary folder")?;
    let sink = Sink::start()?;
    sink.keep_bodies();
    sink.set_away(true);
    let (server, mqtt, http) = gateway::start_with_http(program, folder.path(), &sink.url())?;
    let shape = Shape {
        clients: 50,
        in_flight: 20,
        readings: READINGS,
    };
    Load::prepare(mqtt, shape)?.run(|| Ok(()))?;
    let live = Steady::start(mqtt, LIVE_RATE, LONGEST)?;
    thread::sleep(BASELINE);
    let idle_load_kib = process::resident_kib(server.pid())?;
    let waited = pending(http)?;
    let cpu = process::cpu_time(server.pid())?;
    live.begin(1);
    sink.set_latency(case.round_trip);
    sink.set_away(false);
    let returned = Instant::now();
    while sink.taken().requests == 0 {
        if Duration::from_secs(LONGEST) < returned.elapsed() {
            bail!("the cloud is not tried within {LONGEST} s");
        }
        thread::sleep(LOOK);
    }
    let (tried_after, started) = (returned.elapsed(), Instant::now());
    let mut peak_kib = 0;
    // What waits in the end is what live readings bring while a batch is on its way.
    let rest = LIVE_RATE / 2;
    while rest < pending(http)? {
        peak_kib = peak_kib.max(process::resident_kib(server.pid())?);
        if Duration::from_secs(LONGEST) < started.elapsed() {
            bail!("it is not drained after {LONGEST} s");
        }
        thread::sleep(LOOK);
    }
    let took = started.elapsed();
    let cpu = process::cpu_time(server.pid())? - cpu;
    let (published, [before, during]) = live.stop()?;
    while 0 < pending(http)? {
        thread::sleep(LOOK);
    }
    server.stop()?;
    let (received, distinct) = ids(&sink.take_bodies())?;
    let due = READINGS / 2 + over_50(published as u64);
    folder
        .close()
        .context("cannot remove the temporary folder")?;
    let p99 =
        |latencies: &hdrhistogram::Histogram<u64>| latencies.value_at_quantile(0.99) as f64 / 1e6;
    Ok(Drained {
        waited,
        tried_after,
        took,
        before_ms: p99(&before),
        during_ms: p99(&during),
        idle_load_kib,
        peak_kib,
        cpu,
        lost: usize::try_from(due)?.saturating_sub(distinct),
        repeated: received - distinct,
        bytes: sink.taken().body_bytes,
    })
}

/// Of the first `readings` readings.
fn over_50(readings: u64) -> u64 {
    let over = (0..readings).filter(|seq| crate::frames::is_over(*seq, 50));
    over.count() as u64
}

fn pending(http: SocketAddr) -> Result<u64> {
    let outbox: Value = serde_json::from_str(&get(http, "/api/v1/outbox")?)?;
    outbox["pending"].as_u64().context("no `pending`")
}

/// How many readings the bodies have, and how many different ones.
fn ids(bodies: &[Vec<u8>]) -> Result<(usize, usize)> {
    let (mut received, mut distinct) = (0, HashSet::new());
    for body in bodies {
        let mut text = String::new();
        GzDecoder::new(&**body).read_to_string(&mut text)?;
        let batch: Value = serde_json::from_str(&text)?;
        for reading in batch["readings"].as_array().context("no readings")? {
            received += 1;
            distinct.insert(reading["id"].as_i64().context("no id")?);
        }
    }
    Ok((received, distinct.len()))
}

impl Drained {
    fn rate(&self) -> f64 {
        self.waited as f64 / self.took.as_secs_f64()
    }
}

impl Report {
    pub(crate) fn render(&self) -> String {
        let mut rows = Vec::new();
        for case in CASES {
            let all: Vec<&Drained> = self
                .rounds
                .iter()
                .filter(|(name, _)| *name == case.name)
                .map(|(_, drained)| drained)
                .collect();
            for (number, one) in all.iter().enumerate() {
                rows.push(row((number + 1).to_string(), case.name, &[one]));
            }
            if !all.is_empty() {
                rows.push(row("median".to_owned(), case.name, &all));
            }
        }
        let titles = [
            "waited",
            "next try after, s",
            "drained in, s",
            "drained/s",
            "live PUBACK p99 before, ms",
            "during, ms",
            "memory before, MiB",
            "peak during, MiB",
            "server CPU, s",
            "lost",
            "more than once",
            "bytes a reading",
        ];
        format!(
            "## Drain\n\n{} readings are published while the cloud is away; half are over 50 and wait. Then {LIVE_RATE} \
             a second go on with QoS 1, for {} s with the cloud away and on while it is back, with the default \
             settings: gzip, batches of 1,000, 16 requests at once. The next try comes at a random time after an outage, \
             within a bound that grows with it; the drain is measured from its answer on. Drained is when no more than \
             half a second of live readings waits. The cloud answers every request after the time named, keeps each \
             body, and the ids in them are counted in the end.\n\n{}",
            whole(READINGS as f64),
            BASELINE.as_secs(),
            table::lines(&titles, &rows)
        )
    }

    pub(crate) fn versions(&self) -> Vec<String> {
        vec![self.version.clone()]
    }

    /// Fails if a reading did not arrive.
    pub(crate) fn check(&self) -> Result<()> {
        for (name, drained) in &self.rounds {
            ensure!(drained.lost == 0, "{name}: {} readings lost", drained.lost);
        }
        Ok(())
    }
}

fn row(label: String, case: &str, all: &[&Drained]) -> Vec<String> {
    let middle = |value: &dyn Fn(&Drained) -> f64| {
        median(all.iter().map(|one| value(one)).collect()).unwrap_or(f64::NAN)
    };
    let mib = |kib: u64| kib as f64 / 1024.0;
    vec![
        label,
        case.to_owned(),
        whole(middle(&|one| one.waited as f64)),
        decimals::<1>(middle(&|one| one.tried_after.as_secs_f64())),
        decimals::<1>(middle(&|one| one.took.as_secs_f64())),
        whole(middle(&Drained::rate)),
        decimals::<2>(middle(&|one| one.before_ms)),
        decimals::<2>(middle(&|one| one.during_ms)),
        decimals::<1>(middle(&|one| mib(one.idle_load_kib))),
        decimals::<1>(middle(&|one| mib(one.peak_kib))),
        decimals::<2>(middle(&|one| one.cpu.as_secs_f64())),
        whole(middle(&|one| one.lost as f64)),
        whole(middle(&|one| one.repeated as f64)),
        decimals::<1>(middle(&|one| one.bytes as f64 / one.waited as f64)),
    ]
}
