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
    /// Cuts a batch in two before its reading number `at`, which is neither the first nor beyond the last.
    Split {
        batch: Batch,
        at: usize,
        done: oneshot::Sender<[Batch; 2]>,
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
