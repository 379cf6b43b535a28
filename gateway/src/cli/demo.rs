//! `edge-gateway demo`: the whole story in a minute. A gateway, a fleet of sensors, a dashboard that listens to alerts
//! and a cloud over HTTPS, which is away in the middle; in the end the books are balanced.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use simulator::cloud::{Cloud, RunningCloud, Stats};
use simulator::dashboard::Dashboard;
use simulator::fleet::{Counts, Fleet, RunningFleet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::run::Signals;
use super::{EXIT_INTERNAL, runtime};
use crate::app;
use crate::config::{self, Config};
use crate::forwarder::Progress;
use crate::logging::LogFilter;
use crate::service::Service;
use crate::store::Reader;

/// What is on its way when the sensors stop has so long to arrive.
const SETTLE_LIMIT: Duration = Duration::from_secs(30);

/// The outage is a sixth of the demo: at least so long that the uplink notices.
const SHORTEST: Duration = Duration::from_secs(6);
const LONGEST: Duration = Duration::from_secs(86_400);

/// What the demo shows.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Options {
    /// How long the sensors publish; the cloud is away from a third of it to a half
    #[arg(long = "for", value_name = "DURATION", default_value = "60s", value_parser = demo_duration)]
    duration: Duration,
    /// Go on until Ctrl-C after the summary
    #[arg(long)]
    keep: bool,
    /// How many sensors
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    sensors: u32,
    /// Readings a second, all sensors together
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
}

fn demo_duration(text: &str) -> Result<Duration, String> {
    config::parse_duration(text)
        .filter(|duration| (SHORTEST..=LONGEST).contains(duration))
        .ok_or_else(|| "expected 6s up to 24h, such as 60s or 5m".to_owned())
}

pub(super) fn main(options: &Options, log_filter: Arc<LogFilter>) -> ExitCode {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(code) => return code,
    };
    let shown = runtime.block_on(show(options, log_filter));
    // Whatever still runs after a second Ctrl-C is not waited for.
    runtime.shutdown_background();
    match shown {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_INTERNAL),
        Err(error) => {
            eprintln!("the demo failed: {error:#}");
            ExitCode::from(EXIT_INTERNAL)
        }
    }
}

/// Plays the demo; true if the books balance.
async fn show(options: &Options, log_filter: Arc<LogFilter>) -> anyhow::Result<bool> {
    let interrupted = CancellationToken::new();
    let mut signals = Signals::listen()?;
    let folder = tempfile::tempdir().context("a folder for the store")?;
    let cloud = Cloud::default().start().await.context("the cloud")?;
    let config = configuration(folder.path(), &cloud)?;
    let running = app::start(config, &Service::default(), log_filter).await?;
    let addresses = running.addresses();
    let (mqtt, http) = (addresses.mqtt, addresses.http);
    println!("gateway    MQTT on {mqtt}, HTTP on http://{http}/data");
    println!("cloud      {}", cloud.url());
    println!(
        "sensors    {} of them, {} readings a second",
        options.sensors, options.rate
    );
    println!(
        "try        mosquitto_sub -p {} -t 'alerts/#' -v",
        mqtt.port()
    );
    println!("           curl http://{http}/data\n");
    let reader = running.reader().clone();
    let progress = running.uplinks().first().cloned();
    let stage = Stage {
        dashboard: timeout(SETTLE_LIMIT, Dashboard::open("127.0.0.1", mqtt.port()))
            .await
            .context("the dashboard was not let in in time")?
            .context("the dashboard")?,
        reader,
        cloud,
        progress,
        interrupted: interrupted.clone(),
    };
    let stop = CancellationToken::new();
    let gateway = async {
        let ended = running.run(stop.clone().cancelled_owned()).await;
        interrupted.cancel();
        ended
    };
    let story = async {
        let balanced = stage.play(options, mqtt).await;
        stop.cancel();
        balanced
    };
    let listen = async {
        signals.stop(|| ()).await;
        interrupted.cancel();
        signals.stop(|| ()).await;
        eprintln!("interrupted twice: the demo ends without its summary");
    };
    tokio::select! {
        (ended, balanced) = async { tokio::join!(gateway, story) } => {
            ended?;
            balanced
        }
        () = listen => Ok(false),
    }
}

fn configuration(folder: &Path, cloud: &RunningCloud) -> anyhow::Result<Config> {
    let ca_file = cloud.ca_file().context("the cloud has a CA file")?;
    let settings = [
        ("GATEWAY_ID", "demo".to_owned()),
        ("MQTT__LISTEN", usual_or_any(1883).to_string()),
        ("MQTT__WEBSOCKET_LISTEN", String::new()),
        ("HTTP__LISTEN", usual_or_any(8080).to_string()),
        (
            "STORE__PATH",
            folder.join("gateway.db").display().to_string(),
        ),
        ("CLOUD__URL", cloud.url()),
        ("CLOUD__CA_FILE", ca_file.display().to_string()),
        ("CLOUD__BATCH_LINGER", "500ms".to_owned()),
        ("CLOUD__RETRY_MAX", "2s".to_owned()),
    ];
    let environment = settings
        .into_iter()
        .map(|(name, value)| (format!("EDGE_GATEWAY_{name}"), value));
    Ok(Config::load(None, environment)?)
}

/// The usual port if nobody has it, else any.
fn usual_or_any(port: u16) -> SocketAddr {
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match TcpListener::bind(usual) {
        Ok(_) => usual,
        Err(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
    }
}

fn fleet(options: &Options, mqtt: SocketAddr) -> anyhow::Result<RunningFleet> {
    let fleet = Fleet {
        broker: mqtt.to_string(),
        count: options.sensors,
        rate: f64::from(options.rate),
        ..Fleet::default()
    };
    Ok(fleet.start()?)
}

/// All who take part beside the sensors.
struct Stage {
    dashboard: Dashboard,
    cloud: RunningCloud,
    reader: Reader,
    progress: Option<Progress>,
    interrupted: CancellationToken,
}

impl Stage {
    /// True if the books balance.
    async fn play(self, options: &Options, mqtt: SocketAddr) -> anyhow::Result<bool> {
        let sensors = fleet(options, mqtt)?;
        self.publish(&sensors, options.duration).await;
        self.cloud.set_outage(false);
        announce("the sensors stop; what is on its way arrives");
        let books = self.settle(sensors).await?;
        println!("\n{books}");
        if options.keep && !self.interrupted.is_cancelled() {
            println!("\nthe sensors go on; Ctrl-C ends");
            let sensors = fleet(options, mqtt)?;
            self.interrupted.cancelled().await;
            sensors.stop(SETTLE_LIMIT).await;
        }
        Ok(books.balance())
    }

    /// Shows the counts each second, and takes the cloud away in the middle.
    async fn publish(&self, sensors: &RunningFleet, duration: Duration) {
        let started = Instant::now();
        let outage = duration / 3..duration / 2;
        let mut ticks = interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut is_away = false;
        while started.elapsed() < duration {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.interrupted.cancelled() => return,
            }
            let elapsed = started.elapsed();
            if outage.contains(&elapsed) != is_away {
                is_away = !is_away;
                self.cloud.set_outage(is_away);
                announce(if is_away {
                    "the cloud goes away: readings over 50 wait in the outbox"
                } else {
                    "the cloud is back: the outbox drains"
                });
            }
            self.show_counts(&sensors.counts(), elapsed);
        }
    }

    fn show_counts(&self, counts: &Counts, elapsed: Duration) {
        let pending = self.reader.outbox_pending(None);
        let status = self.progress.as_ref().map(|uplink| uplink.status(pending));
        let verdict = status.and_then(|status| status.last_verdict);
        let line = format!(
            "{:>4} s   acked {:>7}   alerts {:>6}   waiting {:>6}   delivered {:>7}   {}",
            elapsed.as_secs(),
            counts.acked,
            self.dashboard.alerts(),
            pending,
            self.cloud.stats().distinct,
            verdict.as_deref().unwrap_or("-"),
        );
        show_line(&line, false);
    }

    /// Stops the sensors, waits until everything has arrived, and counts.
    async fn settle(&self, sensors: RunningFleet) -> anyhow::Result<Books> {
        let counts = sensors.stop(SETTLE_LIMIT).await;
        let expected = counts.acked_over_50;
        let is_delivered = |stats: &Stats| expected <= stats.distinct;
        let delivered = self.cloud.wait_for(is_delivered, SETTLE_LIMIT).await;
        let alerts = self
            .dashboard
            .wait_for(counts.acked_over_75, SETTLE_LIMIT)
            .await;
        let reader = self.reader.clone();
        let totals = tokio::task::spawn_blocking(move || reader.totals()).await??;
        let delivered = delivered.unwrap_or_else(|late| late);
        let failed = self.progress.as_ref().map(Progress::failed_attempts);
        Ok(Books {
            low: self
                .cloud
                .delivered()
                .iter()
                .filter(|one| one.value <= 50.0)
                .count() as u64,
            conflicts: delivered.key_conflicts + delivered.id_conflicts,
            waiting: self.wait_for_empty_outbox().await,
            is_outage_felt: self.interrupted.is_cancelled()
                || failed.is_some_and(|count| 0 < count),
            counts,
            stored: totals.readings.unsigned_abs(),
            alerts_stored: totals.alerts.unsigned_abs(),
            alerts_seen: alerts.unwrap_or_else(|late| late),
            delivered: delivered.distinct,
            sent_again: delivered.duplicates,
        })
    }
}

impl Stage {
    /// How many readings still wait: what was delivered leaves the outbox a little later.
    async fn wait_for_empty_outbox(&self) -> u64 {
        let mut ticks = interval(Duration::from_millis(20));
        let empty = async {
            while 0 < self.reader.outbox_pending(None) {
                ticks.tick().await;
            }
        };
        timeout(SETTLE_LIMIT, empty).await.ok();
        self.reader.outbox_pending(None)
    }
}

/// What was counted at both ends.
#[derive(Clone, Copy, Debug)]
struct Books {
    counts: Counts,
    stored: u64,
    alerts_stored: u64,
    alerts_seen: u64,
    delivered: u64,
    sent_again: u64,
    /// Delivered without being over 50.
    low: u64,
    /// Keys or ids that stood for two different things.
    conflicts: u64,
    /// Still in the outbox.
    waiting: u64,
    /// Or there was no time for one.
    is_outage_felt: bool,
}

impl Books {
    fn rows(&self) -> [(&'static str, u64, u64); 8] {
        let counts = &self.counts;
        [
            ("published = acknowledged", counts.published, counts.acked),
            ("published = stored", counts.published, self.stored),
            (
                "over 75   = alerts stored",
                counts.acked_over_75,
                self.alerts_stored,
            ),
            (
                "over 75   = alerts on the dashboard",
                counts.acked_over_75,
                self.alerts_seen,
            ),
            (
                "over 50   = delivered to the cloud",
                counts.acked_over_50,
                self.delivered,
            ),
            ("none      = delivered, but not over 50", 0, self.low),
            ("none      = keys or ids used twice", 0, self.conflicts),
            ("none      = left in the outbox", 0, self.waiting),
        ]
    }

    fn balance(&self) -> bool {
        0 < self.counts.published
            && self.is_outage_felt
            && self.rows().iter().all(|(_, wanted, found)| wanted == found)
    }
}

impl fmt::Display for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, wanted, found) in self.rows() {
            let mark = if wanted == found { "ok" } else { "WRONG" };
            writeln!(f, "{what:<38} {wanted:>8} = {found:>8}   {mark}")?;
        }
        if !self.is_outage_felt {
            writeln!(f, "the outage of the cloud was not felt   WRONG")?;
        }
        write!(
            f,
            "sent to the cloud more than once, and dropped there by id: {}",
            self.sent_again
        )
    }
}

fn announce(what: &str) {
    show_line(&format!("--- {what}"), true);
}

/// On a terminal counts replace each other; announcements stay.
fn show_line(line: &str, stays: bool) {
    let mut out = io::stdout().lock();
    let written = if out.is_terminal() {
        let end = if stays { "\n" } else { "" };
        write!(out, "\r\x1b[2K{line}{end}").and_then(|()| out.flush())
    } else {
        writeln!(out, "{line}")
    };
    // Whoever closed the output does not want to see it.
    written.ok();
}
