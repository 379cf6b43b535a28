//! What is on its way to one session: what waits, and what its client has not acknowledged. Bounded; policy: QoS 0 goes
//! first (the newest is not taken, a queued one makes room for QoS 1 and 2), then the newest; each is counted. What waits
//! for clients that are away is bounded in all as well, and the newest of it is not taken. Putting in never waits.
//!
//! Each QoS 1 and 2 delivery has a number, and its packet identifier follows from that: so a session that is read from
//! the store sends again under the same identifiers.

mod contents;
mod total;

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::contents::Contents;
use crate::config::Limits;
use crate::domain::message::{Delivery, Qos};
use crate::metrics::Limit;

pub(super) use self::contents::{LeftOut, Outgoing};
pub(super) use self::total::{Room, Total};

/// The queue of one session.
#[derive(Debug)]
pub(super) struct Queue {
    contents: Mutex<Contents>,
    changed: Notify,
    is_taken_over: AtomicBool,
    has_lost: AtomicBool,
    /// Whether a client is there to take what comes.
    is_connected: AtomicBool,
    /// Of the present connection: cancelled with its last word.
    gone: Mutex<CancellationToken>,
    stored: Option<Total>,
}

const NO_ROOM_IN_TOTAL: LeftOut = LeftOut {
    count: 1,
    limit: Limit::SessionsBytes,
};

impl Queue {
    /// The queue of a session; `stored` if it outlives its connection.
    pub(super) fn new(limits: &Limits, stored: Option<Total>) -> Self {
        Self {
            contents: Mutex::new(Contents::new(limits)),
            changed: Notify::new(),
            is_taken_over: AtomicBool::new(false),
            has_lost: AtomicBool::new(false),
            is_connected: AtomicBool::new(true),
            gone: Mutex::default(),
            stored,
        }
    }

    /// Whether its session outlives the connection: then what is queued is stored first.
    pub(super) fn is_stored(&self) -> bool {
        self.stored.is_some()
    }

    /// Whether a client is there to take what comes.
    pub(super) fn is_connected(&self) -> bool {
        self.is_connected.load(Ordering::Acquire)
    }

    /// Puts a message in; gives what had to be left out for want of room. What is of QoS 0 does not wait for a client
    /// that is away.
    pub(super) fn push(&self, delivery: Delivery) -> Option<LeftOut> {
        if delivery.qos == Qos::AtMostOnce && !self.is_connected() {
            return None;
        }
        if !self.has_room_in_total(delivery.message.size()) {
            return Some(NO_ROOM_IN_TOTAL);
        }
        let left_out = self.change(|contents| contents.push(delivery));
        self.changed.notify_one();
        left_out
    }

    /// Gives a message its number, and keeps room for it until it is [pushed](Self::push_reserved); `None` if there is
    /// none. Also gives what had to be left out.
    pub(super) fn reserve(&self, delivery: &Delivery) -> (Option<u64>, Option<LeftOut>) {
        if !self.has_room_in_total(delivery.message.size()) {
            return (None, Some(NO_ROOM_IN_TOTAL));
        }
        self.change(|contents| contents.reserve(delivery))
    }

    /// Whether a message of this QoS and size would be taken now.
    pub(super) fn has_room_for(&self, qos: Qos, bytes: usize) -> bool {
        (qos != Qos::AtMostOnce || self.is_connected())
            && self.has_room_in_total(bytes)
            && self.lock().has_room_for(qos, bytes)
    }

    /// Puts in a message that has its number.
    pub(super) fn push_reserved(&self, seq: u64, delivery: Delivery) {
        self.lock().push_reserved(seq, delivery);
        self.changed.notify_one();
    }

    /// Puts in what was read from the store.
    pub(super) fn restore(&self, seq: u64, delivery: Delivery, was_sent: bool, is_received: bool) {
        self.change(|contents| contents.restore(seq, delivery, was_sent, is_received));
    }

    /// Numbers up to this one have been used.
    pub(super) fn begin_after(&self, seq: u64) {
        self.lock().begin_after(seq);
    }

    /// What is to be sent next, if the client may have `window` of QoS 1 and 2 unacknowledged.
    pub(super) fn next(&self, window: usize) -> Option<Outgoing> {
        self.change(|contents| contents.next(window))
    }

    /// What waits and what is unacknowledged, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes()
    }

    /// How many messages the client has not acknowledged.
    pub(super) fn in_flight(&self) -> usize {
        self.lock().in_flight()
    }

    /// The client is done with a message; gives its number, if there was one.
    pub(super) fn done(&self, packet_id: u16) -> Option<u64> {
        self.change(|contents| contents.done(packet_id))
    }

    /// The client has a QoS 2 message; gives its number, if there was one.
    pub(super) fn received(&self, packet_id: u16) -> Option<u64> {
        self.lock().received(packet_id)
    }

    /// The last number that may have been sent.
    pub(super) fn sent_upto(&self) -> u64 {
        self.lock().sent_upto()
    }

    /// Takes out all messages of QoS 1 and 2 that the client has not got for sure.
    pub(super) fn take_undelivered(&self) -> Vec<Delivery> {
        self.change(Contents::take_undelivered)
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Waits until a message was put in or the session was taken over since the last wait.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Has the connection look again, as if a message had been put in.
    pub(super) fn nudge(&self) {
        self.changed.notify_one();
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

    /// Whether another connection has taken the client id.
    pub(super) fn is_taken_over(&self) -> bool {
        self.is_taken_over.load(Ordering::Acquire)
    }

    /// A connection takes the session up: what was on its way is sent again.
    pub(super) fn resume(&self) {
        *self.gone.lock().unwrap_or_else(PoisonError::into_inner) = CancellationToken::new();
        self.is_taken_over.store(false, Ordering::Release);
        self.is_connected.store(true, Ordering::Release);
        self.lock().resume();
        self.changed.notify_one();
    }

    /// Nobody takes what is put in until it is [resumed](Self::resume).
    pub(super) fn park(&self) {
        self.is_connected.store(false, Ordering::Release);
        self.change(Contents::drop_unimportant);
    }

    /// Cancelled with the last word of the present connection.
    pub(super) fn gone(&self) -> CancellationToken {
        self.gone
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn has_room_in_total(&self, bytes: usize) -> bool {
        // Who is connected takes it: what nobody takes must not be in the way of that.
        if self.is_connected() {
            return true;
        }
        let total = self.stored.as_ref();
        total.is_none_or(|total| total.has_room_for(bytes))
    }

    fn change<T>(&self, act: impl FnOnce(&mut Contents) -> T) -> T {
        let mut contents = self.lock();
        let before = contents.bytes();
        let outcome = act(&mut contents);
        let after = contents.bytes();
        if let Some(total) = &self.stored {
            total.change(before, after);
        }
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        if let Some(total) = &self.stored {
            total.change(self.bytes(), 0);
        }
    }
}
