//! The same outage for three ways to a cloud: the line is cut, the system is killed meanwhile, the line comes back.

use std::{
    collections::HashMap,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use crate::{
    forwarding::{Programs, Queue, System, Way},
    options::Options,
    returning::Publishers,
    table::{self, decimals, whole},
};

const ROUNDS: u32 = 2;
const WAYS: [Way; 5] = [
    Way::Gateway,
    Way::Bridge(Queue::Default),
    Way::Bridge(Queue::Persistent),
    Way::Bridge(Queue::SavedOften),
    Way::Script,
];
const RATE: u64 = 2_000;
/// How long readings are published.
const SECONDS: u64 = 30;
const CUT_AT: Duration = Duration::from_secs(5);
const KILLED_AT: Duration = Duration::from_secs(15);
const MENDED_AT: Duration = Duration::from_secs(25);
/// Before the load: bridge and script have connected by then. After the last arrival: what comes twice may still come.
const SETTLE: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(120);
/// More than any of them waits before it tries again.
const QUIET: Duration = Duration::from_secs(40);

pub(crate) struct Report {
    rounds: Vec<(Way, Outcome)>,
    pub(crate) versions: Vec<String>,
}

struct Outcome {
    acked: usize,
    /// Of those acked, what had to arrive.
    due: usize,
    /// From the line's return to the last reading that arrived for the first time.
    took: Duration,
    lost: usize,
    repeated: usize,
    peak_kib: u64,
}

pub(crate) fn run(options: &Options) -> Result<Report> {
    ensure!(
        options.only.is_none(),
        "--case chooses what is sent through an outage"
    );
    let programs = Programs::find()?;
    let mut rounds = Vec::new();
    for round in 1..=options.rounds_or(ROUNDS) {
        for way in WAYS {
            if !options.wants_case(way.name()) || !programs.have(way) {
                continue;
            }
            let outcome = measure(way, &programs, &options.folder)?;
            eprintln!(
                "round {round}, {}: {} of {} lost, the last after {:.1} s, {} more than once",
                way.name(),
                outcome.lost,
                outcome.due,
                outcome.took.as_secs_f64(),
                outcome.repeated
            );
            rounds.push((way, outcome));
        }
    }
    let versions = programs.versions()?;
    Ok(Report { rounds, versions })
}

fn measure(way: Way, programs: &Programs, parent: &Path) -> Result<Outcome> {
    let mut system = System::new(way, programs, parent)?;
    system.start()?;
    thread::sleep(SETTLE);
    let started = Instant::now();
    let sleep_until = |second: Duration| thread::sleep(second.saturating_sub(started.elapsed()));
    let publishers = Publishers::start(system.address(), RATE, SECONDS)?;
    sleep_until(CUT_AT);
    system.line.cut();
    sleep_until(KILLED_AT);
    let peak_kib = system.peak_kib()?;
    system.kill()?;
    system.start()?;
    sleep_until(MENDED_AT);
    let mut arrivals = Arrivals::default();
    arrivals.add(&system.cloud.take()?);
    system.line.mend();
    let mended = Instant::now();
    while !publishers.are_done() {
        thread::sleep(LOOK);
        arrivals.add(&system.cloud.take()?);
    }
    let acked = publishers.join()?;
    let mut due = acked.clone();
    due.retain(|&seq| way.forwards(seq));
    while arrivals.lost(&due) != 0
        && mended.elapsed() < LONGEST
        && arrivals
            .last(&due)
            .max(Some(mended))
            .is_some_and(|last| last.elapsed() < QUIET)
    {
        thread::sleep(LOOK);
        arrivals.add(&system.cloud.take()?);
    }
    thread::sleep(SETTLE);
    arrivals.add(&system.cloud.take()?);
    let outcome = Outcome {
        acked: acked.len(),
        took: arrivals.last(&due).map_or(Duration::ZERO, |last| {
            last.saturating_duration_since(mended)
        }),
        lost: arrivals.lost(&due),
        due: due.len(),
        repeated: arrivals.repeated(),
        peak_kib: peak_kib.max(system.peak_kib()?),
    };
    system.kill()?;
    Ok(outcome)
}

/// When each reading came first, and how often it came.
#[derive(Default)]
struct Arrivals(HashMap<u64, (Instant, u32)>);

impl Arrivals {
    fn add(&mut self, seqs: &[u64]) {
        let now = Instant::now();
        for &seq in seqs {
            self.0.entry(seq).or_insert((now, 0)).1 += 1;
        }
    }

    fn lost(&self, due: &[u64]) -> usize {
        due.iter().filter(|seq| !self.0.contains_key(seq)).count()
    }

    /// When the last of `due` came.
    fn last(&self, due: &[u64]) -> Option<Instant> {
        let firsts = due.iter().filter_map(|seq| self.0.get(seq));
        firsts.map(|(first, _)| *first).max()
    }

    fn repeated(&self) -> usize {
        self.0.values().filter(|(_, times)| 1 < *times).count()
    }
}

impl Report {
    pub(crate) fn render(&self) -> String {
        let mut rows = Vec::new();
        for way in WAYS {
            let of_way = self.rounds.iter().filter(|(one, _)| *one == way);
            for (number, (_, outcome)) in of_way.enumerate() {
                rows.push(row(number + 1, way, outcome));
            }
        }
        let titles = [
            "acked",
            "of these to forward",
            "lost",
            "lost, %",
            "last arrival after the return, s",
            "more than once",
            "peak memory, MiB",
        ];
        format!(
            "## Outage\n\n{RATE} readings a second are published with QoS 1 for {SECONDS} s. The line to the cloud is cut from \
             second {} to second {}, and in second {} the system is killed by SIGKILL (the gateway; the local Mosquitto; \
             Mosquitto and the script) and started again at once. Publishers connect again and publish again what was not \
             acked. Lost is what was acked, had to be forwarded and did not arrive; it is waited for until nothing has \
             come for {} s, at most {} s. As the load goes on for {} s after the return, the last arrival cannot be earlier. \
             The gateway (default settings) and the script (`bench/peers/pipeline.py`: paho-mqtt, each reading committed to SQLite \
             before its ack, batches of up to 1,000) forward the readings over 50; a bridge cannot choose by value, so all are \
             counted for it. The bridge has `cleansession false` and QoS 1: once with Mosquitto's default queue, \
             once with `max_queued_messages 0` and `persistence true`, and once with `autosave_interval 1` too (by default \
             Mosquitto saves each half hour and when it ends). The script's Mosquitto is persistent with \
             the default interval. Memory is the sum over the processes of their peaks. A kill leaves the \
             system's page cache, so this says nothing of a power cut.\n\n{}",
            CUT_AT.as_secs(),
            MENDED_AT.as_secs(),
            KILLED_AT.as_secs(),
            QUIET.as_secs(),
            LONGEST.as_secs(),
            SECONDS - MENDED_AT.as_secs(),
            table::lines(&titles, &rows)
        )
    }

    /// Fails if the gateway lost a reading.
    pub(crate) fn check(&self) -> Result<()> {
        for (way, outcome) in &self.rounds {
            ensure!(
                outcome.lost == 0 || *way != Way::Gateway,
                "the gateway lost {} readings that it had acked",
                outcome.lost
            );
        }
        Ok(())
    }
}

fn row(round: usize, way: Way, outcome: &Outcome) -> Vec<String> {
    let count = |count: usize| whole(count as f64);
    vec![
        round.to_string(),
        way.name().to_owned(),
        count(outcome.acked),
        count(outcome.due),
        count(outcome.lost),
        decimals::<1>(100.0 * outcome.lost as f64 / outcome.due as f64),
        decimals::<1>(outcome.took.as_secs_f64()),
        count(outcome.repeated),
        decimals::<1>(outcome.peak_kib as f64 / 1024.0),
    ]
}
