//! What a client's publishes are owed. Pure: no IO, no clock.
//!
//! Of a QoS 2 exchange the session keeps where it stands: pending (its commit is awaited), then committed (PUBREC may
//! go out), then forgotten (PUBREL came). A publish that is sent again meanwhile is the same publish.

use std::collections::HashMap;

use super::protocol::RECEIVE_MAXIMUM;
use crate::domain::message::Qos;

/// What an acknowledgement says (to MQTT 5; to 3.1.1 each is a plain one).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AckReason {
    Success,
    NotAuthorized,
    PayloadFormatInvalid,
    QuotaExceeded,
}

/// An acknowledgement that is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ack {
    pub(super) packet_id: u16,
    pub(super) qos: Qos,
    pub(super) reason: AckReason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exchange {
    Pending,
    Committed,
}

/// What to do about a QoS 2 publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    New,
    /// The same is awaiting its commit; that will be its answer.
    Pending,
    /// The same is on disk: PUBREC is wanted again.
    Committed,
}

/// What to do about a PUBREL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Release {
    /// The exchange ends.
    Complete,
    /// There is none with that id.
    Unknown,
    /// It came before its PUBREC: the client does not keep to the protocol.
    TooEarly,
}

/// The state of one session.
#[derive(Debug, Default)]
pub(super) struct Session {
    exchanges: HashMap<u16, Exchange>,
    /// QoS 1 publishes whose acknowledgement is owed.
    unacknowledged: usize,
}

impl Session {
    /// With QoS 2 exchanges that were read from the store.
    pub(super) fn restore(exchanges: Vec<u16>) -> Self {
        let committed = exchanges.into_iter().map(|id| (id, Exchange::Committed));
        Self {
            exchanges: committed.collect(),
            unacknowledged: 0,
        }
    }

    /// Takes note of a QoS 1 publish.
    pub(super) fn open_acknowledgement(&mut self) {
        self.unacknowledged += 1;
    }

    /// Takes note of a QoS 2 publish.
    pub(super) fn open_exchange(&mut self, packet_id: u16) -> Opening {
        match self.exchanges.get(&packet_id) {
            Some(Exchange::Pending) => Opening::Pending,
            Some(Exchange::Committed) => Opening::Committed,
            None => {
                self.exchanges.insert(packet_id, Exchange::Pending);
                Opening::New
            }
        }
    }

    /// Whether the client has more on its way than it was told that it may (MQTT 5: Receive Maximum).
    pub(super) fn is_beyond_receive_maximum(&self) -> bool {
        usize::from(RECEIVE_MAXIMUM) < self.exchanges.len() + self.unacknowledged
    }

    /// To be called as an acknowledgement goes out.
    pub(super) fn acknowledged(&mut self, ack: Ack) {
        match ack.qos {
            Qos::AtMostOnce => {}
            Qos::AtLeastOnce => self.unacknowledged = self.unacknowledged.saturating_sub(1),
            Qos::ExactlyOnce if ack.reason == AckReason::Success => {
                self.exchanges.insert(ack.packet_id, Exchange::Committed);
            }
            Qos::ExactlyOnce => {
                self.exchanges.remove(&ack.packet_id);
            }
        }
    }

    /// What a PUBREL ends.
    pub(super) fn release(&mut self, packet_id: u16) -> Release {
        match self.exchanges.get(&packet_id) {
            None => Release::Unknown,
            Some(Exchange::Pending) => Release::TooEarly,
            Some(Exchange::Committed) => {
                self.exchanges.remove(&packet_id);
                Release::Complete
            }
        }
    }

    /// Forgets what is pending: nobody knows any more whether it came to the committer.
    pub(super) fn forget_pending(&mut self) {
        self.unacknowledged = 0;
        self.exchanges
            .retain(|_, exchange| *exchange == Exchange::Committed);
    }

    /// The connection has ended. `lost` never came to the committer: it is as if the client had not sent it. What is
    /// pending beside it will be on disk before the session can be taken up again.
    pub(super) fn park(&mut self, lost: impl Iterator<Item = u16>) {
        self.unacknowledged = 0;
        for packet_id in lost {
            self.exchanges.remove(&packet_id);
        }
        for exchange in self.exchanges.values_mut() {
            *exchange = Exchange::Committed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(packet_id: u16, reason: AckReason) -> Ack {
        Ack {
            packet_id,
            qos: Qos::ExactlyOnce,
            reason,
        }
    }

    #[test]
    fn a_publish_sent_again_while_pending_is_not_answered_before_its_commit() {
        let mut session = Session::default();
        assert_eq!(session.open_exchange(7), Opening::New);
        assert_eq!(session.open_exchange(7), Opening::Pending);
        session.acknowledged(ack(7, AckReason::Success));
        assert_eq!(session.open_exchange(7), Opening::Committed);
    }

    #[test]
    fn an_id_may_be_used_again_after_its_release() {
        let mut session = Session::default();
        session.open_exchange(7);
        session.acknowledged(ack(7, AckReason::Success));
        assert_eq!(session.release(7), Release::Complete);
        assert_eq!(session.release(7), Release::Unknown);
        assert_eq!(session.open_exchange(7), Opening::New);
        assert_eq!(session.release(7), Release::TooEarly);
    }

    #[test]
    fn a_refusal_ends_the_exchange() {
        let mut session = Session::default();
        session.open_exchange(7);
        session.acknowledged(ack(7, AckReason::PayloadFormatInvalid));
        assert_eq!(session.open_exchange(7), Opening::New);
    }

    #[test]
    fn what_a_client_has_on_its_way_is_counted_until_its_last_word() {
        let mut session = Session::default();
        for id in 1..RECEIVE_MAXIMUM {
            session.open_exchange(id);
        }
        session.open_acknowledgement();
        assert!(!session.is_beyond_receive_maximum());
        session.open_exchange(RECEIVE_MAXIMUM);
        assert!(session.is_beyond_receive_maximum());
        session.acknowledged(ack(1, AckReason::Success));
        assert!(session.is_beyond_receive_maximum());
        session.release(1);
        assert!(!session.is_beyond_receive_maximum());
    }

    #[test]
    fn after_the_connection_what_was_handed_over_counts_as_committed() {
        let mut session = Session::default();
        session.open_exchange(1);
        session.open_exchange(2);
        session.park([2].into_iter());
        assert_eq!(session.open_exchange(1), Opening::Committed);
        assert_eq!(session.open_exchange(2), Opening::New);
    }
}
