//! What the clients visit: hub, committer and store of a gateway, with narrow limits.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::broker::{Broker, Hub, Shared, expiry};
use crate::config::{AccessFiles, Anonymous, Config, Limits};
use crate::ingest::{Committer, Decoder, Health, Settings, SubmissionQueue};
use crate::metrics::Metrics;
use crate::rules::RuleSet;
use crate::store::{Reader, StoreError, Writer};

/// So that each of them is reached.
pub(super) const LIMITS: Limits = Limits {
    connections_per_address: None,
    connect_timeout: Duration::from_secs(10),
    client_id_bytes: 24,
    topic_bytes: 100,
    topic_levels: 10,
    will_bytes: 100,
    publish_rate: None,
    subscriptions: 8,
    queue_messages: 20,
    queue_bytes: 4 << 10,
    in_flight: 4,
    sessions: 6,
    sessions_per_user: 6,
    sessions_bytes: 12 << 10,
    session_expiry: Duration::from_secs(3600),
    retained_messages: 8,
    retained_bytes: 2 << 10,
    devices: 8,
};
/// How many may find the same room.
const CROWD: usize = 12;
pub(super) const MAX_PACKET: u32 = 1000;

/// A gateway without its doors.
pub(super) struct House {
    pub(super) shared: Arc<Shared>,
    pub(super) stop: CancellationToken,
    pub(super) reader: Reader,
    health: Arc<Health>,
    expiry: JoinSet<()>,
    committer: thread::JoinHandle<Result<(), StoreError>>,
}

impl House {
    /// On the store in `folder`; takes up what stands there.
    pub(super) fn open(folder: &Path) -> Self {
        let writer = Writer::open(&folder.join("gateway.db")).unwrap();
        let mut config = Config::load(None, std::iter::empty()).unwrap();
        config.mqtt.limits = LIMITS;
        config.mqtt.max_packet = MAX_PACKET;
        let metrics = Arc::<Metrics>::default();
        let hub = Arc::new(Hub::new(&LIMITS, Arc::clone(&metrics)));
        hub.restore(writer.broker_state().unwrap());
        let health = Arc::<Health>::default();
        let (submissions, receiver) = SubmissionQueue::new();
        let settings = Settings {
            gateway_id: "edge-1".into(),
            group_commit: Duration::ZERO,
            max_bytes: 1 << 30,
            max_devices: LIMITS.devices,
            outlet: Box::new(Arc::clone(&hub)),
            outbox_wakes: Vec::new(),
            metrics: Arc::clone(&metrics),
            traces: Arc::default(),
            health: Arc::clone(&health),
            pulse: Arc::default(),
            give_up: CancellationToken::new(),
        };
        let reader = writer.reader();
        let engine = RuleSet::compile(&config.rules).unwrap();
        let committer = Committer::spawn(writer, engine, receiver, settings, Handle::current());
        let access = Access::open(AccessFiles::default(), Anonymous::Always).unwrap();
        let access = Arc::new(access);
        let broker = Broker::new(
            &config.mqtt,
            Arc::new(Decoder::new(&config.ingest)),
            hub,
            submissions,
            access,
            metrics,
        );
        let stop = CancellationToken::new();
        let expiry = expiry::run(Arc::clone(&broker.shared), stop.clone());
        Self {
            shared: broker.shared,
            reader,
            health,
            expiry: JoinSet::from_iter([expiry]),
            stop,
            committer: committer.unwrap(),
        }
    }

    /// Waits until something is wrong with the committer.
    pub(super) async fn trouble(&self) -> String {
        loop {
            time::sleep(Duration::from_secs(1)).await;
            if let Some(trouble) = self.health.trouble() {
                return trouble;
            }
        }
    }

    /// What is held in memory keeps to its bounds.
    pub(super) fn check_bounds(&self, connections: usize) {
        let hub = &self.shared.hub;
        let sessions = hub.stored_count();
        assert!(sessions <= LIMITS.sessions, "{sessions} stored sessions");
        let retained = hub.retained_count() as usize;
        assert!(
            retained <= LIMITS.retained_messages,
            "{retained} retained messages"
        );
        let subscriptions = hub.subscription_count() as usize;
        let most = (sessions + connections + 1) * LIMITS.subscriptions;
        assert!(
            subscriptions <= most,
            "{subscriptions} subscriptions, {most} at the most"
        );
        // Those who put in at the same time may each find the room that is there.
        let (bytes, slack) = (hub.stored_bytes(), CROWD * MAX_PACKET as usize);
        assert!(
            bytes <= LIMITS.sessions_bytes + slack,
            "{bytes} bytes wait for sessions"
        );
    }

    /// After the last client left; nobody may be owed anything then.
    pub(super) fn check_is_empty(&self) {
        let hub = &self.shared.hub;
        assert_eq!(self.shared.metrics.mqtt_connections.get(), 0, "connections");
        assert_eq!(hub.subscription_count(), 0, "subscriptions");
        assert_eq!(hub.stored_count(), 0, "stored sessions");
        assert_eq!(hub.stored_bytes(), 0, "bytes of stored sessions");
    }

    /// Stops as the gateway does: who is still there is sent away before.
    pub(super) async fn close(mut self) -> Reader {
        self.stop.cancel();
        while let Some(ended) = self.expiry.join_next().await {
            ended.unwrap();
        }
        drop(self.shared);
        let committer = self.committer;
        let ended = tokio::task::spawn_blocking(move || committer.join()).await;
        ended
            .unwrap()
            .expect("the committer does not panic")
            .unwrap();
        self.reader
    }
}
