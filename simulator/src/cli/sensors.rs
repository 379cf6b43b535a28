//! `simulator sensors`: a line of counts each second on stderr, a summary on stdout.

use std::{num::NonZeroU32, time::Duration};

use clap::{Args, ValueEnum};
use simulator::fleet::{Counts, Fleet, QoS, RunningFleet};
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;

use crate::cli::{Failure, duration};

/// How long the end waits for acknowledgements.
const STOP_LIMIT: Duration = Duration::from_secs(10);
const REPORT_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How many sensors: s1, s2, …
    #[arg(long, default_value = "10")]
    count: NonZeroU32,
    /// Readings per second over the whole fleet, or `max`
    #[arg(long, default_value = "10", value_parser = rate)]
    rate: f64,
    /// The broker, as host:port
    #[arg(long, default_value = "127.0.0.1:1883")]
    broker: String,
    /// Quality of service: 0, 1 or 2
    #[arg(long, value_enum, default_value = "1")]
    qos: Quality,
    /// Ends after this time, such as 60s or 5m; else at Ctrl-C
    #[arg(long = "for", value_parser = duration)]
    run_for: Option<Duration>,
    /// Decides the values
    #[arg(long, default_value = "1")]
    seed: u64,
    /// What stands before the sensor id in the topic
    #[arg(long, default_value = "sensors/")]
    prefix: String,
    /// How many sensors share a connection
    #[arg(long, default_value = "10")]
    sensors_per_connection: NonZeroU32,
    /// Readings on their way without an acknowledgement, for each connection
    #[arg(long, default_value = "20")]
    window: u16,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Quality {
    #[value(name = "0")]
    Zero,
    #[value(name = "1")]
    One,
    #[value(name = "2")]
    Two,
}

pub(crate) async fn run(arguments: Arguments, stop: &CancellationToken) -> Result<(), Failure> {
    let run_for = arguments.run_for;
    let at_qos_0 = matches!(arguments.qos, Quality::Zero);
    let fleet = Fleet::from(arguments)
        .start()
        .map_err(|error| Failure::Usage(error.into()))?;
    let started = Instant::now();
    match run_for {
        Some(limit) => drop(time::timeout(limit, report(&fleet, stop)).await),
        None => report(&fleet, stop).await,
    }
    let ran = started.elapsed().as_secs_f64();
    let last_error = fleet.last_error();
    let counts = fleet.stop(STOP_LIMIT).await;
    println!("{}", line(&counts));
    println!(
        "{:.1} readings per second over {ran:.1} s, {} sent again",
        counts.published as f64 / ran,
        counts.resent
    );
    let missing = counts.published - counts.acked;
    if missing != 0 && !at_qos_0 {
        let reason = last_error.map_or(String::new(), |error| format!("; last error: {error}"));
        return Err(anyhow::anyhow!("{missing} readings were not acknowledged{reason}").into());
    }
    Ok(())
}

/// Tells the counts each second until `stop`.
async fn report(fleet: &RunningFleet, stop: &CancellationToken) {
    let mut ticks = time::interval_at(Instant::now() + REPORT_EVERY, REPORT_EVERY);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let counts = fleet.counts();
        match fleet.last_error() {
            Some(error) if counts.connected == 0 => eprintln!("{}; {error}", line(&counts)),
            _ => eprintln!("{}", line(&counts)),
        }
    }
}

fn line(counts: &Counts) -> String {
    let Counts {
        published,
        acked,
        acked_over_50,
        acked_over_75,
        connected,
        ..
    } = counts;
    format!(
        "published {published}, acked {acked}, of these over 50: {acked_over_50}, over 75: {acked_over_75}; connections {connected}"
    )
}

/// Readings per second; `max` is infinite.
fn rate(text: &str) -> Result<f64, String> {
    if text == "max" {
        return Ok(f64::INFINITY);
    }
    text.parse()
        .ok()
        .filter(|rate: &f64| rate.is_finite() && 0.0 < *rate)
        .ok_or_else(|| "expected a number greater than 0, or `max`".to_owned())
}

impl From<Arguments> for Fleet {
    fn from(arguments: Arguments) -> Self {
        Self {
            broker: arguments.broker,
            count: arguments.count.get(),
            rate: arguments.rate,
            qos: match arguments.qos {
                Quality::Zero => QoS::AtMostOnce,
                Quality::One => QoS::AtLeastOnce,
                Quality::Two => QoS::ExactlyOnce,
            },
            topic_prefix: arguments.prefix,
            seed: arguments.seed,
            sensors_per_connection: arguments.sensors_per_connection.get(),
            window: arguments.window,
            credentials: None,
        }
    }
}
