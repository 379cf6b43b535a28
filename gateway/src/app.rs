//! Opens, wires, spawns, drains: the only file that sees every room.
//!
//! It stops in the order in which data flows: listeners, sessions (they finish their receipts), forwarder, http, then the
//! committer's last commit; all under one grace.

mod check;
mod clock;
mod listeners;
mod opening;
mod rules;
mod salvage;
mod service;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinError, JoinSet, spawn_blocking};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::check::{Checked, prepare};
use self::listeners::Listeners;
use self::opening::{Known, open_store};
use self::salvage::Care;
use crate::access::Access;
use crate::broker::{Broker, Hub};
use crate::config::{Config, Fault, listed};
use crate::forwarder::{Progress, Pump, Surroundings};
use crate::http::{self, Server, UplinkHandle};
use crate::ingest::{
    Committer, Health, Keeper, RuleBook, Settings, SubmissionQueue, Traces, watch_clock,
};
use crate::logging::LogFilter;
use crate::metrics::Metrics;
use crate::service::{Pulse, Service};
use crate::store::{Damage, Limits, Reader, StoreError, Writer};
use crate::tls;

pub use self::check::{check, explain};
pub use self::listeners::Addresses;
pub use self::opening::{put_aside, store_risks};

/// The part of the grace after which a commit that keeps failing is given up.
const ORDERLY_SHARE: f64 = 0.9;

/// MQTT clients that have come by HTTP and are not with the broker yet.
const MAX_ARRIVING: usize = 64;

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Every fault that only rules, uplink and access can find.
    #[error("{}", listed(.0))]
    Configuration(Vec<Fault>),
    #[error("the store {path} cannot be opened: {source}")]
    Store { path: String, source: StoreError },
    #[error("{key}: cannot listen on {address}: {source}")]
    Listen {
        key: &'static str,
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("a socket on {0} was passed, but no key listens there: make both the same")]
    Passed(SocketAddr),
    #[error("the committer's thread cannot be started: {0}")]
    Thread(std::io::Error),
}

/// Why the gateway ended without having been asked to.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("the task `{0}` ended unexpectedly")]
    Ended(&'static str),
    #[error("the task `{0}` failed: {1}")]
    Failed(&'static str, String),
    /// To be moved aside before the next start.
    #[error("the store is damaged: {0}")]
    Damaged(Damage),
}

/// The name of a task that ended, and how.
type Ended = (&'static str, Result<(), String>);

/// A gateway that runs.
#[derive(Debug)]
pub struct Running {
    addresses: Addresses,
    reader: Reader,
    access: Arc<Access>,
    tls: Vec<Arc<tls::Server>>,
    uplinks: Vec<Progress>,
    rules_wake: Arc<Notify>,
    pulse: Arc<Pulse>,
    grace: Duration,
    stop: CancellationToken,
    give_up: CancellationToken,
    tasks: JoinSet<Ended>,
}

/// Starts the gateway.
pub async fn start(
    config: Config,
    service: &Service,
    log_filter: Arc<LogFilter>,
) -> Result<Running, StartError> {
    let checked = prepare(&config)?;
    // Before the store is opened: an occupied port leaves nothing behind.
    let (listeners, addresses) = Listeners::open(&config, service)?;
    let (writer, known) = open_store(&config)?;
    let mut running = Running {
        addresses,
        reader: writer.reader(),
        access: Arc::clone(&checked.access),
        tls: [&checked.tls, &checked.http_tls]
            .into_iter()
            .flatten()
            .cloned()
            .collect(),
        uplinks: Vec::new(),
        rules_wake: Arc::default(),
        pulse: Arc::clone(service.pulse()),
        grace: config.shutdown_grace,
        stop: CancellationToken::new(),
        give_up: CancellationToken::new(),
        tasks: JoinSet::new(),
    };
    running.spawn(config, checked, writer, known, listeners, log_filter)?;
    addresses.log();
    Ok(running)
}

impl Running {
    fn spawn(
        &mut self,
        config: Config,
        checked: Checked,
        writer: Writer,
        known: Known,
        listeners: Listeners,
        log_filter: Arc<LogFilter>,
    ) -> Result<(), StartError> {
        let Known { state, decoder } = known;
        let gateway_id = Arc::clone(&config.gateway_id);
        let metrics = Arc::<Metrics>::default();
        let health = Arc::<Health>::default();
        let traces = Arc::<Traces>::default();
        let outbox_wakes: Vec<Arc<Notify>> =
            config.uplinks.iter().map(|_| Arc::default()).collect();
        let hub = Arc::new(Hub::new(&config.mqtt.limits, Arc::clone(&metrics)));
        hub.restore(state);
        let (submissions, receiver) = SubmissionQueue::new();
        let salvages = writer.salvages();
        let care = Care {
            path: config.store.path.clone(),
            salvages: salvages.map_err(|source| opening::fault(&config, source))?,
            is_doubtful: writer.is_after_unclean_end(),
            reader: self.reader.clone(),
            submissions: submissions.clone(),
            health: Arc::clone(&health),
            metrics: Arc::clone(&metrics),
        };
        care.begin_counting();
        let settings = Settings {
            gateway_id: Arc::clone(&gateway_id),
            group_commit: config.store.group_commit,
            max_devices: config.mqtt.limits.devices,
            max_bytes: config.store.max_size,
            outlet: Box::new(Arc::clone(&hub)),
            outbox_wakes: outbox_wakes.clone(),
            metrics: Arc::clone(&metrics),
            traces: Arc::clone(&traces),
            health: Arc::clone(&health),
            pulse: Arc::clone(&self.pulse),
            give_up: self.give_up.clone(),
        };
        let committer =
            Committer::spawn(writer, checked.rules, receiver, settings, Handle::current())
                .map_err(StartError::Thread)?;
        self.tasks.spawn(async move {
            let joined = spawn_blocking(move || committer.join()).await;
            ("committer", flatten(joined))
        });
        let limits = Limits {
            keep: i64::try_from(config.store.keep.as_millis()).ok(),
            max_bytes: config.store.max_size,
            when_full: config.store.when_full,
        };
        let keeper = Keeper::new(
            self.reader.clone(),
            submissions.clone(),
            limits,
            Arc::clone(&health),
            Arc::clone(&metrics),
        );
        self.add("keeper", |stop| keeper.run(stop));
        let queue = submissions.clone();
        self.add("clock", |stop| watch_clock(queue, stop));
        let surroundings = Surroundings::new(
            Arc::clone(&gateway_id),
            self.reader.clone(),
            submissions.clone(),
            Arc::clone(&metrics),
            Arc::clone(&traces),
            config.store.clock_wait,
        );
        let mut uplinks = Vec::new();
        let pumps = config.uplinks.into_iter().zip(checked.uplinks);
        let ways = self.reader.uplinks().into_iter().zip(outbox_wakes);
        for ((config, uplink), (key, wake)) in pumps.zip(ways) {
            let pump = Pump::new(config, key, uplink, wake, surroundings.clone());
            let (progress, reader) = (pump.progress(), self.reader.clone());
            self.uplinks.push(progress.clone());
            let status = move || progress.status(reader.outbox_pending(Some(key)));
            uplinks.push((key, Arc::new(status) as UplinkHandle));
            self.add("forwarder", |stop| pump.run(stop));
        }
        let book = Arc::new(RuleBook::new(
            config.rules,
            config.rule_source,
            submissions.clone(),
        ));
        self.rules_wake = book.wake();
        let watched = Arc::clone(&book);
        self.add("rules", |stop| rules::watch(watched, stop));
        let (guests, arriving) = mpsc::channel(MAX_ARRIVING);
        let surroundings = http::Surroundings {
            gateway_id,
            reader: self.reader.clone(),
            submissions: submissions.clone(),
            health,
            uplinks,
            rule_book: book,
            traces,
            decoder: Arc::clone(&decoder),
            access: Arc::clone(&self.access),
            mqtt: self.addresses.mqtt,
            guests,
            metrics: Arc::clone(&metrics),
            log_filter: Arc::clone(&log_filter),
            max_bytes: config.store.max_size,
        };
        let told = service::Told {
            health: Arc::clone(&surroundings.health),
            metrics: Arc::clone(&metrics),
            reader: self.reader.clone(),
        };
        self.add("service", |stop| told.run(stop));
        self.add("log filter", |stop| async move {
            log_filter.watch(stop).await;
        });
        let server = Server::new(&config.http, surroundings);
        let https = listeners.https.zip(checked.http_tls);
        self.add("http", |stop| server.run(listeners.http, https, stop));
        let broker = Broker::new(
            &config.mqtt,
            decoder,
            hub,
            submissions,
            Arc::clone(&self.access),
            metrics,
        );
        let mqtts = listeners.mqtts.zip(checked.tls);
        let servers = self.tls.clone();
        self.add("certificates", |stop| tls::renew(servers, stop));
        self.add("store", |stop| care.run(stop));
        self.add("broker", |stop| {
            broker.run(listeners.mqtt, mqtts, arriving, stop)
        });
        Ok(())
    }

    fn add<F>(&mut self, name: &'static str, run: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let running = run(self.stop.clone());
        self.tasks.spawn(async move {
            // In a set of its own, so that a panic keeps the task's name; dropped with it.
            let mut task = JoinSet::from_iter([running]);
            let ended = task.join_next().await.transpose();
            (name, ended.map(|_| ()).map_err(|error| error.to_string()))
        });
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// A way to look at its store.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Who may come and do what; to be reloaded.
    pub fn access(&self) -> &Arc<Access> {
        &self.access
    }

    /// The certificates of each TLS listener; to be reloaded.
    pub fn tls(&self) -> &[Arc<tls::Server>] {
        &self.tls
    }

    /// Notified when the rules are to be read again.
    pub fn rules_wake(&self) -> &Arc<Notify> {
        &self.rules_wake
    }

    /// What the uplinks are doing, in the order of the configuration.
    pub fn uplinks(&self) -> &[Progress] {
        &self.uplinks
    }

    /// Runs until `shutdown`, then drains; an error if a part ended before it.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), Failure> {
        let alarm = Arc::clone(self.reader.alarm());
        let failure = tokio::select! {
            () = shutdown => None,
            damage = alarm.raised() => Some(Failure::Damaged(damage)),
            ended = self.tasks.join_next() => Some(failure_of(ended)),
        };
        let (released, grace) = (self.reader.released(), self.grace);
        let drained = self.drain().await;
        if let Some(damage) = alarm.damage() {
            // Who reads the files where they are moved to would share with whoever has them open what SQLite knows of them.
            if timeout(grace, released).await.is_err() {
                let reason = "it is damaged, and still being read".to_owned();
                return Err(Failure::Failed("store", reason));
            }
            return Err(Failure::Damaged(damage.clone()));
        }
        failure.map_or(drained, Err)
    }

    async fn drain(self) -> Result<(), Failure> {
        tracing::info!("stopping");
        let Self {
            reader,
            grace,
            stop,
            give_up,
            mut tasks,
            ..
        } = self;
        // Its idle connections would keep the log from being taken away.
        drop(reader);
        stop.cancel();
        let mut failure = None;
        let mut join_all = async || {
            while let Some(ended) = tasks.join_next().await {
                if !matches!(ended, Ok((_, Ok(())))) {
                    failure = Some(failure_of(Some(ended)));
                }
            }
        };
        if timeout(grace.mul_f64(ORDERLY_SHARE), join_all())
            .await
            .is_err()
        {
            tracing::warn!(
                "the grace is over: what is still on its way is given up, unacknowledged"
            );
            give_up.cancel();
            timeout(grace.mul_f64(1.0 - ORDERLY_SHARE), join_all())
                .await
                .ok();
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        tracing::info!("stopped");
        Ok(())
    }
}

type Joined = Result<std::thread::Result<Result<(), StoreError>>, JoinError>;

fn flatten(joined: Joined) -> Result<(), String> {
    match joined {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(error))) => Err(error.to_string()),
        Ok(Err(_)) => Err("it panicked".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn failure_of(ended: Option<Result<Ended, JoinError>>) -> Failure {
    match ended {
        Some(Ok((name, Ok(())))) => Failure::Ended(name),
        Some(Ok((name, Err(reason)))) => Failure::Failed(name, reason),
        Some(Err(error)) => Failure::Failed("gateway", error.to_string()),
        None => Failure::Ended("gateway"),
    }
}
