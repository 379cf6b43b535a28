//! The sessions that outlive, or have outlived, their connections, and how many of them each user has.

use std::collections::HashMap;
use std::sync::Arc;

use crate::broker::queue::Queue;

/// `None`: all who have no name are one user.
type User = Option<Arc<str>>;

/// Their queues, by session.
#[derive(Debug, Default)]
pub(super) struct Stored {
    queues: HashMap<i64, (Arc<Queue>, User)>,
    by_user: HashMap<User, usize>,
}

impl Stored {
    pub(super) fn insert(&mut self, session: i64, queue: Arc<Queue>, user: User) {
        *self.by_user.entry(user.clone()).or_default() += 1;
        self.queues.insert(session, (queue, user));
    }

    pub(super) fn remove(&mut self, session: i64) {
        let Some((_, user)) = self.queues.remove(&session) else {
            return;
        };
        if let Some(count) = self.by_user.get_mut(&user) {
            *count -= 1;
            if *count == 0 {
                self.by_user.remove(&user);
            }
        }
    }

    pub(super) fn queue(&self, session: i64) -> Option<&Arc<Queue>> {
        self.queues.get(&session).map(|(queue, _)| queue)
    }

    pub(super) fn len(&self) -> usize {
        self.queues.len()
    }

    pub(super) fn count_of(&self, user: &User) -> usize {
        self.by_user.get(user).copied().unwrap_or(0)
    }
}
