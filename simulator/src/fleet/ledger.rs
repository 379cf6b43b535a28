//! Which reading an acknowledgement is for: pure, one ledger for each connection.
//!
//! The MQTT client tells only packet ids. It sends in the order in which it was handed publishes,
//! so the first unknown id that it sends belongs to the oldest reading that waits.

use std::collections::{HashMap, HashSet, VecDeque};

/// One reading of one sensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Reading {
    /// The sensor's number, from 1.
    pub(super) sensor: u32,
    /// The reading's number, from 1 for each sensor.
    pub(super) seq: u64,
    pub(super) value: f64,
}

/// What the client has sent.
#[derive(Debug, PartialEq)]
pub(super) enum Sent {
    First(Reading),
    /// Sent before, on a connection that broke.
    Again,
}

/// The readings handed to the client that the broker has not acknowledged.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    waiting: VecDeque<Reading>,
    in_flight: HashMap<u16, Reading>,
    /// QoS 2: received by the broker, not yet completed.
    completing: HashSet<u16>,
}

impl Ledger {
    /// `reading` is handed to the client.
    pub(super) fn hand(&mut self, reading: Reading) {
        self.waiting.push_back(reading);
    }

    /// The client has sent a publish; `packet_id` is 0 at QoS 0.
    pub(super) fn sent(&mut self, packet_id: u16) -> Sent {
        if self.in_flight.contains_key(&packet_id) {
            return Sent::Again;
        }
        let Some(reading) = self.waiting.pop_front() else {
            return Sent::Again;
        };
        if packet_id != 0 {
            self.in_flight.insert(packet_id, reading);
        }
        Sent::First(reading)
    }

    /// A PUBACK has come.
    pub(super) fn acked(&mut self, packet_id: u16) -> Option<Reading> {
        self.in_flight.remove(&packet_id)
    }

    /// A PUBREC has come: the broker has the reading, the packet id is in use until it completes.
    pub(super) fn received(&mut self, packet_id: u16) -> Option<Reading> {
        let reading = self.in_flight.remove(&packet_id)?;
        self.completing.insert(packet_id);
        Some(reading)
    }

    /// A PUBCOMP has come; false if none was awaited.
    pub(super) fn completed(&mut self, packet_id: u16) -> bool {
        self.completing.remove(&packet_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(seq: u64) -> Reading {
        Reading {
            sensor: 1,
            seq,
            value: 80.0,
        }
    }

    #[test]
    fn acknowledgements_find_their_readings() {
        let mut ledger = Ledger::default();
        ledger.hand(reading(1));
        ledger.hand(reading(2));
        assert_eq!(ledger.sent(1), Sent::First(reading(1)));
        assert_eq!(ledger.sent(2), Sent::First(reading(2)));
        assert_eq!(ledger.acked(2), Some(reading(2)));
        assert_eq!(ledger.acked(1), Some(reading(1)));
        assert_eq!(ledger.acked(1), None);
    }

    #[test]
    fn what_is_sent_again_stays_the_same_reading() {
        let mut ledger = Ledger::default();
        ledger.hand(reading(1));
        ledger.hand(reading(2));
        assert_eq!(ledger.sent(1), Sent::First(reading(1)));
        assert_eq!(ledger.sent(1), Sent::Again);
        assert_eq!(ledger.sent(2), Sent::First(reading(2)));
        assert_eq!(ledger.acked(1), Some(reading(1)));
        assert_eq!(ledger.acked(2), Some(reading(2)));
    }

    #[test]
    fn qos_2_is_acknowledged_once_and_completed_once() {
        let mut ledger = Ledger::default();
        ledger.hand(reading(1));
        assert_eq!(ledger.sent(4), Sent::First(reading(1)));
        assert_eq!(ledger.received(4), Some(reading(1)));
        assert_eq!(ledger.received(4), None);
        assert!(ledger.completed(4));
        assert!(!ledger.completed(4));
    }

    #[test]
    fn qos_0_leaves_nothing_in_flight() {
        let mut ledger = Ledger::default();
        ledger.hand(reading(1));
        ledger.hand(reading(2));
        assert_eq!(ledger.sent(0), Sent::First(reading(1)));
        assert_eq!(ledger.sent(0), Sent::First(reading(2)));
    }
}
