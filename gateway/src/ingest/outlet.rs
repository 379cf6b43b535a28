//! Where messages go. The committer asks before each commit what of them has to be on disk with it, and hands them on
//! after it.

use std::sync::Arc;

use crate::domain::{message::Message, subscription::Interest};
use crate::store::sessions::{Change, Queued};

/// Takes messages, and alerts, to who wants them.
pub trait Outlet: Send {
    /// Finds what has to be stored of a message. Each is handed to [`Outlet::publish`] after its commit, in the same
    /// order.
    fn route(&self, message: &Arc<Message>) -> Routed;

    /// Hands it on, once that is stored.
    fn publish(&self, message: Arc<Message>, routed: Routed);
}

/// What has to be stored of a message before it counts as taken.
#[derive(Debug, Default)]
pub struct Routed {
    pub retention: Retention,
    /// For sessions that outlive their connections.
    pub queued: Vec<Queued>,
    /// Who was chosen out of a group that shares a subscription; `None`: one of those above.
    pub chosen: Vec<(Arc<Interest>, Option<i64>)>,
}

/// What becomes of a message that asks to be retained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retention {
    /// It does not ask.
    #[default]
    None,
    /// It takes the place of its topic's former one.
    Keep,
    /// Its topic has none any more: it says so, or there is no room for what it says instead.
    Forget,
}

impl Routed {
    /// Who was chosen out of a group, if anybody was yet.
    pub fn choice_of(&self, interest: &Interest) -> Option<Option<i64>> {
        let mut chosen = self.chosen.iter();
        let choice = chosen.find(|(of, _)| **of == *interest);
        choice.map(|(_, session)| *session)
    }

    /// The rows that it takes.
    pub fn changes<'r>(&'r self, message: &'r Arc<Message>) -> impl Iterator<Item = Change> + 'r {
        let retained = match self.retention {
            Retention::None => None,
            Retention::Keep => Some(Change::Retain(Arc::clone(message))),
            Retention::Forget => Some(Change::Forget(message.topic.clone())),
        };
        retained.into_iter().chain(self.queued_changes())
    }

    /// Those of them that are places in queues.
    pub fn queued_changes(&self) -> impl Iterator<Item = Change> {
        self.queued.iter().cloned().map(Change::Queue)
    }
}
