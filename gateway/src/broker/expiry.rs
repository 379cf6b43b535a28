//! Sessions whose time is over, and wills that come later.

use std::sync::Arc;
use std::time::Duration;

use tokio::time;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::connection::publish_will;
use crate::ingest::Submission;

/// As fine as the protocol counts: it has seconds.
const INTERVAL: Duration = Duration::from_secs(1);

/// Looks for them until `stop`.
pub(super) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut ticks = time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
        let (changes, wills) = shared.hub.expire();
        for will in wills {
            let client_id = Arc::clone(&will.publisher);
            publish_will(&shared, &client_id, will).await;
        }
        if changes.is_empty() {
            continue;
        }
        let submission = Submission::of_changes(changes);
        if shared.submissions.submit(submission).await.is_err() {
            return;
        }
    }
}
