//! Sessions that wait for their clients: read from the store at start, and ended when their time is over.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::Hub;
use super::places::Place;
use crate::broker::session::Session;
use crate::broker::will::LastWill;
use crate::clock;
use crate::store::sessions::{BrokerState, Change, StoredSession};

impl Place {
    /// Whether its session's time is over.
    fn is_over(&self, now: Instant) -> bool {
        let parked = self.parked.as_ref();
        parked.is_some_and(|parked| parked.expires_at.is_some_and(|at| at <= now))
    }

    /// Whether it is, or its will is due.
    fn is_due(&self, now: Instant) -> bool {
        let will = self.parked.as_ref().and_then(|parked| parked.will.as_ref());
        self.is_over(now) || will.is_some_and(|will| will.at <= now)
    }
}

impl Hub {
    /// Takes up what was owed when the gateway ended.
    pub fn restore(self: &Arc<Self>, state: BrokerState) {
        let mut retained = self.retained_mut();
        let mut left_out = 0;
        for message in state.retained {
            match retained.check_room(&message) {
                Ok(()) => retained.keep(&Arc::new(message)),
                Err(_) => left_out += 1,
            }
        }
        if 0 < left_out {
            tracing::warn!(
                left_out,
                "there are too many retained messages: some are left out"
            );
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
        let mut sent_upto = stored.sent_upto;
        for (at, (seq, is_received, delivery)) in stored.queued.into_iter().enumerate() {
            let was_sent = seq <= stored.sent_upto || (was_connected && at < at_once);
            if was_sent {
                sent_upto = sent_upto.max(seq);
            }
            member.queue.restore(seq, delivery, was_sent, is_received);
        }
        member.queue.begin_after(sent_upto);
        if was_connected {
            // So that its time begins once and not with each restart.
            self.owe([Change::Left {
                session: stored.session,
                at: clock::now_if_trusted(),
                expiry: stored.expiry,
                sent_upto,
                has_will: stored.will.is_some(),
            }]);
        }
        for subscription in stored.subscriptions {
            self.restore_subscription(&mut member, subscription);
        }
        let will = stored.will.as_ref();
        member.will_room = will.map(|will| self.stored_total.hold(will.message.size()));
        let place = Place {
            session: member.session,
            queue: Arc::clone(&member.queue),
            parked: None,
        };
        self.places().insert(Arc::clone(&member.client_id), place);
        let waited = stored.left_at.map(clock::gone_since);
        // Also one whose time is over: `expire` ends it, with its will.
        self.leave_since(&mut member, stored.will, Some(waited.unwrap_or_default()));
    }

    /// Whether [`expire`](Self::expire) has something to do.
    pub(in crate::broker) fn has_expired(&self) -> bool {
        let now = Instant::now();
        !self.late.is_empty() || self.places().values().any(|place| place.is_due(now))
    }

    /// Ends the next session whose time is over, or takes the will of one that is due, and hands over what is to be
    /// stored of it and the will, before anybody else can take the place; false if there is none.
    pub(in crate::broker) fn expire(
        &self,
        hand_over: impl FnOnce(Vec<Change>, Option<LastWill>),
    ) -> bool {
        let now = Instant::now();
        let mut places = self.places();
        let due = places.iter().find(|(_, place)| place.is_due(now));
        let Some((client_id, place)) = due else {
            // Who is connected brings it there itself, in the right order.
            let late = self.late.sessions().into_iter().find_map(|session| {
                let place = places.values().find(|place| place.session == session);
                match place {
                    Some(place) => place.parked.is_some().then_some((session, true)),
                    None => Some((session, false)),
                }
            });
            let Some((session, is_there)) = late else {
                return false;
            };
            let mut changes = self.take_late(session);
            if !is_there {
                // What comes behind a session's end is owed to nobody.
                let is_end = |change: &Change| matches!(change, Change::End { .. });
                let end = changes.iter().position(is_end);
                changes.truncate(end.map_or(0, |end| end + 1));
            }
            hand_over(changes, None);
            return true;
        };
        let (client_id, session) = (Arc::clone(client_id), place.session);
        let mut changes = self.take_late(session);
        let parked = places
            .get_mut(&client_id)
            .and_then(|place| place.parked.as_mut());
        let will = parked.and_then(|parked| {
            let user = parked.user.clone();
            let message = parked.will.take()?.message;
            Some(LastWill { message, user })
        });
        let has_ended = places
            .get(&client_id)
            .is_some_and(|place| place.is_over(now));
        if has_ended {
            if let Some(place) = places.remove(&client_id)
                && let Some(parked) = &place.parked
            {
                self.end(session, &parked.interests, &place.queue);
            }
            changes.push(Change::End { session });
        } else {
            changes.push(Change::ForgetWill { session });
        }
        hand_over(changes, will);
        true
    }
}
