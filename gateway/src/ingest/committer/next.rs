//! What the committer does next: work, other rules, a step of the upkeep, or what time brings.

use std::time::{Duration, Instant};

use tokio::sync::mpsc::error::TryRecvError;
use tokio::time;

use super::{Committer, MAX_GROUP_ROWS, Pending};
use crate::ingest::SubmissionReceiver;
use crate::ingest::rule_book::NewRules;
use crate::ingest::submission::{UpkeepRequest, Work};

/// What comes first.
pub(super) enum First {
    Work(Box<Work>),
    Rules(Box<NewRules>),
    Upkeep(UpkeepRequest),
    /// The time for something that the rules have to do.
    Due,
    /// Times of readings wait to be put right.
    Times,
    /// Nothing any more.
    Ended,
}

/// How long QoS 0 readings wait for more where writes are to be saved (`group_commit`), unless a rule fires.
const PATIENCE: Duration = Duration::from_secs(1);

impl Committer {
    /// Waits for work, or until the rules have something to do.
    pub(super) fn first(&mut self) -> First {
        loop {
            if let Some(rules) = self.next_rules.take() {
                return First::Rules(Box::new(rules));
            }
            self.look_for_room();
            if let Ok(request) = self.receiver.upkeep.try_recv() {
                return First::Upkeep(request);
            }
            if let Some(work) = self.space.next_held() {
                return First::Work(Box::new(work));
            }
            let first = match self.receiver.receiver.try_recv() {
                Ok(work) => First::Work(Box::new(work)),
                Err(TryRecvError::Disconnected) => First::Ended,
                Err(TryRecvError::Empty) if self.timing.has_work() => First::Times,
                Err(TryRecvError::Empty) => match self.wait() {
                    Some(first) => first,
                    None => continue,
                },
            };
            match first {
                First::Work(work) => {
                    if let Some(work) = self.space.admit(*work) {
                        return First::Work(Box::new(work));
                    }
                }
                other => return other,
            }
        }
    }

    /// Waits for what comes first; `None`: it is time to look for room again.
    fn wait(&mut self) -> Option<First> {
        let due = self.engine.next_due().map(|due| {
            let due = due.min(self.rules_clock.kept_until());
            self.rules_clock.instant(due)
        });
        let look = self.space.next_look();
        let until = [due, look].into_iter().flatten().min();
        let SubmissionReceiver { receiver, upkeep } = &mut self.receiver;
        let wait = async {
            // The timer needs the runtime's context when it is made.
            let sleep = async {
                match until {
                    Some(until) => time::sleep_until(until.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                Some(request) = upkeep.recv() => Some(First::Upkeep(request)),
                work = receiver.recv() => Some(work.map_or(First::Ended, |work| First::Work(Box::new(work)))),
                () = sleep => (due == until).then_some(First::Due),
            }
        };
        self.runtime.block_on(wait)
    }

    /// Whether the budget has room for what comes next.
    fn look_for_room(&mut self) {
        if !self.space.is_to_be_looked_at() {
            return;
        }
        match self.writer.room(self.settings.max_bytes) {
            Ok(room) => {
                self.space.found(room, &self.settings.health);
                if self.settings.health.is_full() {
                    self.space.refuse_requests();
                }
            }
            Err(error) => {
                tracing::debug!(%error, "the room in the store cannot be looked at");
            }
        }
    }

    /// Adds what has arrived, and what arrives within `group_commit`; where that is set, what nobody waits for waits longer.
    pub(super) fn fill(&mut self, pending: &mut Pending) {
        let begun = Instant::now();
        let wait = self.settings.group_commit;
        let patience = wait.max(PATIENCE);
        while self.next_rules.is_none()
            && pending.group.row_count() < MAX_GROUP_ROWS
            && self.space.is_for_more()
        {
            if let Some(held) = self.space.next_held() {
                self.take(held, pending);
                continue;
            }
            let work = match self.receiver.receiver.try_recv() {
                Ok(work) => work,
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) if wait.is_zero() => return,
                Err(TryRecvError::Empty) => {
                    let until = begun
                        + if pending.is_waited_for() {
                            wait
                        } else {
                            patience
                        };
                    let receive = self.receiver.receiver.recv();
                    // The timer needs the runtime's context when it is made.
                    let receive = async { time::timeout_at(until.into(), receive).await };
                    match self.runtime.block_on(receive) {
                        Ok(Some(work)) => work,
                        Ok(None) | Err(_) => return,
                    }
                }
            };
            if let Some(work) = self.space.admit(work) {
                self.take(work, pending);
            }
        }
    }
}
