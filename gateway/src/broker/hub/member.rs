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
    pub(super) has_left: bool,
    /// Of this connection: the session's next one has its own.
    pub(super) gone: CancellationToken,
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
        self.said_its_last_word();
    }
}

impl Member {
    /// Tells who waits for the client id that this connection does not hold it up any more.
    pub(in crate::broker) fn said_its_last_word(&self) {
        self.gone.cancel();
    }

    /// Whether its session outlives the connection: what changes of it is stored.
    pub(in crate::broker) fn is_stored(&self) -> bool {
        self.queue.is_stored()
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

    /// Puts some more of the retained messages that a member waits for into its queue, once that is empty: so none is
    /// lost to its bound. Gives whether there may be more, and what of them is to be stored.
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
                message,
                retain: true,
                subscription_ids: wanted.options.id.into_iter().collect(),
                shared: None,
            };
            if !member.is_stored() || delivery.qos == Qos::AtMostOnce {
                let left_out = member.queue.push(delivery);
                self.note_left_out(&member.queue, &member.client_id, left_out);
                continue;
            }
            let (seq, left_out) = member.queue.reserve(&delivery);
            self.note_left_out(&member.queue, &member.client_id, left_out);
            if let Some(seq) = seq {
                member.queue.push_reserved(seq, delivery.clone());
                stored.push(Queued {
                    session: member.session,
                    seq,
                    delivery,
                });
            }
        }
        if next.is_some() {
            wanted.after = next;
            member.retained.push_front(wanted);
        }
        (!member.retained.is_empty(), stored)
    }
}
