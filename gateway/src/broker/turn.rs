//! A turn: what one read of the socket brought, and the acknowledgements that are owed for it. Turns are answered in
//! their order, each whole.

use super::{
    acknowledge::Leave,
    protocol::Protocol,
    session::{Ack, Session},
};
use crate::domain::message::Qos;
use crate::ingest::{Receipt, Refused, Submission};
use crate::store::Committed;

/// What one read brought, as it is gathered.
#[derive(Debug, Default)]
pub(super) struct Turn {
    pub(super) submission: Submission,
    pub(super) acks: Vec<Ack>,
}

/// A turn whose answer is owed.
#[derive(Debug)]
pub(super) struct Owed {
    acks: Vec<Ack>,
    receipt: Option<Receipt>,
}

impl Turn {
    /// Splits into what is to be committed and what is owed after it.
    pub(super) fn finish(mut self) -> (Option<Submission>, Option<Owed>) {
        let has_acks = !self.acks.is_empty();
        if self.submission.is_empty() {
            let owed = has_acks.then_some(Owed {
                acks: self.acks,
                receipt: None,
            });
            return (None, owed);
        }
        let owed = has_acks.then(|| Owed {
            receipt: Some(self.submission.receipt()),
            acks: self.acks,
        });
        (Some(self.submission), owed)
    }
}

impl Owed {
    /// Whether a commit has to come first.
    pub(super) fn is_waiting(&self) -> bool {
        self.receipt.is_some()
    }

    /// Waits for the commit; for ever if there is none to wait for. Cancel safe.
    pub(super) async fn committed(&mut self) -> Result<Committed, Refused> {
        match &mut self.receipt {
            Some(receipt) => receipt.committed().await,
            None => std::future::pending().await,
        }
    }

    /// Writes the acknowledgements. The leave is either the proof of the commit or that there was none to wait for.
    pub(super) fn acknowledge(self, leave: Leave, session: &mut Session, protocol: &mut Protocol) {
        for ack in self.acks {
            session.acknowledged(ack);
            match ack.qos {
                Qos::AtMostOnce => {}
                Qos::AtLeastOnce => protocol.puback(ack.packet_id, ack.reason, leave),
                Qos::ExactlyOnce => protocol.pubrec(ack.packet_id, ack.reason, leave),
            }
        }
    }
}
