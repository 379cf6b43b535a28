//! Those whose filter ends at one place of the tree: each for itself, or in groups that share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Subscriber;
use crate::domain::message::Message;
use crate::domain::subscription::Interest;

/// Subscriptions of one place of the tree.
#[derive(Debug, Default)]
pub(super) struct Subscribers {
    each: Vec<Subscriber>,
    groups: Vec<Group>,
}

/// Those who share a subscription: each message goes to one of them (MQTT 5.0, section 4.8.2).
#[derive(Debug)]
pub(in crate::broker) struct Group {
    pub(in crate::broker) interest: Arc<Interest>,
    members: Vec<Subscriber>,
    turn: AtomicUsize,
}

/// What matches a topic.
#[derive(Debug)]
pub(in crate::broker) enum Found<'t> {
    One(&'t Subscriber),
    Group(&'t Group),
}

impl Subscribers {
    pub(super) fn insert(&mut self, interest: &Interest, subscriber: Subscriber) -> bool {
        let list = match &interest.group {
            None => &mut self.each,
            Some(_) => {
                let known = self.groups.iter().position(|g| *g.interest == *interest);
                let at = known.unwrap_or_else(|| {
                    self.groups.push(Group {
                        interest: Arc::new(interest.clone()),
                        members: Vec::new(),
                        turn: AtomicUsize::new(0),
                    });
                    self.groups.len() - 1
                });
                &mut self.groups[at].members
            }
        };
        match list.iter_mut().find(|s| s.session == subscriber.session) {
            Some(existing) => {
                *existing = subscriber;
                false
            }
            None => {
                list.push(subscriber);
                true
            }
        }
    }

    pub(super) fn remove(&mut self, interest: &Interest, session: i64) -> bool {
        if interest.group.is_none() {
            return remove_from(&mut self.each, session);
        }
        let is_it = |group: &Group| *group.interest == *interest;
        let Some(at) = self.groups.iter().position(is_it) else {
            return false;
        };
        let was_there = remove_from(&mut self.groups[at].members, session);
        if self.groups[at].members.is_empty() {
            self.groups.swap_remove(at);
        }
        was_there
    }

    pub(super) fn for_each<'t>(&'t self, found: &mut impl FnMut(Found<'t>)) {
        for subscriber in &self.each {
            found(Found::One(subscriber));
        }
        for group in &self.groups {
            found(Found::Group(group));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.each.is_empty() && self.groups.is_empty()
    }
}

fn remove_from(list: &mut Vec<Subscriber>, session: i64) -> bool {
    let before = list.len();
    list.retain(|subscriber| subscriber.session != session);
    list.len() < before
}

impl Group {
    /// Whose turn it is: of those who are connected, if anybody is; else a session that outlives its connection. A stored
    /// one without room for the message is passed over, unless nobody has any.
    pub(in crate::broker) fn pick(&self, message: &Message) -> Option<&Subscriber> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = self.members.len().max(1);
        let (before, after) = self.members.split_at(turn % count);
        let in_turn = || after.iter().chain(before);
        let is_connected = |member: &&Subscriber| member.queue.is_connected();
        let has_room = |member: &&Subscriber| {
            let qos = member.options.qos.min(message.qos);
            !member.queue.is_stored() || member.queue.has_room_for(qos, message.size())
        };
        in_turn()
            .find(|member| is_connected(member) && has_room(member))
            .or_else(|| in_turn().find(has_room))
            .or_else(|| in_turn().find(is_connected))
            .or_else(|| in_turn().next())
    }

    /// The member with this number.
    pub(in crate::broker) fn member(&self, session: i64) -> Option<&Subscriber> {
        self.members.iter().find(|member| member.session == session)
    }

    /// Whether a message that goes to it may have to be stored.
    pub(in crate::broker) fn has_stored_members(&self) -> bool {
        self.members.iter().any(|member| member.queue.is_stored())
    }
}
