//! What is asked of the committer for a damaged store.

use tokio::sync::oneshot;

use super::{Stopped, SubmissionQueue};
use crate::store::{Progress, Slice};

/// Rows that were read of a damaged store. The answer comes after their commit.
#[derive(Debug)]
pub struct SalvageRequest {
    pub(super) slice: Slice,
    pub(super) done: oneshot::Sender<Progress>,
}

impl SubmissionQueue {
    /// Has rows of a damaged store committed; tells how far it is then.
    pub async fn salvage(&self, slice: Slice) -> Result<Progress, Stopped> {
        let (done, committed) = oneshot::channel();
        self.send_salvage(SalvageRequest { slice, done }).await?;
        committed.await.map_err(|_| Stopped)
    }
}
