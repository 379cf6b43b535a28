//! Changes of the outbox on their way into a group.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Committer, Pending, UpkeepRequest};
use crate::domain::reading::ReadingId;
use crate::ingest::{OutboxRequest, Submission};
use crate::store::Committed;
use crate::store::outbox::{Batch, Change};

impl Committer {
    pub(super) fn take_outbox(&mut self, request: OutboxRequest, pending: &mut Pending) {
        match request {
            OutboxRequest::Record {
                uplink,
                format,
                compression,
                batches,
                done,
            } => {
                let number = |readings| Batch {
                    id: self.writer.next_batch_id(),
                    uplink,
                    gateway_id: Arc::clone(&self.settings.gateway_id),
                    format: format.clone(),
                    compression: compression.clone(),
                    tries: 0,
                    readings,
                };
                let batches: Vec<Batch> = batches.into_iter().map(number).collect();
                for batch in &batches {
                    pending.group.push_outbox(Change::Record(batch.clone()));
                }
                pending.answer(done, |_| batches);
            }
            OutboxRequest::Replace {
                batch,
                parts,
                format,
                compression,
                done,
            } => {
                let part = |readings: Vec<ReadingId>| Batch {
                    id: self.writer.next_batch_id(),
                    tries: batch.tries + 1,
                    format: format.clone(),
                    compression: compression.clone(),
                    gateway_id: Arc::clone(&batch.gateway_id),
                    uplink: batch.uplink,
                    readings,
                };
                let parts: Vec<Batch> = parts.into_iter().map(part).collect();
                let change = Change::Replace(batch.id, parts.clone());
                pending.group.push_outbox(change);
                pending.answer(done, |_| parts);
            }
            OutboxRequest::Settle {
                uplink,
                settled,
                account,
                done,
            } => {
                for settled in settled {
                    pending.group.push_outbox(Change::Settle(settled));
                }
                pending.group.push_outbox(Change::Account(uplink, account));
                pending.answer(done, |committed| committed);
            }
            OutboxRequest::Retry { letter, done } => {
                pending.group.push_outbox(Change::Retry(letter));
                pending.wakes_uplinks = true;
                pending.answer(done, |committed| committed);
            }
            OutboxRequest::Drop { letter, done } => {
                pending.group.push_outbox(Change::Drop(letter));
                pending.answer(done, |committed| committed);
            }
        }
    }
}

impl Pending {
    /// Whether somebody waits for its commit, or is to hear of an alert in it.
    pub(super) fn is_waited_for(&self) -> bool {
        let mut submissions = self.submissions.iter();
        !self.answers.is_empty()
            || !self.alerts.is_empty()
            || submissions.any(Submission::is_waited_for)
    }

    pub(super) fn keep_up(&mut self, request: UpkeepRequest) {
        self.group.push_upkeep(request.step);
        self.answer(request.done, |committed| committed);
    }

    /// Who asked may be gone: then nobody waits for the answer.
    pub(super) fn answer<T: Send + 'static>(
        &mut self,
        done: oneshot::Sender<T>,
        answer: impl FnOnce(Committed) -> T + Send + 'static,
    ) {
        let say = move |committed| {
            done.send(answer(committed)).ok();
        };
        self.answers.push(Box::new(say));
    }
}
