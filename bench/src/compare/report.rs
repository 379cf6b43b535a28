//! What was measured, as Markdown and as plots.

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;

use super::plot::{self, Axis, Line};
use super::round::Round;
use super::workloads::Workload;
use crate::machine;
use crate::table::{decimals, median, whole, without_rounds};

const GATEWAY: &str = "gateway";

/// What stands above the tables.
pub(crate) const HEAD: &str = "## Side by side\n\nEach server is started afresh for each round, by turns; medians of the rounds, in brackets the least and the \
            most. The gateway has each reading decoded, ruled, stored with fsync and queued for the cloud before its ack, which is \
            its PUBACK, at QoS 2 its PUBCOMP, over HTTP its answer. Mosquitto and rumqttd (as it is shipped) are bare: they store nothing, and stand for \
            what a broker can do. \"Mosquitto + Python\" (`bench/peers/tutorial.py`) and \"gateway on rumqttd\" (`bench/stock/`) do the job and acknowledge \
            before it is done. \"Flask\" (gunicorn, two workers of 32 threads) and \"FastAPI\" (two workers of uvicorn) store with a synced commit for each \
            request (`bench/peers/store.py`) and do nothing else. \"with 10 million\" is the gateway with so many readings stored before. Latency goes from \
            when a publish was due; alerts from there to a subscriber. All that forward do so to the same cloud. Memory is that of all processes.\n\
    \n![Readings a second of the flood](pictures/compare-rate.svg)\n\n![How long PUBACKs take at 5,000 readings a second](pictures/compare-latency.svg)\n\n![Memory while the flood runs](pictures/compare-memory.svg)\n";

/// One workload, with the rounds of each peer.
pub(crate) struct Compared {
    pub(crate) workload: &'static Workload,
    pub(crate) series: Vec<Series>,
}

/// What was measured of one server.
pub(crate) struct Series {
    name: &'static str,
    rounds: Vec<Round>,
    /// Why there are no rounds.
    trouble: Option<String>,
}

impl Series {
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            rounds: Vec::new(),
            trouble: None,
        }
    }

    pub(crate) fn add(&mut self, round: Round) {
        self.rounds.push(round);
    }

    /// One that fails once has no figures: those of other rounds would say that it does what it does not.
    pub(crate) fn give_up(&mut self, number: u32, error: &anyhow::Error) {
        self.rounds.clear();
        let cause = error.root_cause().to_string();
        let what = cause.lines().next().unwrap_or_default();
        self.trouble = Some(format!("failed in round {number}: {what}"));
    }

    pub(crate) fn has_given_up(&self) -> bool {
        self.trouble.is_some()
    }
}

/// A round in a few words.
pub(crate) fn shortly(workload: &Workload, round: &Round) -> String {
    let ack = &round.outcome.ack_ns;
    let rate = whole(rate(workload, round));
    format!(
        "{rate} readings/s, ack p99 {:.2} ms, peak {:.1} MiB",
        ms(ack, 0.99),
        mib(round.peak_kib)
    )
}

/// Readings a second up to the last acknowledgement.
fn rate(workload: &Workload, round: &Round) -> f64 {
    readings(workload) as f64 / round.outcome.took.as_secs_f64()
}

/// Readings a second up to when all were stored; nothing if they were not, or if there is nothing that stores.
fn stored_rate(workload: &Workload, round: &Round) -> Option<f64> {
    let lag = round.kept.as_ref()?.lag?;
    Some(readings(workload) as f64 / (round.outcome.took + lag).as_secs_f64())
}

fn readings(workload: &Workload) -> u64 {
    workload.pace.publishes() * workload.payload.readings()
}

fn ms(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    histogram.value_at_quantile(quantile) as f64 / 1e6
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// Median, and least to most.
fn spread(values: Vec<f64>, show: impl Fn(f64) -> String) -> String {
    let ends = values
        .iter()
        .copied()
        .fold(None, |ends: Option<(f64, f64)>, value| {
            Some(ends.map_or((value, value), |(least, most)| {
                (least.min(value), most.max(value))
            }))
        });
    match (ends, median(values)) {
        (Some((least, most)), Some(middle)) if show(least) != show(most) => {
            format!("{} ({}–{})", show(middle), show(least), show(most))
        }
        (_, Some(middle)) => show(middle),
        _ => "–".to_owned(),
    }
}

fn middle(
    rounds: &[Round],
    value: impl Fn(&Round) -> Option<f64>,
    show: impl Fn(f64) -> String,
) -> String {
    median(rounds.iter().filter_map(value).collect()).map_or("–".to_owned(), show)
}

impl Compared {
    pub(crate) fn render(&self, rounds: u32) -> Result<String> {
        let workload = self.workload;
        let mut text = format!(
            "\n### {}\n\n{}. {}, {rounds} rounds.\n\n",
            workload.name,
            workload.what,
            machine::today()?
        );
        let titles = [
            "readings/s",
            "of the gateway's",
            "stored/s",
            "stored at the last ack",
            "ack p50, ms",
            "p99",
            "p99.9",
            "alert p50, ms",
            "p99",
            "p99.9",
            "idle, MiB",
            "peak, MiB",
            "server CPU, s",
            "generator CPU, s",
        ];
        let gateway = self.series.iter().find(|series| series.name == GATEWAY);
        let rows = self.series.iter().map(|Series { name, rounds, .. }| {
            let rates: Vec<f64> = rounds.iter().map(|round| rate(workload, round)).collect();
            let ratios = gateway.map(|ours| {
                let pairs = rates.iter().zip(&ours.rounds);
                pairs
                    .map(|(theirs, ours)| theirs / rate(workload, ours))
                    .collect()
            });
            let quantile = |of: fn(&Round) -> &Histogram<u64>, quantile| {
                let found = |round: &Round| {
                    let all = of(round);
                    (!all.is_empty()).then(|| ms(all, quantile))
                };
                middle(rounds, found, decimals::<2>)
            };
            let ack = |part| quantile(|round| &round.outcome.ack_ns, part);
            let alert = |part| quantile(|round| &round.outcome.alert_ns, part);
            let part = |round: &Round| {
                Some(100.0 * round.kept.as_ref()?.at_last_ack as f64 / readings(workload) as f64)
            };
            vec![
                (*name).to_owned(),
                spread(rates, whole),
                ratios.map_or("–".to_owned(), |ratios| spread(ratios, decimals::<2>)),
                middle(rounds, |round| stored_rate(workload, round), whole),
                middle(rounds, part, |percent| format!("{percent:.1} %")),
                ack(0.5),
                ack(0.99),
                ack(0.999),
                alert(0.5),
                alert(0.99),
                alert(0.999),
                middle(rounds, |round| Some(mib(round.idle_kib)), decimals::<1>),
                spread(
                    rounds.iter().map(|round| mib(round.peak_kib)).collect(),
                    decimals::<1>,
                ),
                middle(
                    rounds,
                    |round| Some(round.server_cpu.as_secs_f64()),
                    decimals::<2>,
                ),
                middle(
                    rounds,
                    |round| Some(round.outcome.generator_cpu.as_secs_f64()),
                    decimals::<2>,
                ),
            ]
        });
        text += &without_rounds("server", &titles, rows);
        Ok(text + &self.losses())
    }

    /// What did not come, where that was so.
    fn losses(&self) -> String {
        let mut text = String::new();
        let all = readings(self.workload);
        for Series {
            name,
            rounds,
            trouble,
        } in &self.series
        {
            if let Some(trouble) = trouble {
                text += &format!("\n{name} {trouble}.\n");
                continue;
            }
            let lost = |due: u64, came: &dyn Fn(&Round) -> Option<u64>| {
                let lost = rounds
                    .iter()
                    .filter_map(|round| Some(due.saturating_sub(came(round)?) as f64));
                median(lost.collect()).filter(|lost| 0.0 < *lost)
            };
            let deliveries = self.workload.pace.publishes() * self.workload.dashboards as u64;
            let due = rounds.first().map_or(0, |round| round.outcome.alerts_due);
            let losses = [
                (
                    "readings were never stored",
                    lost(all, &|round| Some(round.kept.as_ref()?.at_end)),
                    all,
                ),
                (
                    "alerts did not come within 5 s of the last acknowledgement",
                    lost(due, &|round| Some(round.outcome.alerts)),
                    due,
                ),
                (
                    "deliveries to dashboards did not come",
                    lost(deliveries, &|round| Some(round.outcome.delivered)),
                    deliveries,
                ),
            ];
            for (what, lost, of) in losses {
                if let Some(lost) = lost {
                    text += &format!(
                        "\n{name}: {} of {} {what}.\n",
                        whole(lost),
                        whole(of as f64)
                    );
                }
            }
        }
        text
    }

    /// Fails unless everything that the gateway acknowledged at QoS 1 and 2 was in its store by then.
    pub(crate) fn check(&self) -> Result<()> {
        let gateway = self.series.iter().filter(|series| series.name == GATEWAY);
        let rounds = gateway.flat_map(|series| &series.rounds);
        for kept in rounds.filter_map(|round| round.kept.as_ref()) {
            let (stored, acked) = (kept.at_last_ack, readings(self.workload));
            ensure!(
                stored == acked || self.workload.qos == 0,
                "{}: the gateway acknowledged {acked} readings and stored {stored}",
                self.workload.name
            );
        }
        Ok(())
    }

    /// Files by their names.
    pub(crate) fn plots(&self) -> Vec<(&'static str, String)> {
        match self.workload.name {
            "a flood" => vec![
                ("compare-rate.svg", rates(self)),
                ("compare-memory.svg", memory(self)),
            ],
            "b steady 5,000/s" => vec![("compare-latency.svg", latencies(self))],
            _ => Vec::new(),
        }
    }
}

fn rates(one: &Compared) -> String {
    let bars = one.series.iter().filter_map(|Series { name, rounds, .. }| {
        let rate = median(
            rounds
                .iter()
                .map(|round| rate(one.workload, round))
                .collect(),
        )?;
        Some(((*name).to_owned(), rate, whole(rate)))
    });
    plot::bars(
        "Readings a second, 50 clients, QoS 1 (bare brokers store nothing)",
        &bars.collect::<Vec<_>>(),
    )
}

/// A line for each server, of a round in the middle.
fn lines_of(one: &Compared, points: impl Fn(&Round) -> Vec<(f64, f64)>) -> Vec<Line> {
    let line = |Series { name, rounds, .. }: &Series| -> Option<Line> {
        Some(((*name).to_owned(), points(rounds.get(rounds.len() / 2)?)))
    };
    one.series.iter().filter_map(line).collect()
}

fn latencies(one: &Compared) -> String {
    const QUANTILES: [(f64, &str); 5] = [
        (1.0, "0"),
        (2.0, "50 %"),
        (10.0, "90 %"),
        (100.0, "99 %"),
        (1000.0, "99.9 %"),
    ];
    let lines = lines_of(one, |round| {
        let points = (0..=60).map(|step| {
            let behind = 10_f64.powf(f64::from(step) / 20.0);
            (behind, ms(&round.outcome.ack_ns, 1.0 - 1.0 / behind))
        });
        points.collect()
    });
    let across = Axis {
        title: "share of PUBACKs that were faster",
        is_logarithmic: true,
        marks: &QUANTILES,
    };
    let up = Axis {
        title: "ms",
        is_logarithmic: true,
        marks: &[
            (0.01, "0.01"),
            (0.1, "0.1"),
            (1.0, "1"),
            (10.0, "10"),
            (100.0, "100"),
        ],
    };
    plot::lines(
        "How long PUBACKs take at 5,000 readings a second",
        across,
        up,
        &lines,
    )
}

fn memory(one: &Compared) -> String {
    let lines = lines_of(one, |round| {
        let samples = round.memory.iter();
        samples
            .map(|(seconds, kib)| (*seconds, mib(*kib)))
            .collect()
    });
    let across = Axis {
        title: "seconds since the first publish, until all is stored",
        is_logarithmic: true,
        marks: &[
            (0.01, "0.01"),
            (0.1, "0.1"),
            (1.0, "1"),
            (10.0, "10"),
            (100.0, "100"),
        ],
    };
    let up = Axis {
        title: "MiB, resident",
        is_logarithmic: true,
        marks: &[(1.0, "1"), (10.0, "10"), (100.0, "100"), (1000.0, "1000")],
    };
    plot::lines(
        "Memory while 200,000 readings are published, and stored",
        across,
        up,
        &lines,
    )
}
