//! `$SYS/broker/…`: what the broker says of itself, under the names that Mosquitto gives (mosquitto(8), "Broker status").

use std::sync::Arc;
use std::time::Duration;

use prometheus::IntCounter;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::clock;
use crate::domain::message::{Message, Qos};
use crate::domain::topic::TopicName;

/// As often as Mosquitto does by default.
const INTERVAL: Duration = Duration::from_secs(10);

/// Publishes until `stop`, retained, so that who subscribes has them at once.
pub(super) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let started = Instant::now();
    let version = format!("edge-gateway version {}", env!("CARGO_PKG_VERSION"));
    publish(&shared, "version", version);
    loop {
        let uptime = started.elapsed().as_secs();
        publish(&shared, "uptime", format!("{uptime} seconds"));
        observe(&shared);
        for (name, value) in figures(&shared) {
            publish(&shared, name, value.to_string());
        }
        tokio::select! {
            () = sleep(INTERVAL) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// What the hub counts, for metrics.
fn observe(shared: &Shared) {
    let metrics = &shared.metrics;
    let subscriptions = shared.hub.subscription_count();
    metrics.mqtt_subscriptions.set(subscriptions as i64);
    let retained = shared.hub.retained_count();
    metrics.mqtt_retained.set(retained as i64);
}

fn figures(shared: &Shared) -> [(&'static str, u64); 6] {
    let sum = |counters: &[IntCounter]| counters.iter().map(IntCounter::get).sum();
    let connected = u64::try_from(shared.metrics.mqtt_connections.get()).unwrap_or(0);
    let dropped = &shared.metrics.mqtt_dropped;
    [
        ("clients/connected", connected),
        ("messages/received", sum(&shared.messages_in)),
        ("messages/sent", sum(&shared.messages_out)),
        (
            "publish/messages/dropped",
            dropped.with_label_values(&["queue_full"]).get(),
        ),
        ("subscriptions/count", shared.hub.subscription_count()),
        ("retained messages/count", shared.hub.retained_count()),
    ]
}

fn publish(shared: &Shared, name: &str, value: String) {
    let Ok(topic) = TopicName::new(&format!("$SYS/broker/{name}")) else {
        return;
    };
    let message = Message {
        topic,
        payload: value.into_bytes().into(),
        qos: Qos::AtMostOnce,
        retain: true,
        received_at: clock::now(),
        publisher: "".into(),
        properties: None,
    };
    shared.hub.publish_own(message);
}
