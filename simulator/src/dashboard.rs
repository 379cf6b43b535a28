//! A dashboard: a client that subscribes and counts what it is given.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;

use crate::waiting;

const KEEP_ALIVE: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_millis(200);

/// A subscriber at work. Dropping it ends it.
#[derive(Debug)]
pub struct Dashboard {
    seen: Arc<Seen>,
    _task: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Seen {
    ids: Mutex<HashSet<i64>>,
    changed: Notify,
}

impl Dashboard {
    /// Subscribes to all alerts at QoS 1 and returns when the broker has granted it; `None` if it ends before.
    pub async fn open(host: &str, port: u16) -> Option<Self> {
        let client_id = format!("dashboard-{:08x}", fastrand::u32(..));
        let mut options = MqttOptions::new(client_id, host, port);
        options.set_keep_alive(KEEP_ALIVE);
        let (client, event_loop) = AsyncClient::new(options, 10);
        let seen = Arc::<Seen>::default();
        let (granted, is_granted) = oneshot::channel();
        let mut task = JoinSet::new();
        task.spawn(watch(client, event_loop, Arc::clone(&seen), granted));
        is_granted.await.ok()?;
        Some(Self { seen, _task: task })
    }

    /// How many readings it was alerted of, each counted once.
    pub fn alerts(&self) -> u64 {
        self.seen.ids().len() as u64
    }

    /// Waits until it was given `count` alerts; the number that it has if `limit` is over before.
    pub async fn wait_for(&self, count: u64, limit: Duration) -> Result<u64, u64> {
        waiting::until(
            &self.seen.changed,
            limit,
            || self.alerts(),
            |alerts| count <= *alerts,
        )
        .await
    }
}

impl Seen {
    fn ids(&self) -> MutexGuard<'_, HashSet<i64>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn watch(
    client: AsyncClient,
    mut event_loop: EventLoop,
    seen: Arc<Seen>,
    granted: oneshot::Sender<()>,
) {
    let mut granted = Some(granted);
    loop {
        match event_loop.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                if client.try_subscribe("alerts/#", QoS::AtLeastOnce).is_err() {
                    return;
                }
            }
            Ok(Event::Incoming(Packet::SubAck(_))) => {
                if let Some(granted) = granted.take() {
                    granted.send(()).ok();
                }
            }
            Ok(Event::Incoming(Packet::Publish(message))) => {
                let alert: Option<serde_json::Value> =
                    serde_json::from_slice(&message.payload).ok();
                let raised = alert.filter(|alert| alert["state"] == "raised");
                if let Some(id) = raised.and_then(|alert| alert["alert_id"].as_i64()) {
                    seen.ids().insert(id);
                    seen.changed.notify_waiters();
                }
            }
            Ok(_) => {}
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}
