//! What waits for one subscriber. Bounded; policy: QoS 0 goes first (the newest is not taken, a queued one makes room for
//! QoS 1 and 2), then the newest; each is counted. Putting in never waits.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::domain::message::{Message, Qos};

/// Messages that may wait for a subscriber.
const MAX_MESSAGES: usize = 1000;

/// Bytes that messages which wait for a subscriber may keep in memory.
const MAX_BYTES: usize = 4 << 20;

/// A message on its way to one subscriber.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) message: Arc<Message>,
    pub(super) qos: Qos,
    pub(super) retain: bool,
    pub(super) subscription_ids: Vec<u32>,
}

impl Delivery {
    fn bytes(&self) -> usize {
        self.message.size()
    }
}

/// The queue of one session.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Notify,
    is_taken_over: AtomicBool,
    gone: CancellationToken,
    has_lost: AtomicBool,
}

#[derive(Debug, Default)]
struct Waiting {
    deliveries: VecDeque<Delivery>,
    bytes: usize,
    /// How many of them have QoS 0.
    unimportant: usize,
}

impl Queue {
    /// Puts a message in; gives how many had to be left out for want of room, the new one included.
    pub(super) fn push(&self, delivery: Delivery) -> usize {
        let mut waiting = self.lock();
        let mut left_out = 0;
        while waiting.is_full_for(&delivery) {
            let evicted = match delivery.qos {
                Qos::AtMostOnce => None,
                Qos::AtLeastOnce | Qos::ExactlyOnce => waiting.remove_unimportant(),
            };
            left_out += 1;
            if evicted.is_none() {
                return left_out;
            }
        }
        waiting.bytes += delivery.bytes();
        waiting.unimportant += usize::from(delivery.qos == Qos::AtMostOnce);
        waiting.deliveries.push_back(delivery);
        drop(waiting);
        self.changed.notify_one();
        left_out
    }

    /// Takes the first message that `is_wanted`, if it stands at the front.
    pub(super) fn pop(&self, is_wanted: impl Fn(&Delivery) -> bool) -> Option<Delivery> {
        let mut waiting = self.lock();
        if !waiting.deliveries.front().is_some_and(is_wanted) {
            return None;
        }
        let delivery = waiting.deliveries.pop_front()?;
        waiting.bytes -= delivery.bytes();
        waiting.unimportant -= usize::from(delivery.qos == Qos::AtMostOnce);
        Some(delivery)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.lock().deliveries.len()
    }

    /// Waits until a message was put in or the session was taken over since the last wait.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// True the first time it is asked.
    pub(super) fn is_first_loss(&self) -> bool {
        !self.has_lost.swap(true, Ordering::Relaxed)
    }

    /// Tells the connection that another one has taken its client id.
    pub(super) fn take_over(&self) {
        self.is_taken_over.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().deliveries.is_empty()
    }

    /// Has the connection look again, as if a message had been put in.
    pub(super) fn nudge(&self) {
        self.changed.notify_one();
    }

    /// Tells who took the client id that the last word of this session has been said.
    pub(super) fn leave(&self) {
        self.gone.cancel();
    }

    /// Waits for the last word of this session.
    pub(super) async fn gone(&self) {
        self.gone.cancelled().await;
    }

    /// Whether another connection has taken the client id.
    pub(super) fn is_taken_over(&self) -> bool {
        self.is_taken_over.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn is_full_for(&self, delivery: &Delivery) -> bool {
        MAX_MESSAGES <= self.deliveries.len()
            || (MAX_BYTES < self.bytes + delivery.bytes() && !self.deliveries.is_empty())
    }

    fn remove_unimportant(&mut self) -> Option<Delivery> {
        if self.unimportant == 0 {
            return None;
        }
        let is_unimportant = |queued: &Delivery| queued.qos == Qos::AtMostOnce;
        let at = self.deliveries.iter().position(is_unimportant)?;
        let removed = self.deliveries.remove(at)?;
        self.unimportant -= 1;
        self.bytes -= removed.bytes();
        Some(removed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{timestamp::Timestamp, topic::TopicName};

    fn delivery(qos: Qos, payload: &str) -> Delivery {
        let message = Message {
            topic: TopicName::new("t").unwrap(),
            payload: payload.as_bytes().to_vec().into(),
            qos,
            retain: false,
            received_at: Timestamp::MIN,
            publisher: "".into(),
            properties: None,
        };
        Delivery {
            message: Arc::new(message),
            qos,
            retain: false,
            subscription_ids: Vec::new(),
        }
    }

    #[test]
    fn a_full_queue_loses_qos_0_first() {
        let queue = Queue::default();
        for _ in 1..MAX_MESSAGES {
            assert_eq!(queue.push(delivery(Qos::AtLeastOnce, "a")), 0);
        }
        assert_eq!(queue.push(delivery(Qos::AtMostOnce, "queued")), 0);
        assert_eq!(queue.push(delivery(Qos::AtMostOnce, "not taken")), 1);
        assert_eq!(queue.push(delivery(Qos::ExactlyOnce, "takes its place")), 1);
        assert_eq!(queue.push(delivery(Qos::AtLeastOnce, "not taken")), 1);
        let waiting = queue.lock();
        let last = waiting.deliveries.back().unwrap();
        assert_eq!(last.message.payload.as_slice(), b"takes its place");
        drop(waiting);
        assert_eq!(queue.len(), MAX_MESSAGES);
    }

    #[test]
    fn bytes_are_bounded_but_one_message_always_fits() {
        let queue = Queue::default();
        let large = "x".repeat(MAX_BYTES);
        assert_eq!(queue.push(delivery(Qos::AtLeastOnce, &large)), 0);
        assert_eq!(queue.push(delivery(Qos::AtLeastOnce, "y")), 1);
        assert!(queue.pop(|_| true).is_some());
        assert_eq!(queue.push(delivery(Qos::AtLeastOnce, "y")), 0);
    }
}
