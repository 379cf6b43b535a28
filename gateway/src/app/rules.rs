//! Takes up rules that have changed in their files.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, interval_at};
use tokio_util::sync::CancellationToken;

use crate::ingest::{NotReplaced, RuleBook};

/// The files are looked at so often.
const INTERVAL: Duration = Duration::from_secs(10);

/// Looks when asked, and now and then, until `stop`.
pub(super) async fn watch(book: Arc<RuleBook>, stop: CancellationToken) {
    let mut ticks = interval_at(Instant::now() + INTERVAL, INTERVAL);
    let wake = book.wake();
    let mut said = None;
    loop {
        let is_asked = tokio::select! {
            _ = ticks.tick() => false,
            () = wake.notified() => true,
            () = stop.cancelled() => return,
        };
        let fault = match book.reload().await {
            Ok(true) => {
                tracing::info!("rules are reloaded");
                None
            }
            Ok(false) => None,
            Err(NotReplaced::Stopped) => return,
            Err(faults) => Some(faults.to_string()),
        };
        if let Some(faults) = fault.as_ref().filter(|_| is_asked || said != fault) {
            tracing::error!(%faults, "rules stay as they were: their file has faults");
        }
        said = fault;
    }
}
