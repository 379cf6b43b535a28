//! Sessions and retained messages whose time is over, wills that come later, and what else of sessions nobody brings to
//! the committer.

use std::sync::Arc;
use std::time::Duration;

use tokio::time;
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::ingest::{Place, Submission};

/// As fine as the protocol counts: it has seconds.
const INTERVAL: Duration = Duration::from_secs(1);

/// About what one session's end weighs at the committer, with its will, in KiB.
const WEIGHT_KIB: u32 = 64;

/// Looks for them until `stop`.
pub(super) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut ticks = time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    let mut after = None;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
        while shared.hub.has_expired() {
            // First the place at the committer, then what goes there: who takes up a session meanwhile comes behind it.
            let Some(place) = reserve(&shared, WEIGHT_KIB, &stop).await else {
                return;
            };
            let is_more = shared.hub.expire(|changes, will| {
                let mut submission = Submission::of_changes(changes);
                if let Some(will) = will {
                    will.publish(&shared, &mut submission);
                }
                place.submit(submission);
            });
            if !is_more {
                break;
            }
        }
        let (messages, next) = shared.hub.expired_retained(after.as_ref());
        after = next;
        if !messages.is_empty() {
            let mut submission = Submission::default();
            submission.messages = messages;
            let Some(place) = reserve(&shared, submission.weight(), &stop).await else {
                return;
            };
            place.submit(submission);
        }
    }
}

/// Waits for a place at the committer; `None` if the gateway stops.
async fn reserve(shared: &Shared, weight: u32, stop: &CancellationToken) -> Option<Place> {
    tokio::select! {
        place = shared.submissions.reserve(weight) => place.ok(),
        () = stop.cancelled() => None,
    }
}
