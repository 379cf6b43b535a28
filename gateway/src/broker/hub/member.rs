//! A client that is connected, as the hub knows it: its subscriptions and the retained messages that it waits for.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use tokio_util::sync::CancellationToken;

use super::Hub;
use super::wanted::WantedRetained;
use crate::broker::queue::{Queue, Room};
use crate::broker::session::Session;
use crate::broker::subscribe::{Entry, Granted, Removed, Retained};
use crate::broker::subscriptions::Subscriber;
use crate::domain::subscription::{Interest, SubscriptionOptions};
use crate::domain::topic::TopicError;
use crate::metrics::Limit;
use crate::store::sessions::{Change, Queued};

/// What a session subscribes to, with its room if it is a stored one.
pub(super) type Interests = HashMap<Interest, Option<Room>>;

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
    pub(super) interests: Interests,
    /// That of its will.
    pub(super) will_room: Option<Room>,
    /// Subscriptions whose retained messages have not all been sent.
    pub(super) retained: VecDeque<WantedRetained>,
    /// Whether some of them are being stored.
    pub(in crate::broker) awaits_retained: bool,
    /// Cancelled with the last word of this connection.
    pub(super) gone: CancellationToken,
    pub(super) has_left: bool,
    pub(super) hub: Arc<Hub>,
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

    /// What is to be stored of a subscription that was granted.
    pub(in crate::broker) fn subscribed(
        &self,
        interest: &Interest,
        options: SubscriptionOptions,
    ) -> Change {
        let is_it = |wanted: &WantedRetained| wanted.interest == *interest;
        let mut wanted = self.retained.iter().filter(|wanted| is_it(wanted));
        Change::Subscribe {
            session: self.session,
            interest: interest.clone(),
            options,
            wants_retained: wanted.any(|wanted| wanted.after.is_none()),
        }
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
        if !member.interests.contains_key(interest) {
            let room = match self.room_for_another(member, interest) {
                Ok(room) => room,
                Err(limit) => {
                    self.limited(limit);
                    return Granted::QuotaExceeded;
                }
            };
            member.interests.insert(interest.clone(), room);
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
        Granted::Yes(options.qos)
    }

    fn room_for_another(
        &self,
        member: &Member,
        interest: &Interest,
    ) -> Result<Option<Room>, Limit> {
        if self.limits.subscriptions <= member.interests.len() {
            return Err(Limit::Subscriptions);
        }
        if !member.is_stored() {
            return Ok(None);
        }
        let room = self.stored_total.take(interest.size(), 0);
        room.map(Some).ok_or(Limit::SessionsBytes)
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
}
