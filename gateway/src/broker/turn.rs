//! A turn: what one read of the socket brought, and the answers that are owed for it. Turns are answered in their order,
//! each whole.

use super::{
    acknowledge::Leave,
    hub::Member,
    protocol::Protocol,
    session::Ack,
    subscribe::{Granted, Removed},
};
use crate::domain::message::Qos;
use crate::ingest::{Receipt, Refused, Submission};
use crate::store::Committed;
use crate::store::sessions::Queued;

/// What a packet is answered.
#[derive(Debug)]
pub(super) enum Answer {
    /// PUBACK or PUBREC.
    Ack(Ack),
    Pubrel(u16),
    Pubcomp(u16),
    Suback(u16, Vec<Granted>),
    Unsuback(u16, Vec<Removed>),
    /// Retained messages, which have their places in the queue.
    Retained(Vec<Queued>),
}

/// What one read brought, as it is gathered.
#[derive(Debug, Default)]
pub(super) struct Turn {
    pub(super) submission: Submission,
    pub(super) answers: Vec<Answer>,
}

/// A turn whose answer is owed.
#[derive(Debug)]
pub(super) struct Owed {
    answers: Vec<Answer>,
    receipt: Option<Receipt>,
}

impl Turn {
    /// Whether nothing of it may be dropped.
    pub(super) fn is_binding(&self) -> bool {
        !self.answers.is_empty()
            || !self.submission.changes.is_empty()
            || !self.submission.statuses.is_empty()
    }

    /// Splits into what is to be committed and what is owed after it.
    pub(super) fn finish(mut self) -> (Option<Submission>, Option<Owed>) {
        let has_answers = !self.answers.is_empty();
        if self.submission.is_empty() {
            let owed = has_answers.then_some(Owed {
                answers: self.answers,
                receipt: None,
            });
            return (None, owed);
        }
        // Who publishes what need not be stored looks whether something of the same client is still to come.
        let owed = (has_answers || !self.submission.messages.is_empty()).then(|| Owed {
            receipt: Some(self.submission.receipt()),
            answers: self.answers,
        });
        (Some(self.submission), owed)
    }
}

impl Answer {
    /// Writes it.
    pub(super) fn send(self, leave: Leave, member: &mut Member, protocol: &mut Protocol) {
        match self {
            Self::Ack(ack) => {
                member.exchanges.acknowledged(ack);
                match ack.qos {
                    Qos::AtMostOnce => {}
                    Qos::AtLeastOnce => protocol.puback(ack.packet_id, ack.reason, leave),
                    Qos::ExactlyOnce => protocol.pubrec(ack.packet_id, ack.reason, leave),
                }
            }
            Self::Pubrel(packet_id) => protocol.pubrel(packet_id, true, leave),
            Self::Pubcomp(packet_id) => protocol.pubcomp(packet_id, true, leave),
            Self::Suback(packet_id, granted) => protocol.suback(packet_id, &granted, leave),
            Self::Unsuback(packet_id, removed) => protocol.unsuback(packet_id, &removed, leave),
            Self::Retained(queued) => member.take_retained(queued),
        }
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

    /// Writes the answers. The leave is either the proof of the commit or that there was none to wait for.
    pub(super) fn answer(self, leave: Leave, member: &mut Member, protocol: &mut Protocol) {
        for answer in self.answers {
            answer.send(leave, member, protocol);
        }
    }

    /// The connection has ended: what it was about to deliver waits for the next one.
    pub(super) fn leave_to(self, member: &mut Member) {
        for answer in self.answers {
            if let Answer::Retained(queued) = answer {
                member.take_retained(queued);
            }
        }
    }

    /// The QoS 2 publishes that it would have answered.
    pub(super) fn exchanges(&self) -> impl Iterator<Item = u16> {
        self.answers.iter().filter_map(|answer| match answer {
            Answer::Ack(ack) if ack.qos == Qos::ExactlyOnce => Some(ack.packet_id),
            _ => None,
        })
    }
}
