//! The hub: takes messages and puts them into the queues of those who want them. It never waits for anybody.
//!
//! Of sessions that outlive their connections (`places`) it says what has to be stored before a message counts as taken;
//! the committer asks, and hands each message on after its commit.

mod late;
mod member;
mod places;
mod retention;
mod stored;
mod waiting;
mod wanted;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
};

use self::late::Late;
use self::places::Place;
use self::stored::Stored;
use super::{
    queue::{LeftOut, Queue, Total},
    retained::RetainedMessages,
    subscriptions::{Found, Group, Subscriber, Subscriptions},
};
use crate::config::Limits;
use crate::domain::message::{Delivery, Message, Qos};
use crate::domain::subscription::Interest;
use crate::ingest::{Outlet, Routed};
use crate::metrics::{Limit, Metrics};
use crate::store::sessions::{Change, Queued};

pub(super) use self::member::Member;
pub(super) use self::places::{Arrival, Joined, Newcomer};
pub(super) use self::wanted::RetainedPage;

/// Where messages of all clients meet.
#[derive(Debug)]
pub struct Hub {
    subscriptions: RwLock<Subscriptions>,
    subscription_count: AtomicUsize,
    /// Of sessions that outlive their connections.
    stored_subscription_count: AtomicUsize,
    retained: RwLock<RetainedMessages>,
    /// By client id.
    places: Mutex<HashMap<Arc<str>, Place>>,
    stored: RwLock<Stored>,
    stored_total: Total,
    late: Late,
    last_session: AtomicI64,
    /// Said once.
    has_refused_to_retain: AtomicBool,
    limits: Limits,
    metrics: Arc<Metrics>,
}

impl Hub {
    /// An empty hub.
    pub fn new(limits: &Limits, metrics: Arc<Metrics>) -> Self {
        Self {
            subscriptions: RwLock::default(),
            subscription_count: AtomicUsize::new(0),
            stored_subscription_count: AtomicUsize::new(0),
            retained: RwLock::new(RetainedMessages::new(limits)),
            places: Mutex::default(),
            stored: RwLock::default(),
            stored_total: Total::new(limits.sessions_bytes),
            late: Late::default(),
            last_session: AtomicI64::new(0),
            has_refused_to_retain: AtomicBool::new(false),
            limits: *limits,
            metrics,
        }
    }

    /// Whether anybody subscribes to anything: without it a message that is not retained need not be made.
    pub(super) fn has_subscribers(&self) -> bool {
        0 < self.subscription_count.load(Ordering::Relaxed)
    }

    /// How many subscriptions there are.
    pub(super) fn subscription_count(&self) -> u64 {
        self.subscription_count.load(Ordering::Relaxed) as u64
    }

    /// Whether something has to be stored before this message counts as taken.
    pub(super) fn must_store(&self, message: &Message) -> bool {
        if message.retain {
            return true;
        }
        if message.qos == Qos::AtMostOnce
            || self.stored_subscription_count.load(Ordering::Relaxed) == 0
        {
            return false;
        }
        let tree = self
            .subscriptions
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let mut is_found = false;
        tree.for_each_match(&message.topic, &mut |found| {
            is_found |= match found {
                Found::One(subscriber) => subscriber.queue.is_stored(),
                Found::Group(group) => group.has_stored_members(),
            };
        });
        is_found
    }

    /// Hands on a message that need not be stored.
    pub(super) fn publish_now(&self, message: Message) {
        self.fan_out(&Arc::new(message), None);
    }

    /// Puts a message into the queues of those who want it; sessions of which `routed` tells have their place already.
    fn fan_out(&self, message: &Arc<Message>, routed: Option<&Routed>) {
        if !self.has_subscribers() {
            return;
        }
        let tree = self
            .subscriptions
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let is_placed = |qos: Qos, queue: &Queue| {
            routed.is_some() && qos != Qos::AtMostOnce && queue.is_stored()
        };
        let (matches, groups) = matches(&tree, message);
        for same_session in matches.chunk_by(|a, b| a.session == b.session) {
            let Some((subscriber, delivery)) = delivery_for(message, same_session) else {
                continue;
            };
            if !is_placed(delivery.qos, &subscriber.queue) {
                self.push(subscriber, delivery);
            }
        }
        for group in groups {
            let chosen = routed.and_then(|routed| routed.choice_of(&group.interest));
            let subscriber = match chosen {
                // Its place is in a queue that is stored.
                Some(None) => continue,
                Some(Some(session)) => group.member(session).or_else(|| group.pick(message)),
                None => group.pick(message),
            };
            if let Some(subscriber) = subscriber {
                self.push(subscriber, shared_delivery(message, group, subscriber));
            }
        }
    }

    /// Hands a message to somebody of a group, in the place of a member that is gone.
    fn pass_on(&self, message: &Arc<Message>, interest: &Interest) {
        let tree = self
            .subscriptions
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let (_, groups) = matches(&tree, message);
        if let Some(group) = groups.iter().find(|group| *group.interest == *interest)
            && let Some(subscriber) = group.pick(message)
        {
            self.push(subscriber, shared_delivery(message, group, subscriber));
        }
    }

    fn push(&self, subscriber: &Subscriber, delivery: Delivery) {
        if subscriber.queue.is_stored() && delivery.qos != Qos::AtMostOnce {
            if let Some(queued) = self.reserve(subscriber, delivery) {
                let (seq, delivery) = (queued.seq, queued.delivery.clone());
                self.late.add([Change::Queue(queued)]);
                subscriber.queue.push_reserved(seq, delivery);
            }
            return;
        }
        let left_out = subscriber.queue.push(delivery);
        self.note_left_out(&subscriber.queue, &subscriber.client_id, left_out);
    }

    fn note_left_out(&self, queue: &Queue, client_id: &str, left_out: Option<LeftOut>) {
        let Some(left_out) = left_out else {
            return;
        };
        self.metrics.limited(left_out.limit);
        self.count_dropped("queue_full", left_out.count);
        if queue.is_first_loss() {
            tracing::warn!(
                client_id,
                "subscriber is too slow: messages are dropped; said once a session"
            );
        }
    }

    fn count_dropped(&self, reason: &str, count: u64) {
        let dropped = &self.metrics.mqtt_dropped;
        dropped.with_label_values(&[reason]).inc_by(count);
    }

    fn limited(&self, limit: Limit) {
        self.metrics.limited(limit);
    }

    /// Keeps a place in the queue of a session that outlives its connection.
    fn reserve(&self, subscriber: &Subscriber, delivery: Delivery) -> Option<Queued> {
        let (seq, left_out) = subscriber.queue.reserve(&delivery);
        self.note_left_out(&subscriber.queue, &subscriber.client_id, left_out);
        seq.map(|seq| Queued {
            session: subscriber.session,
            seq,
            delivery,
        })
    }
}

impl Outlet for Arc<Hub> {
    fn route(&self, message: &Arc<Message>) -> Routed {
        let mut routed = Routed {
            retention: self.promise_retention(message),
            ..Routed::default()
        };
        let has_stored = 0 < self.stored_subscription_count.load(Ordering::Relaxed);
        if !has_stored || message.is_of_expiry() {
            return routed;
        }
        let tree = self
            .subscriptions
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let (mut matches, groups) = matches(&tree, message);
        matches.retain(|subscriber| subscriber.queue.is_stored());
        for same_session in matches.chunk_by(|a, b| a.session == b.session) {
            if let Some((subscriber, delivery)) = delivery_for(message, same_session)
                && delivery.qos != Qos::AtMostOnce
            {
                routed.queued.extend(self.reserve(subscriber, delivery));
            }
        }
        for group in groups
            .into_iter()
            .filter(|group| group.has_stored_members())
        {
            let Some(subscriber) = group.pick(message) else {
                continue;
            };
            let delivery = shared_delivery(message, group, subscriber);
            let is_stored = subscriber.queue.is_stored() && delivery.qos != Qos::AtMostOnce;
            if is_stored {
                routed.queued.extend(self.reserve(subscriber, delivery));
            }
            let session = (!is_stored).then_some(subscriber.session);
            routed.chosen.push((Arc::clone(&group.interest), session));
        }
        routed
    }

    fn publish(&self, message: Arc<Message>, routed: Routed) {
        self.retain(&message, routed.retention);
        if message.is_of_expiry() {
            return;
        }
        self.fan_out(&message, Some(&routed));
        let mut orphans = Vec::new();
        let stored = self.stored.read().unwrap_or_else(PoisonError::into_inner);
        for queued in routed.queued {
            match stored.queue(queued.session) {
                Some(queue) => queue.push_reserved(queued.seq, queued.delivery),
                None => orphans.push(queued.delivery),
            }
        }
        drop(stored);
        // The session has ended since: another of the group gets it.
        for delivery in orphans {
            if let Some(interest) = &delivery.shared {
                self.pass_on(&delivery.message, interest);
            }
        }
    }
}

/// Who wants a message: each for itself, those of one session side by side; and the groups that share.
fn matches<'t>(
    tree: &'t Subscriptions,
    message: &Message,
) -> (Vec<&'t Subscriber>, Vec<&'t Group>) {
    let (mut each, mut groups) = (Vec::new(), Vec::new());
    tree.for_each_match(&message.topic, &mut |found| match found {
        Found::One(subscriber) => each.push(subscriber),
        Found::Group(group) => groups.push(group),
    });
    each.sort_by_key(|subscriber| subscriber.session);
    (each, groups)
}

/// One copy for a session, however many of its subscriptions match, with the best QoS of them.
fn delivery_for<'t>(
    message: &Arc<Message>,
    subscriptions: &[&'t Subscriber],
) -> Option<(&'t Subscriber, Delivery)> {
    let mut wanting = None;
    let mut granted = Qos::AtMostOnce;
    let mut retain = false;
    let mut subscription_ids = Vec::new();
    for subscriber in subscriptions {
        if subscriber.options.no_local && subscriber.client_id == message.publisher {
            continue;
        }
        wanting = Some(*subscriber);
        granted = granted.max(subscriber.options.qos);
        retain |= subscriber.options.retain_as_published && message.retain;
        subscription_ids.extend(subscriber.options.id);
    }
    let delivery = Delivery {
        message: Arc::clone(message),
        qos: granted.min(message.qos),
        retain,
        subscription_ids,
        shared: None,
    };
    wanting.map(|subscriber| (subscriber, delivery))
}

fn shared_delivery(message: &Arc<Message>, group: &Group, chosen: &Subscriber) -> Delivery {
    let options = &chosen.options;
    Delivery {
        message: Arc::clone(message),
        qos: options.qos.min(message.qos),
        retain: options.retain_as_published && message.retain,
        subscription_ids: options.id.into_iter().collect(),
        shared: Some(Arc::clone(&group.interest)),
    }
}

#[cfg(test)]
impl Hub {
    /// How many sessions outlive, or have outlived, their connections.
    pub(super) fn stored_count(&self) -> usize {
        let stored = self.stored.read().unwrap_or_else(PoisonError::into_inner);
        stored.len()
    }

    /// The memory of sessions that outlive their connections.
    pub(super) fn stored_bytes(&self) -> usize {
        self.stored_total.bytes()
    }
}

#[cfg(test)]
mod tests;
