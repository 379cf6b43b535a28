//! What a queue holds, and in which order it goes out. Pure.

use std::collections::VecDeque;

use crate::config::Limits;
use crate::domain::message::{Delivery, Qos};
use crate::metrics::Limit;

/// How many packet identifiers there are: 1 to 65,535.
const PACKET_IDS: u64 = 65_535;

/// What found no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::broker) struct LeftOut {
    /// How many messages, the new one included if it is one of them.
    pub(in crate::broker) count: u64,
    /// What was full, at the last of them.
    pub(in crate::broker) limit: Limit,
}

/// What is to be sent.
#[derive(Clone, Debug)]
pub(in crate::broker) enum Outgoing {
    /// `packet_id` is zero for QoS 0; `is_again`: it may have been sent before.
    Publish {
        delivery: Delivery,
        packet_id: u16,
        is_again: bool,
    },
    Pubrel(u16),
}

/// The packet identifier of a message.
pub(in crate::broker) fn packet_id_of(seq: u64) -> u16 {
    (seq % PACKET_IDS) as u16 + 1
}

/// What waits and what is unacknowledged.
#[derive(Debug)]
pub(super) struct Contents {
    max_messages: usize,
    max_bytes: usize,
    waiting: VecDeque<Entry>,
    /// In the order in which they were sent.
    in_flight: VecDeque<InFlight>,
    /// Of both, and of what is reserved.
    bytes: usize,
    /// Those of `in_flight` among them.
    bytes_in_flight: usize,
    reserved: usize,
    /// How many of `waiting` have QoS 0.
    unimportant: usize,
    last_seq: u64,
    sent_upto: u64,
    /// How many of `in_flight` are to be sent again.
    again: usize,
}

#[derive(Debug)]
struct Entry {
    /// Zero for QoS 0.
    seq: u64,
    delivery: Delivery,
}

#[derive(Debug)]
struct InFlight {
    entry: Entry,
    packet_id: u16,
    /// PUBREC came.
    is_received: bool,
    is_to_be_sent: bool,
    is_again: bool,
}

impl Contents {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            max_messages: limits.queue_messages,
            max_bytes: limits.queue_bytes,
            waiting: VecDeque::new(),
            in_flight: VecDeque::new(),
            bytes: 0,
            bytes_in_flight: 0,
            reserved: 0,
            unimportant: 0,
            last_seq: 0,
            sent_upto: 0,
            again: 0,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn push(&mut self, delivery: Delivery) -> Option<LeftOut> {
        let (has_room, left_out) = self.make_room(&delivery);
        if !has_room {
            return left_out;
        }
        let seq = if delivery.qos == Qos::AtMostOnce {
            self.unimportant += 1;
            0
        } else {
            self.next_seq()
        };
        self.bytes += delivery.message.size();
        self.waiting.push_back(Entry { seq, delivery });
        left_out
    }

    pub(super) fn reserve(&mut self, delivery: &Delivery) -> (Option<u64>, Option<LeftOut>) {
        let (has_room, left_out) = self.make_room(delivery);
        if !has_room {
            return (None, left_out);
        }
        self.reserved += 1;
        self.bytes += delivery.message.size();
        (Some(self.next_seq()), left_out)
    }

    /// Whether a message of this QoS and size would find room, or make it.
    pub(super) fn has_room_for(&self, qos: Qos, bytes: usize) -> bool {
        let count = self.waiting.len() + self.reserved;
        let waiting = self.bytes - self.bytes_in_flight;
        if self.what_is_full(count, waiting + bytes).is_none() {
            return true;
        }
        if qos == Qos::AtMostOnce || self.unimportant == 0 {
            return false;
        }
        let is_unimportant = |queued: &&Entry| queued.delivery.qos == Qos::AtMostOnce;
        let unimportant = self.waiting.iter().filter(is_unimportant);
        let freed: usize = unimportant
            .map(|queued| queued.delivery.message.size())
            .sum();
        let (count, waiting) = (count - self.unimportant, waiting - freed);
        self.what_is_full(count, waiting + bytes).is_none()
    }

    pub(super) fn push_reserved(&mut self, seq: u64, delivery: Delivery) {
        self.reserved -= 1;
        self.waiting.push_back(Entry { seq, delivery });
    }

    pub(super) fn restore(
        &mut self,
        seq: u64,
        delivery: Delivery,
        was_sent: bool,
        is_received: bool,
    ) {
        let bytes = delivery.message.size();
        self.bytes += bytes;
        self.last_seq = self.last_seq.max(seq);
        let entry = Entry { seq, delivery };
        if was_sent || is_received {
            self.bytes_in_flight += bytes;
            self.sent_upto = self.sent_upto.max(seq);
            self.in_flight.push_back(InFlight {
                packet_id: packet_id_of(seq),
                entry,
                is_received,
                is_to_be_sent: false,
                is_again: true,
            });
        } else {
            self.waiting.push_back(entry);
        }
    }

    /// Numbers up to this one have been used.
    pub(super) fn begin_after(&mut self, seq: u64) {
        self.last_seq = self.last_seq.max(seq);
        self.sent_upto = self.sent_upto.max(seq);
    }

    pub(super) fn next(&mut self, window: usize) -> Option<Outgoing> {
        if 0 < self.again {
            return self.next_again(window);
        }
        let first = self.waiting.front()?;
        if first.delivery.qos == Qos::AtMostOnce {
            let Entry { delivery, .. } = self.waiting.pop_front()?;
            self.unimportant -= 1;
            self.bytes -= delivery.message.size();
            return Some(Outgoing::Publish {
                delivery,
                packet_id: 0,
                is_again: false,
            });
        }
        let packet_id = packet_id_of(first.seq);
        if window <= self.in_flight.len() || !self.is_free(first.seq, packet_id) {
            return None;
        }
        let entry = self.waiting.pop_front()?;
        let delivery = entry.delivery.clone();
        self.sent_upto = self.sent_upto.max(entry.seq);
        self.bytes_in_flight += delivery.message.size();
        self.in_flight.push_back(InFlight {
            entry,
            packet_id,
            is_received: false,
            is_to_be_sent: false,
            is_again: false,
        });
        Some(Outgoing::Publish {
            delivery,
            packet_id,
            is_again: false,
        })
    }

    fn next_again(&mut self, window: usize) -> Option<Outgoing> {
        let is_full = window <= self.in_flight.len() - self.again;
        let found = self.in_flight.iter_mut().find(|sent| sent.is_to_be_sent);
        let Some(sent) = found else {
            self.again = 0;
            return None;
        };
        if is_full && !sent.is_received {
            return None;
        }
        sent.is_to_be_sent = false;
        self.again -= 1;
        if sent.is_received {
            return Some(Outgoing::Pubrel(sent.packet_id));
        }
        Some(Outgoing::Publish {
            delivery: sent.entry.delivery.clone(),
            packet_id: sent.packet_id,
            is_again: sent.is_again,
        })
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    pub(super) fn done(&mut self, packet_id: u16) -> Option<u64> {
        let is_it = |sent: &InFlight| sent.packet_id == packet_id;
        let at = self.in_flight.iter().position(is_it)?;
        let sent = self.in_flight.remove(at)?;
        self.again -= usize::from(sent.is_to_be_sent);
        let bytes = sent.entry.delivery.message.size();
        self.bytes -= bytes;
        self.bytes_in_flight -= bytes;
        Some(sent.entry.seq)
    }

    pub(super) fn received(&mut self, packet_id: u16) -> Option<u64> {
        let is_it = |sent: &&mut InFlight| {
            sent.packet_id == packet_id && sent.entry.delivery.qos == Qos::ExactlyOnce
        };
        let sent = self.in_flight.iter_mut().find(is_it)?;
        sent.is_received = true;
        if std::mem::take(&mut sent.is_to_be_sent) {
            self.again -= 1;
        }
        Some(sent.entry.seq)
    }

    pub(super) fn resume(&mut self) {
        for sent in &mut self.in_flight {
            sent.is_to_be_sent = true;
            sent.is_again = true;
        }
        self.again = self.in_flight.len();
    }

    pub(super) fn sent_upto(&self) -> u64 {
        self.sent_upto
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.again == 0
    }

    pub(super) fn drop_unimportant(&mut self) {
        let bytes = &mut self.bytes;
        self.waiting.retain(|queued| {
            let is_important = queued.delivery.qos != Qos::AtMostOnce;
            if !is_important {
                *bytes -= queued.delivery.message.size();
            }
            is_important
        });
        self.unimportant = 0;
    }

    pub(super) fn take_undelivered(&mut self) -> Vec<Delivery> {
        self.drop_unimportant();
        let sent = std::mem::take(&mut self.in_flight).into_iter();
        // A QoS 2 message that was sent may have arrived: it must not go to anybody else (MQTT 5.0, section 4.8.2).
        let sent = sent.filter(|sent| sent.entry.delivery.qos == Qos::AtLeastOnce);
        let sent = sent.map(|sent| sent.entry);
        let waiting = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        self.bytes_in_flight = 0;
        self.again = 0;
        sent.chain(waiting).map(|entry| entry.delivery).collect()
    }

    fn next_seq(&mut self) -> u64 {
        self.last_seq += 1;
        self.last_seq
    }

    /// Whether no message under way has this identifier: only one that is so much older could.
    fn is_free(&self, seq: u64, packet_id: u16) -> bool {
        let is_far = |sent: &InFlight| PACKET_IDS / 2 < seq.abs_diff(sent.entry.seq);
        !self.in_flight.front().is_some_and(is_far)
            || self
                .in_flight
                .iter()
                .all(|sent| sent.packet_id != packet_id)
    }

    /// Makes room as far as the policy allows; gives whether there is some, and what had to go.
    fn make_room(&mut self, delivery: &Delivery) -> (bool, Option<LeftOut>) {
        let (mut count, mut left_out) = (0, None);
        while let Some(limit) = self.full(delivery) {
            count += 1;
            left_out = Some(LeftOut { count, limit });
            if delivery.qos == Qos::AtMostOnce || !self.remove_unimportant() {
                return (false, left_out);
            }
        }
        (true, left_out)
    }

    /// What keeps a message out. One always fits, however large it is.
    fn full(&self, delivery: &Delivery) -> Option<Limit> {
        let count = self.waiting.len() + self.reserved;
        let bytes = self.bytes - self.bytes_in_flight + delivery.message.size();
        self.what_is_full(count, bytes)
    }

    fn what_is_full(&self, count: usize, bytes: usize) -> Option<Limit> {
        if self.max_messages <= count {
            Some(Limit::QueueMessages)
        } else if bytes <= self.max_bytes || count == 0 {
            None
        } else {
            Some(Limit::QueueBytes)
        }
    }

    fn remove_unimportant(&mut self) -> bool {
        if self.unimportant == 0 {
            return false;
        }
        let is_unimportant = |queued: &Entry| queued.delivery.qos == Qos::AtMostOnce;
        let at = self.waiting.iter().position(is_unimportant);
        let Some(removed) = at.and_then(|at| self.waiting.remove(at)) else {
            return false;
        };
        self.unimportant -= 1;
        self.bytes -= removed.delivery.message.size();
        true
    }
}

#[cfg(test)]
mod tests;
