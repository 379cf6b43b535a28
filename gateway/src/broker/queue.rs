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

use crate::config::Limits;
use crate::domain::message::{Message, Qos};
use crate::metrics::Limit;

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

/// What found no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// How many messages, the new one included if it is one of them.
    pub(super) count: u64,
    /// What was full, at the last of them.
    pub(super) limit: Limit,
}

/// The queue of one session.
#[derive(Debug)]
pub(super) struct Queue {
    max_messages: usize,
    max_bytes: usize,
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
    /// An empty queue.
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            max_messages: limits.queue_messages,
            max_bytes: limits.queue_bytes,
            waiting: Mutex::default(),
            changed: Notify::default(),
            is_taken_over: AtomicBool::new(false),
            gone: CancellationToken::new(),
            has_lost: AtomicBool::new(false),
        }
    }

    /// Puts a message in; gives what had to be left out for want of room.
    pub(super) fn push(&self, delivery: Delivery) -> Option<LeftOut> {
        let mut waiting = self.lock();
        let mut left_out = None;
        let mut count = 0;
        while let Some(limit) = self.full(&waiting, &delivery) {
            let evicted = match delivery.qos {
                Qos::AtMostOnce => None,
                Qos::AtLeastOnce | Qos::ExactlyOnce => waiting.remove_unimportant(),
            };
            count += 1;
            left_out = Some(LeftOut { count, limit });
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

    /// What keeps a message out. One always fits, however large it is.
    fn full(&self, waiting: &Waiting, delivery: &Delivery) -> Option<Limit> {
        let has_room_for_bytes = waiting.bytes + delivery.bytes() <= self.max_bytes;
        if self.max_messages <= waiting.deliveries.len() {
            Some(Limit::QueueMessages)
        } else if has_room_for_bytes || waiting.deliveries.is_empty() {
            None
        } else {
            Some(Limit::QueueBytes)
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
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
        let limits = Limits::default();
        let queue = Queue::new(&limits);
        let one = LeftOut {
            count: 1,
            limit: Limit::QueueMessages,
        };
        for _ in 1..limits.queue_messages {
            assert_eq!(queue.push(delivery(Qos::AtLeastOnce, "a")), None);
        }
        let check = |qos, payload, expected| {
            assert_eq!(queue.push(delivery(qos, payload)), expected, "{payload}");
        };
        check(Qos::AtMostOnce, "queued", None);
        check(Qos::AtMostOnce, "not taken", Some(one));
        check(Qos::ExactlyOnce, "takes its place", Some(one));
        check(Qos::AtLeastOnce, "not taken either", Some(one));
        let waiting = queue.lock();
        let last = waiting.deliveries.back().unwrap();
        assert_eq!(last.message.payload.as_slice(), b"takes its place");
        drop(waiting);
        assert_eq!(queue.len(), limits.queue_messages);
    }

    #[test]
    fn bytes_are_bounded_but_one_message_always_fits() {
        let limits = Limits::default();
        let queue = Queue::new(&limits);
        let large = "x".repeat(limits.queue_bytes);
        assert_eq!(queue.push(delivery(Qos::AtLeastOnce, &large)), None);
        let left_out = queue.push(delivery(Qos::AtLeastOnce, "y")).unwrap();
        assert_eq!((left_out.count, left_out.limit), (1, Limit::QueueBytes));
        assert!(queue.pop(|_| true).is_some());
        assert_eq!(queue.push(delivery(Qos::AtLeastOnce, "y")), None);
    }
}
