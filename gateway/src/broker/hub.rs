//! The hub: takes messages and puts them into the queues of those who want them. It never waits for anybody.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use super::{
    queue::{Delivery, LeftOut, Queue},
    retained::RetainedMessages,
    subscribe::{Entry, Granted, Removed, Retained, SubscriptionOptions},
    subscriptions::{Subscriber, Subscriptions},
};
use crate::clock;
use crate::config::Limits;
use crate::domain::{
    message::{Message, Qos},
    topic::{TopicError, TopicFilter, TopicName},
};
use crate::metrics::{Limit, Metrics};

/// Where messages of all clients meet.
#[derive(Debug)]
pub struct Hub {
    subscriptions: RwLock<Subscriptions>,
    subscription_count: AtomicUsize,
    retained: RwLock<RetainedMessages>,
    /// By client id.
    sessions: Mutex<HashMap<Arc<str>, Place>>,
    last_session: AtomicU64,
    has_refused_to_retain: AtomicBool,
    limits: Limits,
    metrics: Arc<Metrics>,
}

/// There was no room to retain a message; it was delivered all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotRetained;

/// Who has a client id now.
#[derive(Debug)]
struct Place {
    session: u64,
    queue: Arc<Queue>,
}

/// A connected client, as the hub knows it.
#[derive(Debug)]
pub(super) struct Member {
    session: u64,
    pub(super) client_id: Arc<str>,
    pub(super) queue: Arc<Queue>,
    filters: HashSet<TopicFilter>,
    /// Subscriptions whose retained messages have not all been sent.
    retained: VecDeque<WantedRetained>,
    hub: Arc<Hub>,
}

#[derive(Debug)]
struct WantedRetained {
    filter: TopicFilter,
    options: SubscriptionOptions,
    after: Option<TopicName>,
}

impl Drop for Member {
    /// Also when its connection panics.
    fn drop(&mut self) {
        let hub = Arc::clone(&self.hub);
        hub.leave(self);
        self.queue.leave();
    }
}

impl Hub {
    /// An empty hub.
    pub fn new(limits: &Limits, metrics: Arc<Metrics>) -> Self {
        Self {
            subscriptions: RwLock::default(),
            subscription_count: AtomicUsize::new(0),
            retained: RwLock::new(RetainedMessages::new(limits)),
            sessions: Mutex::default(),
            last_session: AtomicU64::new(0),
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

    /// How many topics have a retained message.
    pub(super) fn retained_count(&self) -> u64 {
        let retained = self.retained.read().unwrap_or_else(PoisonError::into_inner);
        retained.len() as u64
    }

    /// Hands a message to all who subscribe to its topic, and retains it if it asks for that and there is room.
    pub fn publish(&self, message: Message) -> Result<(), NotRetained> {
        let message = Arc::new(message);
        let mut outcome = Ok(());
        if message.retain {
            let mut retained = self
                .retained
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            if let Err(limit) = retained.keep(&message) {
                self.metrics.limited(limit);
                self.count_dropped("retained_full", 1);
                if !self.has_refused_to_retain.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        topic = %message.topic,
                        "there are too many retained messages: delivered, not retained; said once"
                    );
                }
                outcome = Err(NotRetained);
            }
        }
        if !self.has_subscribers() {
            return outcome;
        }
        let tree = self
            .subscriptions
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let mut matches: Vec<&Subscriber> = Vec::new();
        tree.for_each_match(&message.topic, &mut |subscriber| matches.push(subscriber));
        matches.sort_by_key(|subscriber| subscriber.session);
        for same_session in matches.chunk_by(|a, b| a.session == b.session) {
            self.deliver(&message, same_session);
        }
        outcome
    }

    /// One copy for a session, however many of its subscriptions match, with the best QoS of them.
    fn deliver(&self, message: &Arc<Message>, subscriptions: &[&Subscriber]) {
        let mut queue = None;
        let mut granted = Qos::AtMostOnce;
        let mut retain = false;
        let mut subscription_ids = Vec::new();
        for subscriber in subscriptions {
            if subscriber.options.no_local && subscriber.client_id == message.publisher {
                continue;
            }
            queue = Some(&subscriber.queue);
            granted = granted.max(subscriber.options.qos);
            retain |= subscriber.options.retain_as_published && message.retain;
            subscription_ids.extend(subscriber.options.id);
        }
        let Some(queue) = queue else {
            return;
        };
        let left_out = queue.push(Delivery {
            message: Arc::clone(message),
            qos: granted.min(message.qos),
            retain,
            subscription_ids,
        });
        if let Some(left_out) = left_out {
            self.count_left_out(left_out);
            if queue.is_first_loss() {
                let client_id = subscriptions.first().map(|s| &*s.client_id);
                tracing::warn!(
                    client_id,
                    "subscriber is too slow: messages are dropped; said once a session"
                );
            }
        }
    }

    fn count_left_out(&self, left_out: LeftOut) {
        self.metrics.limited(left_out.limit);
        self.count_dropped("queue_full", left_out.count);
    }

    fn count_dropped(&self, reason: &str, count: u64) {
        let dropped = &self.metrics.mqtt_dropped;
        dropped.with_label_values(&[reason]).inc_by(count);
    }

    /// Gives a client its place; a connection that has the same client id is told to go, and its queue is given too.
    pub(super) fn join(self: &Arc<Self>, client_id: Arc<str>) -> (Member, Option<Arc<Queue>>) {
        let session = self.last_session.fetch_add(1, Ordering::Relaxed) + 1;
        let queue = Arc::new(Queue::new(&self.limits));
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let place = Place {
            session,
            queue: Arc::clone(&queue),
        };
        let former = sessions.insert(Arc::clone(&client_id), place);
        drop(sessions);
        let former = former.map(|former| former.queue);
        if let Some(former) = &former {
            former.take_over();
        }
        let member = Member {
            session,
            client_id,
            queue,
            filters: HashSet::new(),
            retained: VecDeque::new(),
            hub: Arc::clone(self),
        };
        (member, former)
    }

    /// Takes a client out.
    pub(super) fn leave(&self, member: &mut Member) {
        let mut tree = self
            .subscriptions
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        for filter in member.filters.drain() {
            if tree.remove(&filter, member.session) {
                self.subscription_count.fetch_sub(1, Ordering::Relaxed);
            }
        }
        drop(tree);
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions
            .get(&member.client_id)
            .is_some_and(|place| place.session == member.session)
        {
            sessions.remove(&member.client_id);
        }
    }

    /// Adds a subscription; retained messages of its topics are put into the queue, as far as they are wanted.
    pub(super) fn subscribe(&self, member: &mut Member, entry: Entry) -> Granted {
        let Ok(filter) = entry.filter else {
            return Granted::FilterInvalid;
        };
        let options = entry.options;
        if entry.is_shared {
            return Granted::SharedNotSupported;
        }
        let is_full = self.limits.subscriptions <= member.filters.len();
        if is_full && !member.filters.contains(&filter) {
            self.metrics.limited(Limit::Subscriptions);
            return Granted::QuotaExceeded;
        }
        let subscriber = Subscriber {
            session: member.session,
            client_id: Arc::clone(&member.client_id),
            queue: Arc::clone(&member.queue),
            options,
        };
        let is_new = self
            .subscriptions
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(&filter, subscriber);
        if is_new {
            self.subscription_count.fetch_add(1, Ordering::Relaxed);
        }
        let is_wanted = match entry.retained {
            Retained::Send => true,
            Retained::SendIfNew => is_new,
            Retained::Keep => false,
        };
        if is_wanted {
            // Asking again begins again.
            member.retained.retain(|wanted| wanted.filter != filter);
            member.retained.push_back(WantedRetained {
                filter: filter.clone(),
                options,
                after: None,
            });
            member.queue.nudge();
        }
        member.filters.insert(filter);
        Granted::Yes(options.qos)
    }

    /// Puts some more of the retained messages that a member waits for into its queue, once that is empty: so none is
    /// lost to its bound. Gives whether there may be more.
    pub(super) fn send_retained(&self, member: &mut Member) -> bool {
        let Some(mut wanted) = member.retained.pop_front() else {
            return false;
        };
        let (page, next) = self
            .retained
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .next_page(&wanted.filter, wanted.after.as_ref(), clock::now());
        for message in page {
            let left_out = member.queue.push(Delivery {
                qos: wanted.options.qos.min(message.qos),
                message,
                retain: true,
                subscription_ids: wanted.options.id.into_iter().collect(),
            });
            if let Some(left_out) = left_out {
                self.count_left_out(left_out);
            }
        }
        if next.is_some() {
            wanted.after = next;
            member.retained.push_front(wanted);
        }
        !member.retained.is_empty()
    }

    /// Takes a subscription away.
    pub(super) fn unsubscribe(
        &self,
        member: &mut Member,
        filter: Result<TopicFilter, TopicError>,
    ) -> Removed {
        let Ok(filter) = filter else {
            return Removed::FilterInvalid;
        };
        member.filters.remove(&filter);
        member.retained.retain(|wanted| wanted.filter != filter);
        let was_there = self
            .subscriptions
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&filter, member.session);
        if !was_there {
            return Removed::NoneExisted;
        }
        self.subscription_count.fetch_sub(1, Ordering::Relaxed);
        Removed::Yes
    }
}

#[cfg(test)]
mod tests;
