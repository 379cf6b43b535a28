//! What one client may do, ready for each of its messages.

use crate::domain::topic::{TopicFilter, TopicName};

/// What stands before the name of a shared subscription.
const SHARE: &str = "$share/";

/// What one client may do by the files of one generation.
#[derive(Clone, Debug)]
pub struct Grants {
    pub(super) generation: u64,
    /// `None`: everything.
    pub(super) rights: Option<Rights>,
}

#[derive(Clone, Debug)]
pub(super) struct Rights {
    pub(super) publish: Verdicts,
    pub(super) subscribe: Verdicts,
}

/// The filters of the rules that are about one client and one operation.
#[derive(Clone, Debug, Default)]
pub(super) struct Verdicts {
    pub(super) allowed: Vec<TopicFilter>,
    pub(super) denied: Vec<TopicFilter>,
}

impl Grants {
    /// Once `Access::generation` is another, these have to be asked for again.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the client may publish there, also by its last will.
    pub fn may_publish(&self, topic: &TopicName) -> bool {
        let rights = self.rights.as_ref();
        rights.is_none_or(|rights| rights.publish.allow(topic))
    }

    /// Whether the client may subscribe to it. A shared subscription is judged by the filter after the share's name.
    pub fn may_subscribe(&self, filter: &TopicFilter) -> bool {
        let Some(rights) = &self.rights else {
            return true;
        };
        match filter.as_str().strip_prefix(SHARE) {
            None => rights.subscribe.allow_all_of(filter),
            Some(shared) => shared
                .split_once('/')
                .and_then(|(_, filter)| TopicFilter::new(filter).ok())
                .is_some_and(|filter| rights.subscribe.allow_all_of(&filter)),
        }
    }

    /// Whether a message may be delivered to the client.
    pub fn may_receive(&self, topic: &TopicName) -> bool {
        let rights = self.rights.as_ref();
        rights.is_none_or(|rights| rights.subscribe.allow(topic))
    }
}

impl Verdicts {
    fn allow(&self, topic: &TopicName) -> bool {
        let is_met = |filters: &[TopicFilter]| filters.iter().any(|filter| filter.matches(topic));
        is_met(&self.allowed) && !is_met(&self.denied)
    }

    /// A filter that is denied in part is allowed: each message is judged on its own.
    fn allow_all_of(&self, wanted: &TopicFilter) -> bool {
        let is_met = |filters: &[TopicFilter]| filters.iter().any(|filter| filter.covers(wanted));
        is_met(&self.allowed) && !is_met(&self.denied)
    }
}
