//! The end of a connection: the will, what the committer was promised, goodbye.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time;

use super::Connection;
use crate::broker::Shared;
use crate::broker::acknowledge::Goodbye;
use crate::broker::wire::End;
use crate::clock;
use crate::domain::message::Message;
use crate::ingest::Submission;

/// What is left of a client that is gone waits so long for room at the committer: none of it was acknowledged, and
/// clients that come again and again while nothing can be committed must not pile up.
const LAST_WORD_TIMEOUT: Duration = Duration::from_secs(5);

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Connection<R, W> {
    /// Publishes the will where it is due, and says goodbye.
    pub(super) async fn close(mut self, end: End, will: Option<Message>) {
        let client_id = Arc::clone(&self.member.client_id);
        self.shared.note_end(&end);
        tracing::debug!(%client_id, %end, "client gone");
        self.shared.hub.leave(&mut self.member);
        if let Some(unsent) = self.unsent.take()
            && time::timeout(LAST_WORD_TIMEOUT, unsent).await.is_err()
        {
            tracing::debug!(%client_id, "its last publishes found no room; they were not acknowledged");
        }
        let is_due = match end {
            End::Disconnected { wants_will } => wants_will,
            End::Said(Goodbye::ShuttingDown) => false,
            End::Lost | End::Violated(_) | End::Said(_) => true,
        };
        if let Some(will) = will.filter(|_| is_due) {
            publish_will(&self.shared, &client_id, will).await;
        }
        self.member.queue.leave();
        if let End::Said(goodbye) = &end {
            self.wire.protocol.say_goodbye(*goodbye);
        }
        if !matches!(end, End::Lost) {
            self.wire.flush_and_close().await;
        }
    }
}

async fn publish_will(shared: &Shared, client_id: &str, will: Message) {
    let mut submission = Submission::default();
    let received_at = clock::now();
    let will = Message {
        received_at,
        ..will
    };
    shared.intake.take(will, &mut submission);
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
