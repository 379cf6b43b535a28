//! Who has a client id: a client that is connected, or a session that waits for its client.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Hub;
use super::member::{Interests, Member};
use super::wanted::WantedRetained;
use crate::broker::queue::{Queue, Room};
use crate::broker::session::Session;
use crate::broker::will::LastWill;
use crate::domain::message::{Message, Will};
use crate::metrics::Limit;
use crate::store::sessions::Change;

/// Who has a client id.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) session: i64,
    pub(super) queue: Arc<Queue>,
    /// `None`: its client is connected.
    pub(super) parked: Option<Box<Parked>>,
}

/// A session that waits for its client.
#[derive(Debug)]
pub(super) struct Parked {
    pub(super) user: Option<Arc<str>>,
    exchanges: Session,
    pub(super) interests: Interests,
    retained: VecDeque<WantedRetained>,
    /// `None`: never.
    pub(super) expires_at: Option<Instant>,
    pub(super) will: Option<LaterWill>,
}

/// A will that waits for its time.
#[derive(Debug)]
pub(super) struct LaterWill {
    pub(super) message: Message,
    pub(super) at: Instant,
    room: Option<Room>,
}

impl Parked {
    /// The memory of its filters and its will.
    fn bytes(&self) -> usize {
        let filters = self.interests.values().flatten();
        let will = self.will.as_ref().and_then(|will| will.room.as_ref());
        filters.chain(will).map(Room::bytes).sum()
    }
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
    /// Another connection has the place; its session and queue.
    Occupied(i64, Arc<Queue>),
    /// There are too many sessions that outlive their connections, or they take too much memory.
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
    pub(in crate::broker) last_will: Option<LastWill>,
}

impl Hub {
    /// Gives a client its place. A session that waits for it is taken up, unless it wants a clean one, or it is another
    /// user's. `forced`: if this connection has the place, it loses it.
    pub(in crate::broker) fn join(
        self: &Arc<Self>,
        newcomer: &Newcomer,
        forced: Option<i64>,
    ) -> Joined {
        let now = Instant::now();
        let mut places = self.places();
        let former = places.get(&newcomer.client_id);
        if let Some(place) = former
            && place.parked.is_none()
            && forced != Some(place.session)
        {
            return Joined::Occupied(place.session, Arc::clone(&place.queue));
        }
        let parked = former.and_then(|place| place.parked.as_deref());
        let is_resumable = parked.is_some_and(|parked| {
            let has_expired = parked.expires_at.is_some_and(|at| at <= now);
            !newcomer.is_clean && !has_expired && parked.user == newcomer.user
        });
        if !is_resumable
            && 0 < newcomer.expiry
            && let Err(limit) = self.check_count(newcomer, parked)
        {
            self.limited(limit);
            return Joined::TooMany;
        }
        let is_stored = is_resumable || 0 < newcomer.expiry;
        let will_room = match newcomer.will.as_ref().filter(|_| is_stored) {
            None => None,
            Some(will) => {
                // What the client has already is not in its way: it comes for that.
                let owned = parked.map_or(0, |parked| parked.bytes());
                let owned = owned + former.map_or(0, |former| former.queue.bytes());
                let room = self.stored_total.take(will.message.size(), owned);
                if room.is_none() {
                    self.limited(Limit::SessionsBytes);
                    return Joined::TooMany;
                }
                room
            }
        };
        let mut changes = Vec::new();
        let mut last_will = None;
        let mut resumed = None;
        if let Some(former) = places.remove(&newcomer.client_id)
            && let Some(parked) = former.parked
        {
            let session = former.session;
            let late = self.take_late(session);
            if is_resumable {
                changes = late;
                resumed = Some((session, former.queue, parked));
            } else {
                self.end(session, &parked.interests, &former.queue);
                changes.push(Change::End { session });
                let user = parked.user;
                last_will = parked.will.map(|will| LastWill {
                    message: will.message,
                    user,
                });
            }
        }
        let is_present = resumed.is_some();
        let mut member = match resumed {
            Some((session, queue, parked)) => self.resume(session, queue, *parked, newcomer),
            None => {
                let session = self.last_session.fetch_add(1, Ordering::Relaxed) + 1;
                let (client_id, user) = (&newcomer.client_id, newcomer.user.clone());
                self.member(session, Arc::clone(client_id), user, is_stored)
            }
        };
        member.expiry = newcomer.expiry;
        member.will_room = will_room;
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

    /// Whether there may be one more session that outlives its connection, in the place of the one that is `parked`.
    fn check_count(&self, newcomer: &Newcomer, parked: Option<&Parked>) -> Result<(), Limit> {
        let stored = self.stored.read().unwrap_or_else(PoisonError::into_inner);
        if self.limits.sessions <= stored.len() - usize::from(parked.is_some()) {
            return Err(Limit::Sessions);
        }
        let is_own = parked.is_some_and(|parked| parked.user == newcomer.user);
        if self.limits.sessions_per_user <= stored.count_of(&newcomer.user) - usize::from(is_own) {
            return Err(Limit::SessionsPerUser);
        }
        Ok(())
    }

    /// Takes a client out. If its session outlives it, `will` waits with it for its time.
    pub(in crate::broker) fn leave(&self, member: &mut Member, will: Option<Will>) {
        self.leave_since(member, will, None);
    }

    /// `waited`: it has been away for so long.
    pub(super) fn leave_since(
        &self,
        member: &mut Member,
        will: Option<Will>,
        waited: Option<Duration>,
    ) {
        if std::mem::replace(&mut member.has_left, true) {
            return;
        }
        let mut places = self.places();
        let place = places.get_mut(&member.client_id);
        let place = place.filter(|place| place.session == member.session);
        let interests = std::mem::take(&mut member.interests);
        let room = member.will_room.take();
        match place {
            Some(place) if member.is_stored() && (0 < member.expiry || waited.is_some()) => {
                let after = |seconds: u32| {
                    let waited = waited.unwrap_or_default();
                    Instant::now() + Duration::from_secs(seconds.into()).saturating_sub(waited)
                };
                // Its connection's orderly end has settled them.
                member.exchanges.forget_pending();
                member.queue.park();
                place.parked = Some(Box::new(Parked {
                    user: member.user.clone(),
                    exchanges: std::mem::take(&mut member.exchanges),
                    interests,
                    retained: std::mem::take(&mut member.retained),
                    expires_at: (member.expiry != u32::MAX).then(|| after(member.expiry)),
                    will: will.map(|will| LaterWill {
                        message: will.message,
                        at: after(will.delay.min(member.expiry)),
                        room,
                    }),
                }));
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

    pub(super) fn member(
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
            stored.insert(session, Arc::clone(&queue), user.clone());
        }
        Member {
            session,
            client_id,
            user,
            gone: queue.gone(),
            queue,
            expiry: 0,
            exchanges: Session::default(),
            interests: HashMap::new(),
            will_room: None,
            retained: VecDeque::new(),
            awaits_retained: false,
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
            will_room: None,
            retained: parked.retained,
            awaits_retained: false,
            has_left: false,
            hub: Arc::clone(self),
        }
    }

    /// Lets go of a session. What it was chosen for out of a group and has not got goes to another of the group.
    pub(super) fn end(&self, session: i64, interests: &Interests, queue: &Queue) {
        let mut tree = self
            .subscriptions
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let gone = interests
            .keys()
            .filter(|of| tree.remove(of, session))
            .count();
        drop(tree);
        self.subscription_count.fetch_sub(gone, Ordering::Relaxed);
        if queue.is_stored() {
            self.stored_subscription_count
                .fetch_sub(gone, Ordering::Relaxed);
            let mut stored = self.stored.write().unwrap_or_else(PoisonError::into_inner);
            stored.remove(session);
        }
        for delivery in queue.take_undelivered() {
            if let Some(interest) = &delivery.shared {
                self.pass_on(&delivery.message, interest);
            }
        }
    }

    pub(super) fn places(&self) -> MutexGuard<'_, HashMap<Arc<str>, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
