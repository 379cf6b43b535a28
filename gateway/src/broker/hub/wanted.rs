//! Retained messages that a member waits for: they come in pages. How far it is stands in the store with each page.

use std::sync::Arc;
use std::time::Instant;

use super::Hub;
use super::member::Member;
use crate::domain::message::{Delivery, Qos};
use crate::domain::subscription::{Interest, SubscriptionOptions};
use crate::domain::topic::TopicName;
use crate::store::sessions::{Change, Queued, StoredRetained, StoredSubscription};

/// Retained messages that are still to be sent.
#[derive(Debug)]
pub(super) struct WantedRetained {
    pub(super) interest: Interest,
    pub(super) options: SubscriptionOptions,
    pub(super) after: Option<TopicName>,
}

/// What became of some of them.
#[derive(Debug, Default)]
pub(in crate::broker) struct RetainedPage {
    /// Whether there may be more at once.
    pub(in crate::broker) is_more: bool,
    /// Those that have a place in the queue and are to be stored before they take it.
    pub(in crate::broker) stored: Vec<Queued>,
    /// How far it is, to be stored with them.
    pub(in crate::broker) progress: Option<Change>,
}

impl Hub {
    /// Puts some more of the retained messages that a member waits for into its queue, once that is empty, as far as
    /// there is room: so none is lost to its bound.
    pub(in crate::broker) fn send_retained(&self, member: &mut Member) -> RetainedPage {
        let mut page = RetainedPage::default();
        let Some(mut wanted) = member.retained.pop_front() else {
            return page;
        };
        let (messages, next) = self.retained().next_page(
            &wanted.interest.filter,
            wanted.after.as_ref(),
            Instant::now(),
        );
        let mut has_changed = false;
        for message in messages {
            let delivery = Delivery {
                qos: wanted.options.qos.min(message.qos),
                message: Arc::clone(&message),
                retain: true,
                subscription_ids: wanted.options.id.into_iter().collect(),
                shared: None,
            };
            if !put_in(member, delivery, &mut page.stored) {
                // It comes when there is room again: what takes it now is put in, and nudges.
                page.progress = has_changed.then(|| progress(member, &wanted)).flatten();
                member.retained.push_front(wanted);
                member.awaits_retained = !page.stored.is_empty();
                return page;
            }
            wanted.after = Some(message.topic.clone());
            has_changed = true;
        }
        member.awaits_retained = !page.stored.is_empty();
        let is_done = next.is_none();
        wanted.after = next;
        if has_changed || is_done {
            page.progress = progress(member, &wanted);
        }
        if !is_done {
            member.retained.push_front(wanted);
        }
        page.is_more = !member.retained.is_empty();
        page
    }

    /// Takes up a subscription as it was stored.
    pub(super) fn restore_subscription(&self, member: &mut Member, stored: StoredSubscription) {
        let StoredSubscription {
            interest,
            options,
            retained,
        } = stored;
        self.add_subscription(member, &interest, options);
        let after = match retained {
            StoredRetained::None => None,
            StoredRetained::All => Some(None),
            StoredRetained::After(topic) => Some(Some(topic)),
        };
        member.retained.extend(after.map(|after| WantedRetained {
            interest: interest.clone(),
            options,
            after,
        }));
        let room = self.stored_total.hold(interest.size());
        member.interests.insert(interest, Some(room));
    }
}

/// Whether there was room; what is to be stored first goes to `stored`.
fn put_in(member: &Member, delivery: Delivery, stored: &mut Vec<Queued>) -> bool {
    if !member.is_stored() || delivery.qos == Qos::AtMostOnce {
        return member.queue.push(delivery).is_none();
    }
    let (session, seq) = (member.session, member.queue.reserve(&delivery).0);
    stored.extend(seq.map(|seq| Queued {
        session,
        seq,
        delivery,
    }));
    seq.is_some()
}

fn progress(member: &Member, wanted: &WantedRetained) -> Option<Change> {
    member.is_stored().then(|| Change::RetainedUpto {
        session: member.session,
        interest: wanted.interest.clone(),
        topic: wanted.after.clone(),
    })
}
