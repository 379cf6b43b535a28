//! Certificates are taken up anew by themselves: whoever renews them need not know that there is a gateway.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;

use super::Server;

/// How often is looked whether a certificate was replaced.
const INTERVAL: Duration = Duration::from_secs(30);

/// Takes up certificates that were replaced, until `stop`.
pub async fn renew(servers: Vec<Arc<Server>>, stop: CancellationToken) {
    let mut ticks = time::interval_at(Instant::now() + INTERVAL, INTERVAL);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
        for server in &servers {
            let server = Arc::clone(server);
            match spawn_blocking(move || server.reload_if_changed()).await {
                Ok(None) => {}
                Ok(Some(Ok(()))) => tracing::info!("replaced certificates are taken up"),
                Ok(Some(Err(fault))) => {
                    tracing::error!(%fault, "certificates stay as they were: a file has a fault");
                }
                Err(error) => tracing::error!(%error, "the certificates could not be looked at"),
            }
        }
    }
}
