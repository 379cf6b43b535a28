//! What rules cost: alone, and in a gateway beside one without any.

use std::{env, path::Path, process::Command, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use tempfile::TempDir;

use crate::{
    evaluations::{self, Kind, RULES, SENSORS, apart},
    flood::by_turns,
    gateway,
    http::get,
    options::{Only, Options},
    sink::Sink,
    steady::Steady,
    table::{decimals, median, missed, quotients, row_of, whole},
};

const ROUNDS: u32 = 5;
const OTHERS: [usize; 4] = [10, 100, 1000, 10_000];
const RATES: [u64; 2] = [1000, 5000];
/// Before a measurement, and its length.
const WARM_UP: Duration = Duration::from_secs(2);
const LENGTH: Duration = Duration::from_secs(8);

const GOAL_EVALUATIONS: f64 = 1e6;
const GOAL_COMMIT: f64 = 1.1;

pub(crate) struct Report {
    mixed: Vec<f64>,
    kinds: Vec<(Kind, Vec<f64>, f64)>,
    others: Vec<(usize, Vec<f64>)>,
    commits: Vec<(u64, [Vec<Commits>; 2])>,
    version: String,
}

/// Of one gateway at a steady rate, in milliseconds.
struct Commits {
    mean: f64,
    ack_p50: f64,
    ack_p99: f64,
}

pub(crate) fn run(options: &Options) -> Result<Report> {
    ensure!(
        options.only.is_none_or(|only| only == Only::Gateway),
        "only the gateway is measured"
    );
    let rounds = options.rounds_or(ROUNDS);
    let repeat = |measure: &(dyn Fn() -> Result<f64> + Sync)| -> Result<Vec<f64>> {
        (0..rounds).map(|_| apart(measure)).collect()
    };
    let mixed = repeat(&|| evaluations::evaluations(None))?;
    eprintln!("{RULES} mixed rules: {:.0} evaluations/s", middle(&mixed));
    let mut kinds = Vec::new();
    for kind in Kind::ALL {
        let bytes = memory(kind)?;
        let each = repeat(&|| evaluations::evaluations(Some(kind)))?;
        eprintln!(
            "{kind:?}: {:.0} evaluations/s, {bytes:.0} bytes",
            middle(&each)
        );
        kinds.push((kind, each, bytes));
    }
    let mut others = Vec::new();
    for count in OTHERS {
        let each = repeat(&|| evaluations::among(count))?;
        eprintln!("one of {count} rules: {:.3} µs", middle(&each));
        others.push((count, each));
    }
    let program = gateway::find()?;
    let mut commits = Vec::new();
    for rate in RATES {
        let mut both = [(false, Vec::new()), (true, Vec::new())];
        by_turns(&mut both, rounds, |_, (has_rules, all)| {
            all.push(measure(&program, &options.folder, rate, *has_rules)?);
            Ok(())
        })?;
        let [(_, without), (_, with)] = both;
        commits.push((rate, [without, with]));
    }
    let subjects = crate::subject::find_that_store(options)?;
    Ok(Report {
        mixed,
        kinds,
        others,
        commits,
        version: subjects.first().context("no gateway")?.version()?,
    })
}

fn memory(kind: Kind) -> Result<f64> {
    let name = kind.to_possible_value().context("every kind has a name")?;
    let output = Command::new(env::current_exe()?)
        .args(["--memory-of", name.get_name()])
        .output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

fn measure(program: &Path, parent: &Path, rate: u64, has_rules: bool) -> Result<Commits> {
    let folder = TempDir::with_prefix_in("bench-", parent)?;
    let sink = Sink::start()?;
    // What goes out would take its part of the processor.
    sink.set_away(true);
    let start = if has_rules {
        gateway::start_with_http
    } else {
        gateway::start_without_rules
    };
    let (server, mqtt, http) = start(program, folder.path(), &sink.url())?;
    let length = (WARM_UP + LENGTH).as_secs() + 5;
    let load = Steady::start(mqtt, rate, length)?;
    thread::sleep(WARM_UP);
    let before = commit_seconds(&get(http, "/metrics")?)?;
    load.begin(1);
    thread::sleep(LENGTH);
    let after = commit_seconds(&get(http, "/metrics")?)?;
    let (_, [_, latencies]) = load.stop()?;
    server.stop()?;
    let quantile = |quantile| latencies.value_at_quantile(quantile) as f64 / 1e6;
    let found = Commits {
        mean: (after.0 - before.0) * 1e3 / (after.1 - before.1),
        ack_p50: quantile(0.5),
        ack_p99: quantile(0.99),
    };
    let rules = if has_rules {
        "the default rules"
    } else {
        "no rules"
    };
    eprintln!("{rate}/s, {rules}: commit {:.3} ms", found.mean);
    Ok(found)
}

/// Sum and count of the histogram.
fn commit_seconds(metrics: &str) -> Result<(f64, f64)> {
    let value = |name: &str| -> Result<f64> {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        Ok(line.with_context(|| format!("no {name}"))?.trim().parse()?)
    };
    Ok((
        value("gateway_commit_seconds_sum ")?,
        value("gateway_commit_seconds_count ")?,
    ))
}

fn middle(values: &[f64]) -> f64 {
    median(values.to_vec()).unwrap_or(f64::NAN)
}

impl Report {
    pub(crate) fn render(&self) -> String {
        let mixed = middle(&self.mixed);
        let mut text = format!(
            "## Rules\n\nThe engine alone, on one core, in CPU time, with what a commit would write of its memory: {RULES} rules that \
             all see each reading of {SENSORS} sensors whose values wander (four of ten comparisons, two with times, a tumbling and a \
             sliding window, one for silence, one for the interpreter).\n\n**{} evaluations a second** (goal {}{}).\n\n\
             Of {RULES} rules of one kind, and what each remembers of a sensor with its alert open:\n\n\
             | rule | evaluations/s | bytes for each rule and sensor |\n|---|---:|---:|\n",
            whole(mixed),
            whole(GOAL_EVALUATIONS),
            missed(GOAL_EVALUATIONS <= mixed),
        );
        for (kind, each, bytes) in &self.kinds {
            text += &row_of([kind.example(), &whole(middle(each)), &whole(*bytes)]);
        }
        text += "\nA reading that one rule sees, among others with other topics:\n\n| rules | µs for a reading |\n|---:|---:|\n";
        for (count, each) in &self.others {
            text += &row_of([whole(*count as f64), decimals::<3>(middle(each))]);
        }
        text += "\nA gateway with the default rules beside one without rules, readings over MQTT at a steady rate, the cloud away; \
                 medians:\n\n| readings/s | rules | commit, ms | PUBACK p50, ms | p99, ms |\n|---:|---|---:|---:|---:|\n";
        for (rate, [without, with]) in &self.commits {
            for (name, all) in [("none", without), ("default", with)] {
                let of = |value: fn(&Commits) -> f64| {
                    decimals::<3>(middle(&all.iter().map(value).collect::<Vec<_>>()))
                };
                text += &row_of([
                    whole(*rate as f64),
                    name.to_owned(),
                    of(|commits| commits.mean),
                    of(|commits| commits.ack_p50),
                    of(|commits| commits.ack_p99),
                ]);
            }
        }
        for (rate, [without, with]) in &self.commits {
            let of = |all: &[Commits]| all.iter().map(|commits| commits.mean).collect::<Vec<_>>();
            let (ratios, each) = quotients(&of(with), &of(without));
            let ratio = middle(&ratios);
            text += &format!(
                "\n**Commit with rules / without, {}/s: {ratio:.2}** (median of {each}; goal at most {GOAL_COMMIT}{}).\n",
                whole(*rate as f64),
                missed(ratio <= GOAL_COMMIT)
            );
        }
        text
    }

    pub(crate) fn versions(&self) -> Vec<String> {
        vec![self.version.clone()]
    }
}
