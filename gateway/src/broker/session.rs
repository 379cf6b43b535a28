//! What a client and the gateway owe each other: acknowledgements in both directions. Pure: no IO, no clock.
//!
//! Of a QoS 2 exchange the session keeps where it stands: pending (its commit is awaited), then committed (PUBREC has
//! gone out), then forgotten (PUBREL came). A publish that is sent again meanwhile is the same publish.

use std::collections::HashMap;

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
#[derive(Debug)]
pub(super) struct Session {
    exchanges: HashMap<u16, Exchange>,
    in_flight: usize,
    max_in_flight: usize,
}

impl Session {
    /// A fresh one. The client may have `max_in_flight` of our QoS 1 and 2 publishes unacknowledged; MQTT 5 clients may
    /// ask for fewer.
    pub(super) fn new(max_in_flight: usize) -> Self {
        Self {
            exchanges: HashMap::new(),
            in_flight: 0,
            max_in_flight,
        }
    }

    /// Takes note of a QoS 2 publish; false if it is one that is already under way.
    pub(super) fn open_exchange(&mut self, packet_id: u16) -> bool {
        let is_new = !self.exchanges.contains_key(&packet_id);
        if is_new {
            self.exchanges.insert(packet_id, Exchange::Pending);
        }
        is_new
    }

    /// To be called as an acknowledgement goes out.
    pub(super) fn acknowledged(&mut self, ack: Ack) {
        if ack.qos != Qos::ExactlyOnce {
            return;
        }
        if ack.reason == AckReason::Success {
            self.exchanges.insert(ack.packet_id, Exchange::Committed);
        } else {
            self.exchanges.remove(&ack.packet_id);
        }
    }

    /// Whether a publish that came again may be answered at once: only if it is committed. A pending one is answered
    /// by its receipt.
    pub(super) fn is_committed(&self, packet_id: u16) -> bool {
        self.exchanges.get(&packet_id) == Some(&Exchange::Committed)
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

    /// Whether another QoS 1 or 2 publish may go to the client.
    pub(super) fn has_room_in_flight(&self) -> bool {
        self.in_flight < self.max_in_flight
    }

    /// A QoS 1 or 2 publish went to the client.
    pub(super) fn sent(&mut self) {
        self.in_flight += 1;
    }

    /// The client is done with one.
    pub(super) fn delivered(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
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
        let mut session = Session::new(2);
        assert!(session.open_exchange(7));
        assert!(!session.open_exchange(7));
        assert!(!session.is_committed(7));
        session.acknowledged(ack(7, AckReason::Success));
        assert!(session.is_committed(7));
        assert!(!session.open_exchange(7));
    }

    #[test]
    fn an_id_may_be_used_again_after_its_release() {
        let mut session = Session::new(2);
        session.open_exchange(7);
        session.acknowledged(ack(7, AckReason::Success));
        assert_eq!(session.release(7), Release::Complete);
        assert_eq!(session.release(7), Release::Unknown);
        assert!(session.open_exchange(7));
        assert_eq!(session.release(7), Release::TooEarly);
    }

    #[test]
    fn a_refusal_ends_the_exchange() {
        let mut session = Session::new(2);
        session.open_exchange(7);
        session.acknowledged(ack(7, AckReason::PayloadFormatInvalid));
        assert!(session.open_exchange(7));
    }

    #[test]
    fn what_is_in_flight_is_bounded() {
        let mut session = Session::new(2);
        for _ in 0..2 {
            assert!(session.has_room_in_flight());
            session.sent();
        }
        assert!(!session.has_room_in_flight());
        session.delivered();
        assert!(session.has_room_in_flight());
    }
}
