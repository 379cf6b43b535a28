//! Watches the wall clock: whoever sets it, and whoever speaks for it, is heard within a second.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::SubmissionQueue;
use crate::clock;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs until `stop`. It is the committer that has a step count, so that all readings are on one side of it.
pub async fn watch_clock(queue: SubmissionQueue, stop: CancellationToken) {
    let watch = async {
        loop {
            sleep(PAUSE).await;
            if let Some(standing) = clock::look()
                && queue.set_clock(standing).await.is_err()
            {
                // The committer has ended.
                return std::future::pending().await;
            }
        }
    };
    stop.run_until_cancelled(watch).await;
}
