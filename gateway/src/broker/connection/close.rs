//! The end of a connection: the will, what the committer was promised, goodbye.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time;

use super::Connection;
use crate::broker::Shared;
use crate::broker::acknowledge::Goodbye;
use crate::broker::will::LastWill;
use crate::broker::wire::End;
use crate::clock;
use crate::ingest::Submission;
use crate::store::sessions::Change;

/// What is left of a client that is gone waits so long for room at the committer: none of it was acknowledged, and
/// clients that come again and again while nothing can be committed must not pile up.
const LAST_WORD_TIMEOUT: Duration = Duration::from_secs(5);

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Connection<R, W> {
    /// Publishes the will where it is due, and says goodbye.
    pub(super) async fn close(mut self: Box<Self>, end: End) {
        let client_id = Arc::clone(&self.member.client_id);
        self.shared.note_end(&end);
        tracing::debug!(%client_id, %end, "client gone");
        let will = self.will.take().filter(|_| is_will_due(&end));
        let outlives = self.member.is_stored() && 0 < self.member.expiry;
        // What is routed to a session comes to the committer before its end only if it is out of the hub before that.
        if !outlives {
            self.shared.hub.leave(&mut self.member, None);
        }
        self.hand_over_the_rest().await;
        let (due, later) = match will {
            Some(will) if outlives && 0 < will.delay => (None, Some(*will)),
            will => (will, None),
        };
        if let Some(will) = due {
            let will = LastWill {
                message: will.message,
                user: self.rights.user(),
            };
            publish_will(&self.shared, &client_id, will).await;
        }
        if self.member.is_stored() {
            self.note_left(later.is_some()).await;
        }
        self.shared.hub.leave(&mut self.member, later);
        self.member.say_gone();
        match &end {
            End::Said(goodbye) => self.wire.protocol.say_goodbye(goodbye.reason()),
            End::Violated(violation) => self.wire.protocol.say_goodbye(violation.reason()),
            End::Disconnected(_) | End::Lost => {}
        }
        if !matches!(end, End::Lost) {
            self.wire.flush_and_close().await;
        }
    }

    /// Waits until the committer has what the client sent last; what it does not get, the client did not send.
    async fn hand_over_the_rest(&mut self) {
        let mut lost = None;
        if let Some(mut unsent) = self.unsent.take() {
            match time::timeout(LAST_WORD_TIMEOUT, &mut unsent.place).await {
                Ok(Ok(place)) => place.submit(unsent.submission),
                _ => {
                    tracing::debug!(
                        client_id = &*self.member.client_id,
                        "its last publishes found no room; they were not acknowledged"
                    );
                    if unsent.is_owed {
                        lost = self.owed.pop_back();
                    }
                    let mut changes = unsent.submission.changes;
                    changes.retain(|change| !matches!(change, Change::OpenExchange { .. }));
                    changes.append(&mut self.changes);
                    self.changes = changes;
                }
            }
        }
        let exchanges = lost.iter().flat_map(|owed| owed.exchanges());
        self.member.exchanges.park(exchanges);
        for owed in self.owed.drain(..).chain(lost) {
            owed.leave_to(&mut self.member);
        }
    }

    /// Has the end of the connection written down, with what else nobody waits for.
    async fn note_left(&mut self, has_will: bool) {
        let session = self.member.session;
        let mut changes = self.shared.hub.take_late(session);
        changes.append(&mut self.changes);
        changes.push(match self.member.expiry {
            0 => Change::End { session },
            expiry => Change::Left {
                session,
                at: clock::now_if_trusted(),
                expiry,
                sent_upto: self.member.queue.sent_upto(),
                has_will,
            },
        });
        let submission = Submission::of_changes(changes);
        let place = self.shared.submissions.reserve(submission.weight());
        match time::timeout(LAST_WORD_TIMEOUT, place).await {
            Ok(Ok(place)) => place.submit(submission),
            _ => self.shared.hub.owe(submission.changes),
        }
    }
}

fn is_will_due(end: &End) -> bool {
    match end {
        End::Disconnected(disconnect) => disconnect.wants_will,
        End::Said(Goodbye::ShuttingDown) => false,
        End::Lost | End::Violated(_) | End::Said(_) => true,
    }
}

/// Publishes a will now.
pub(super) async fn publish_will(shared: &Shared, client_id: &str, will: LastWill) {
    let mut submission = Submission::default();
    will.publish(shared, &mut submission);
    if submission.is_empty() {
        return;
    }
    let submit = shared.submissions.submit(submission);
    if !matches!(time::timeout(LAST_WORD_TIMEOUT, submit).await, Ok(Ok(()))) {
        let dropped = &shared.metrics.mqtt_dropped;
        dropped.with_label_values(&["will"]).inc();
        tracing::warn!(client_id, "a will found no room and is lost");
    }
}
