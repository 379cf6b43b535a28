//! Ending background tasks without losing their panics.

use std::time::Duration;

use tokio::{
    task::{JoinError, JoinSet},
    time,
};

/// Waits until all tasks have ended, at most `limit`; false if some have not.
pub(crate) async fn join(tasks: &mut JoinSet<()>, limit: Duration) -> bool {
    let all = async {
        while let Some(ended) = tasks.join_next().await {
            repeat_panic(ended);
        }
    };
    time::timeout(limit, all).await.is_ok()
}

/// A task that panicked must not pass for one that ended.
fn repeat_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}
