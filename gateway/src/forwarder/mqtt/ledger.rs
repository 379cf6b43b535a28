//! Which acknowledgement is for what: pure, one ledger for each connection.
//!
//! The client tells only packet ids. It sends in the order in which it was handed publishes, so that each id that it sends
//! belongs to the oldest that waits.

use std::collections::{HashMap, VecDeque};

/// What was handed to the client and is not acknowledged.
#[derive(Debug)]
pub(super) struct Ledger<T> {
    waiting: VecDeque<T>,
    in_flight: HashMap<u16, T>,
}

impl<T> Default for Ledger<T> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            in_flight: HashMap::new(),
        }
    }
}

impl<T> Ledger<T> {
    /// One is about to be handed to the client.
    pub(super) fn hand(&mut self, one: T) {
        self.waiting.push_back(one);
    }

    /// The client has sent a publish.
    pub(super) fn sent(&mut self, id: u16) {
        if let Some(one) = self.waiting.pop_front() {
            self.in_flight.insert(id, one);
        }
    }

    /// The other side has acknowledged one; `None` if nothing was sent by this id.
    pub(super) fn acked(&mut self, id: u16) -> Option<T> {
        self.in_flight.remove(&id)
    }

    /// All of them, in no order.
    pub(super) fn all(&self) -> impl Iterator<Item = &T> {
        self.waiting.iter().chain(self.in_flight.values())
    }

    /// The same, which it forgets.
    pub(super) fn take_all(&mut self) -> Vec<T> {
        let in_flight = std::mem::take(&mut self.in_flight).into_values();
        self.waiting.drain(..).chain(in_flight).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_is_for_what_was_sent_by_its_id() {
        let mut ledger = Ledger::default();
        for one in ["a", "b", "c"] {
            ledger.hand(one);
        }
        assert_eq!(ledger.acked(7), None, "nothing is sent yet");
        ledger.sent(7);
        ledger.sent(3);
        assert_eq!(ledger.acked(3), Some("b"));
        assert_eq!(ledger.acked(3), None, "once");
        ledger.sent(3);
        assert_eq!(ledger.acked(3), Some("c"), "an id is used again");
        ledger.hand("d");
        let mut left: Vec<_> = ledger.all().copied().collect();
        left.sort_unstable();
        assert_eq!(left, ["a", "d"]);
        assert_eq!(ledger.take_all().len(), 2);
        assert_eq!(ledger.acked(7), None);
    }
}
