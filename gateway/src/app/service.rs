//! What the service manager is told while the gateway runs: a line for people.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::ingest::Health;
use crate::metrics::Metrics;
use crate::service;
use crate::store::Reader;

const EVERY: Duration = Duration::from_secs(5);

/// What it is told about.
pub(super) struct Told {
    pub(super) health: Arc<Health>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) reader: Reader,
}

impl Told {
    /// Keeps the line true until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut told = String::new();
        while service::is_managed() && !stop.is_cancelled() {
            let line = self.line();
            if line != told {
                service::status(&line);
                told = line;
            }
            stop.run_until_cancelled(tokio::time::sleep(EVERY)).await;
        }
        stop.cancelled().await;
    }

    fn line(&self) -> String {
        if let Some(trouble) = self.health.trouble() {
            return format!("Not well: {trouble}");
        }
        let clients = self.metrics.mqtt_connections.get();
        let stored = self.metrics.readings_committed.get();
        let waiting = self.reader.outbox_pending(None);
        format!(
            "Serves {clients} clients; {stored} readings since the start, {waiting} wait for the cloud"
        )
    }
}
