//! What goes wrong in the gateway itself on the way to an uplink.

use super::payload::PayloadError;
use crate::store::StoreError;

/// Why a batch cannot be claimed or encoded.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("the gateway is stopping")]
    Stopped,
    #[error("the outbox cannot be read: {0}")]
    Store(#[from] StoreError),
    #[error("a batch cannot be encoded: {0}")]
    Payload(#[from] PayloadError),
    #[error("a blocking task failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}
