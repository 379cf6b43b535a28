//! What is asked of the committer for the outbox.

use tokio::sync::oneshot;

use crate::domain::reading::ReadingId;
use crate::store::Committed;
use crate::store::outbox::{Account, Batch, Settled, UplinkKey};

/// A change of the outbox. The answer comes after its commit; dropped, it says that the gateway is stopping.
#[derive(Debug)]
pub enum OutboxRequest {
    /// Records batches and gives them their numbers.
    Record {
        uplink: UplinkKey,
        format: Box<str>,
        compression: Box<str>,
        batches: Vec<Vec<ReadingId>>,
        done: oneshot::Sender<Vec<Batch>>,
    },
    /// Records the parts of a batch in its place, which are to go in this format and compression.
    Replace {
        batch: Batch,
        parts: Vec<Vec<ReadingId>>,
        format: Box<str>,
        compression: Box<str>,
        done: oneshot::Sender<Vec<Batch>>,
    },
    /// Takes the readings of batches out of the outbox, and writes down what the uplink has to remember.
    Settle {
        uplink: UplinkKey,
        settled: Vec<Settled>,
        account: Account,
        done: oneshot::Sender<Committed>,
    },
    /// Has a dead letter sent again.
    Retry {
        letter: i64,
        done: oneshot::Sender<Committed>,
    },
    /// Gives a dead letter up.
    Drop {
        letter: i64,
        done: oneshot::Sender<Committed>,
    },
}
