//! Who has a client id: a client that is connected, or a session that waits for its client.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Hub;
use super::member::{Member, WantedRetained};
use crate::broker::queue::Queue;
use crate::broker::session::Session;
use crate::clock;
use crate::domain::message::{Message, Will};
use crate::domain::subscription::Interest;
use crate::domain::timestamp::Timestamp;
use crate::metrics::Limit;
use crate::store::sessions::{BrokerState, Change, StoredSession};

/// Before this a clock has not been set, so that nothing can be said of how long a session has waited: 2020-01-01.
const PLAUSIBLE: Timestamp = Timestamp::from_millis(1_577_836_800_000);

/// Who has a client id.
#[derive(Debug)]
pub(super) struct Place {
    session: i64,
    queue: Arc<Queue>,
    /// `None`: its client is connected.
    parked: Option<Parked>,
}

/// A session that waits for its client.
#[derive(Debug)]
struct Parked {
    user: Option<Arc<str>>,
    exchanges: Session,
    interests: HashSet<Interest>,
    retained: VecDeque<WantedRetained>,
    /// `None`: never.
    expires_at: Option<Instant>,
    will: Option<(Message, Instant)>,
}

/// A client that asks for its place.
#[derive(Debug)]
pub(in crate::broker) struct Newcomer {
    pub(in crate::broker) client_id: Arc<str>,
    pub(in crate::broker) user: Option<Arc<str>>,
    /// Whether it wants a session without a past.
    pub(in crate::broker) is_clean: bool,
    /// Seconds that its session is kept after the connection; zero: it ends with it.
    pub(in crate::broker) expiry: u32,
    pub(in crate::broker) will: Option<Will>,
}

/// What comes of it.
#[derive(Debug)]
pub(in crate::broker) enum Joined {
    In(Box<Arrival>),
    /// Another connection has the place; its queue.
    Occupied(Arc<Queue>),
    /// There are too many sessions that outlive their connections.
    TooMany,
}

/// A client in its place.
#[derive(Debug)]
pub(in crate::broker) struct Arrival {
    pub(in crate::broker) member: Member,
    /// Whether it found its session.
    pub(in crate::broker) is_present: bool,
    /// What is to be stored before it is told.
    pub(in crate::broker) changes: Vec<Change>,
    /// The will of a session that has ended thereby.
    pub(in crate::broker) last_will: Option<Message>,
}

impl Hub {
    /// Takes up what was owed when the gateway ended.
    pub fn restore(self: &Arc<Self>, state: BrokerState) {
        let mut retained = self
            .retained
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        for message in state.retained {
            retained.keep(&Arc::new(message));
        }
        drop(retained);
        for session in state.sessions {
            self.restore_session(session);
        }
    }

    fn restore_session(self: &Arc<Self>, stored: StoredSession) {
        self.last_session
            .fetch_max(stored.session, Ordering::Relaxed);
        let mut member = self.member(stored.session, stored.client_id, stored.user, true);
        member.expiry = stored.expiry;
        member.exchanges = Session::restore(stored.exchanges);
        // One that was connected when the gateway ended may have been sent as many as go at once.
        let (was_connected, at_once) = (stored.left_at.is_none(), self.limits.in_flight);
        for (at, (seq, is_received, delivery)) in stored.queued.into_iter().enumerate() {
            let was_sent = seq <= stored.sent_upto || (was_connected && at < at_once);
            member.queue.restore(seq, delivery, was_sent, is_received);
        }
        for (interest, options) in stored.subscriptions {
            self.add_subscription(&member, &interest, options);
            member.interests.insert(interest);
        }
        let place = Place {
            session: member.session,
            queue: Arc::clone(&member.queue),
            parked: None,
        };
        self.places().insert(Arc::clone(&member.client_id), place);
        let waited = stored.left_at.filter(|at| PLAUSIBLE <= *at);
        let waited = waited.map_or(Duration::ZERO, |at| clock::now() - at);
        self.leave_since(&mut member, stored.will, Some(waited));
    }

    /// Gives a client its place. A session that waits for it is taken up, unless it wants a clean one, or it is another
    /// user's. `is_forced`: a connection that has the place loses it.
    pub(in crate::broker) fn join(
        self: &Arc<Self>,
        newcomer: &Newcomer,
        is_forced: bool,
    ) -> Joined {
        let now = Instant::now();
        let mut places = self.places();
        let former = match places.remove(&newcomer.client_id) {
            Some(place) if place.parked.is_none() && !is_forced => {
                let queue = Arc::clone(&place.queue);
                places.insert(Arc::clone(&newcomer.client_id), place);
                return Joined::Occupied(queue);
            }
            other => other,
        };
        let mut changes = Vec::new();
        let mut last_will = None;
        let mut resumed = None;
        if let Some(former) = former
            && let Some(parked) = former.parked
        {
            let has_expired = parked.expires_at.is_some_and(|at| at <= now);
            if newcomer.is_clean || has_expired || parked.user != newcomer.user {
                self.end(former.session, &parked.interests, &former.queue);
                changes.push(Change::End {
                    session: former.session,
                });
                last_will = parked.will.map(|(will, _)| will);
            } else {
                resumed = Some((former.session, former.queue, parked));
            }
        }
        let is_present = resumed.is_some();
        let mut member = match resumed {
            Some((session, queue, parked)) => self.resume(session, queue, parked, newcomer),
            None => {
                let is_stored = 0 < newcomer.expiry;
                if is_stored && self.limits.sessions <= self.stored_count() {
                    self.limited(Limit::Sessions);
                    return Joined::TooMany;
                }
                let session = self.last_session.fetch_add(1, Ordering::Relaxed) + 1;
                let (client_id, user) = (&newcomer.client_id, newcomer.user.clone());
                self.member(session, Arc::clone(client_id), user, is_stored)
            }
        };
        member.expiry = newcomer.expiry;
        let place = Place {
            session: member.session,
            queue: Arc::clone(&member.queue),
            parked: None,
        };
        places.insert(Arc::clone(&newcomer.client_id), place);
        drop(places);
        if member.is_stored() {
            changes.push(Change::Open {
                session: member.session,
                client_id: Arc::clone(&member.client_id),
                user: member.user.clone(),
                expiry: member.expiry,
                will: newcomer.will.clone(),
            });
        }
        Joined::In(Box::new(Arrival {
            member,
            is_present,
            changes,
            last_will,
        }))
    }

    /// Takes a client out. If its session outlives it, `will` waits with it for its time.
    pub(in crate::broker) fn leave(&self, member: &mut Member, will: Option<Will>) {
        self.leave_since(member, will, None);
    }

    /// `waited`: what was read from the store has been without its client for so long. It is left to [`Self::expire`],
    /// which has it deleted there, also if it was to end with its connection.
    fn leave_since(&self, member: &mut Member, will: Option<Will>, waited: Option<Duration>) {
        if std::mem::replace(&mut member.has_left, true) {
            return;
        }
        let mut places = self.places();
        let place = places.get_mut(&member.client_id);
        let place = place.filter(|place| place.session == member.session);
        let interests = std::mem::take(&mut member.interests);
        match place {
            Some(place) if member.is_stored() && (0 < member.expiry || waited.is_some()) => {
                let waited = waited.unwrap_or_default();
                let after = |seconds: u32| {
                    Instant::now() + Duration::from_secs(seconds.into()).saturating_sub(waited)
                };
                member.exchanges.park(std::iter::empty());
                member.queue.park();
                place.parked = Some(Parked {
                    user: member.user.clone(),
                    exchanges: std::mem::take(&mut member.exchanges),
                    interests,
                    retained: std::mem::take(&mut member.retained),
                    expires_at: (member.expiry != u32::MAX).then(|| after(member.expiry)),
                    will: will.map(|will| (will.message, after(will.delay.min(member.expiry)))),
                });
            }
            place => {
                if place.is_some() {
                    places.remove(&member.client_id);
                }
                drop(places);
                self.end(member.session, &interests, &member.queue);
            }
        }
    }

    /// Ends the sessions whose time is over. Gives what is to be stored, and the wills that are due.
    pub(in crate::broker) fn expire(&self) -> (Vec<Change>, Vec<Message>) {
        let now = Instant::now();
        let (mut changes, mut wills) = (Vec::new(), Vec::new());
        let mut ended = Vec::new();
        let mut places = self.places();
        places.retain(|_, place| {
            let session = place.session;
            let Some(parked) = &mut place.parked else {
                return true;
            };
            let has_expired = parked.expires_at.is_some_and(|at| at <= now);
            let is_due = |(_, at): &mut (Message, Instant)| has_expired || *at <= now;
            if let Some((will, _)) = parked.will.take_if(is_due) {
                wills.push(will);
                changes.push(Change::ForgetWill { session });
            }
            if has_expired {
                let interests = std::mem::take(&mut parked.interests);
                ended.push((session, interests, Arc::clone(&place.queue)));
            }
            !has_expired
        });
        drop(places);
        for (session, interests, queue) in ended {
            self.end(session, &interests, &queue);
            changes.push(Change::End { session });
        }
        (changes, wills)
    }

    /// How many sessions outlive, or have outlived, their connections.
    pub(in crate::broker) fn stored_count(&self) -> usize {
        let stored = self.stored.read().unwrap_or_else(PoisonError::into_inner);
        stored.len()
    }

    fn member(
        self: &Arc<Self>,
        session: i64,
        client_id: Arc<str>,
        user: Option<Arc<str>>,
        is_stored: bool,
    ) -> Member {
        let total = is_stored.then(|| self.stored_total.clone());
        let queue = Arc::new(Queue::new(&self.limits, total));
        if is_stored {
            let mut stored = self.stored.write().unwrap_or_else(PoisonError::into_inner);
            stored.insert(session, Arc::clone(&queue));
        }
        Member {
            session,
            client_id,
            user,
            gone: queue.gone(),
            queue,
            expiry: 0,
            exchanges: Session::default(),
            interests: HashSet::new(),
            retained: VecDeque::new(),
            has_left: false,
            hub: Arc::clone(self),
        }
    }

    fn resume(
        self: &Arc<Self>,
        session: i64,
        queue: Arc<Queue>,
        parked: Parked,
        newcomer: &Newcomer,
    ) -> Member {
        queue.resume();
        Member {
            session,
            client_id: Arc::clone(&newcomer.client_id),
            user: parked.user,
            gone: queue.gone(),
            queue,
            expiry: 0,
            exchanges: parked.exchanges,
            interests: parked.interests,
            retained: parked.retained,
            has_left: false,
            hub: Arc::clone(self),
        }
    }

    /// Lets go of a session. What it was chosen for out of a group and has not got goes to another of the group.
    fn end(&self, session: i64, interests: &HashSet<Interest>, queue: &Queue) {
        let mut tree = self
            .subscriptions
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let gone = interests
            .iter()
            .filter(|of| tree.remove(of, session))
            .count();
        drop(tree);
        self.subscription_count.fetch_sub(gone, Ordering::Relaxed);
        if queue.is_stored() {
            self.stored_subscription_count
                .fetch_sub(gone, Ordering::Relaxed);
            let mut stored = self.stored.write().unwrap_or_else(PoisonError::into_inner);
            stored.remove(&session);
        }
        for delivery in queue.take_undelivered() {
            if let Some(interest) = &delivery.shared {
                self.pass_on(&delivery.message, interest);
            }
        }
    }

    fn places(&self) -> MutexGuard<'_, HashMap<Arc<str>, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
