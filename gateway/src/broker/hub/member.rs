//! A client that is connected, as the hub knows it: its subscriptions and the retained messages that it waits for.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use tokio_util::sync::CancellationToken;

use super::Hub;
use crate::broker::queue::Queue;
use crate::broker::session::Session;
use crate::broker::subscribe::{Entry, Granted, Removed, Retained};
use crate::broker::subscriptions::Subscriber;
use crate::clock;
use crate::domain::message::{Delivery, Qos};
use crate::domain::subscription::{Interest, SubscriptionOptions};
use crate::domain::topic::{TopicError, TopicName};
use crate::metrics::Limit;
use crate::store::sessions::Queued;

/// A connected client, as the hub knows it.
#[derive(Debug)]
pub(in crate::broker) struct Member {
    pub(in crate::broker) session: i64,
    pub(in crate::broker) client_id: Arc<str>,
    pub(super) user: Option<Arc<str>>,
    pub(in crate::broker) queue: Arc<Queue>,
    /// Seconds that its session is kept after the connection.
    pub(in crate::broker) expiry: u32,
    /// What its own publishes are owed.
    pub(in crate::broker) exchanges: Session,
    pub(super) interests: HashSet<Interest>,
    /// Subscriptions whose retained messages have not all been sent.
    pub(super) retained: VecDeque<WantedRetained>,
    /// Whether some of them are being stored.
    pub(in crate::broker) awaits_retained: bool,
    /// Cancelled with the last word of this connection.
    pub(super) gone: CancellationToken,
    pub(super) has_left: bool,
    pub(super) hub: Arc<Hub>,
}

/// Retained messages that are still to be sent.
#[derive(Debug)]
pub(super) struct WantedRetained {
    interest: Interest,
    options: SubscriptionOptions,
    after: Option<TopicName>,
}

impl Drop for Member {
    /// Also when its connection panics.
    fn drop(&mut self) {
        let hub = Arc::clone(&self.hub);
        hub.leave(self, None);
        self.say_gone();
    }
}

impl Member {
    /// Whether its session outlives the connection: what changes of it is stored.
    pub(in crate::broker) fn is_stored(&self) -> bool {
        self.queue.is_stored()
    }

    /// Tells who waits for the client id that the last word of this connection has been said.
    pub(in crate::broker) fn say_gone(&self) {
        self.gone.cancel();
    }

    /// Retained messages that are stored now, or will be before the session can be taken up again.
    pub(in crate::broker) fn take_retained(&mut self, stored: Vec<Queued>) {
        self.awaits_retained = false;
        for queued in stored {
            self.queue.push_reserved(queued.seq, queued.delivery);
        }
    }
}

impl Hub {
    /// Adds a subscription; retained messages of its topics are put into the queue, as far as they are wanted.
    pub(in crate::broker) fn subscribe(&self, member: &mut Member, entry: &Entry) -> Granted {
        let Ok(interest) = &entry.interest else {
            return Granted::FilterInvalid;
        };
        let options = entry.options;
        let is_full = self.limits.subscriptions <= member.interests.len();
        if is_full && !member.interests.contains(interest) {
            self.limited(Limit::Subscriptions);
            return Granted::QuotaExceeded;
        }
        let is_new = self.add_subscription(member, interest, options);
        let is_wanted = match entry.retained {
            // MQTT 5.0, section 4.8.2: a shared subscription gets none.
            _ if interest.group.is_some() => false,
            Retained::Send => true,
            Retained::SendIfNew => is_new,
            Retained::Keep => false,
        };
        if is_wanted {
            // Asking again begins again.
            member
                .retained
                .retain(|wanted| wanted.interest != *interest);
            member.retained.push_back(WantedRetained {
                interest: interest.clone(),
                options,
                after: None,
            });
            member.queue.nudge();
        }
        member.interests.insert(interest.clone());
        Granted::Yes(options.qos)
    }

    pub(super) fn add_subscription(
        &self,
        member: &Member,
        interest: &Interest,
        options: SubscriptionOptions,
    ) -> bool {
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
            .insert(interest, subscriber);
        if is_new {
            self.count_subscriptions(member, 1);
        }
        is_new
    }

    pub(super) fn count_subscriptions(&self, member: &Member, change: isize) {
        let of_stored = member
            .is_stored()
            .then_some(&self.stored_subscription_count);
        for count in [Some(&self.subscription_count), of_stored]
            .into_iter()
            .flatten()
        {
            count.fetch_add(change as usize, Ordering::Relaxed);
        }
    }

    /// Takes a subscription away.
    pub(in crate::broker) fn unsubscribe(
        &self,
        member: &mut Member,
        interest: &Result<Interest, TopicError>,
    ) -> Removed {
        let Ok(interest) = interest else {
            return Removed::FilterInvalid;
        };
        member.interests.remove(interest);
        member
            .retained
            .retain(|wanted| wanted.interest != *interest);
        let was_there = self
            .subscriptions
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(interest, member.session);
        if !was_there {
            return Removed::NoneExisted;
        }
        self.count_subscriptions(member, -1);
        Removed::Yes
    }

    /// Puts some more of the retained messages that a member waits for into its queue, once that is empty, as far as
    /// there is room: so none is lost to its bound. Gives whether there may be more, and those that have a place there
    /// and are to be stored before they take it.
    pub(in crate::broker) fn send_retained(&self, member: &mut Member) -> (bool, Vec<Queued>) {
        let mut stored = Vec::new();
        let Some(mut wanted) = member.retained.pop_front() else {
            return (false, stored);
        };
        let (page, next) = self
            .retained
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .next_page(&wanted.interest.filter, wanted.after.as_ref(), clock::now());
        for message in page {
            let delivery = Delivery {
                qos: wanted.options.qos.min(message.qos),
                message: Arc::clone(&message),
                retain: true,
                subscription_ids: wanted.options.id.into_iter().collect(),
                shared: None,
            };
            let is_taken = if !member.is_stored() || delivery.qos == Qos::AtMostOnce {
                member.queue.push(delivery).is_none()
            } else {
                let seq = member.queue.reserve(&delivery).0;
                let session = member.session;
                stored.extend(seq.map(|seq| Queued {
                    session,
                    seq,
                    delivery,
                }));
                seq.is_some()
            };
            if !is_taken {
                // It comes when there is room again: what takes it now is put in, and nudges.
                member.retained.push_front(wanted);
                member.awaits_retained = !stored.is_empty();
                return (false, stored);
            }
            wanted.after = Some(message.topic.clone());
        }
        member.awaits_retained = !stored.is_empty();
        if next.is_some() {
            wanted.after = next;
            member.retained.push_front(wanted);
        }
        (!member.retained.is_empty(), stored)
    }
}
