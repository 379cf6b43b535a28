//! No room on the disk: the group waits, and what gives room back is written ahead of it.
//!
//! The reserve is let go for that. What the uplinks have confirmed, what clients have acknowledged and the upkeep go into
//! groups of their own, with a commit each; all else is held, in its order. When the reserve can be made again, the group
//! that waits is tried again, with all the room that there is beside it.

use std::mem;
use std::time::{Duration, Instant};

use tokio::time;

use super::{Committer, Pending};
use crate::ingest::SubmissionReceiver;
use crate::ingest::submission::{UpkeepRequest, Work};
use crate::store::StoreError;

enum Arrived {
    Work(Box<Work>),
    Upkeep(UpkeepRequest),
    /// Nothing, for as long as was to be waited.
    Nothing,
}

impl Committer {
    /// Waits until there is room for the group that failed, at least for so long. Returns sooner with an error of the disk, or when
    /// everything is given up or the store is damaged: then what was to be written ahead is in doubt.
    pub(super) fn wait_for_room(
        &mut self,
        pending: &mut Pending,
        pause: Duration,
    ) -> Result<(), StoreError> {
        if self.writer.use_reserve()? {
            // It is there after all.
            return Ok(());
        }
        let mut ahead = pending.split_ahead();
        let mut until = Instant::now() + pause;
        while !self.settings.give_up.is_cancelled() && !self.writer.is_damaged() {
            self.settings.pulse.begin();
            let is_written = ahead.is_empty() || self.write_ahead(&mut ahead);
            if is_written && until <= Instant::now() && self.writer.restore_reserve() {
                return Ok(());
            }
            if until <= Instant::now() {
                until = Instant::now() + pause;
            }
            if is_written {
                self.gather_ahead(&mut ahead, until);
            } else {
                // The same has to be written first.
                self.pause(pause);
            }
        }
        Ok(())
    }

    /// Whether it was written.
    fn write_ahead(&mut self, ahead: &mut Pending) -> bool {
        let mut is_suspected = false;
        loop {
            let error = match self.writer.commit_ahead(&ahead.group) {
                Ok(committed) => {
                    self.finish(mem::take(ahead), committed);
                    return true;
                }
                Err(error) => error,
            };
            self.settings.metrics.commit_failures.inc();
            tracing::debug!(%error, "nor is there room for what gives room back");
            // As any other commit: the file was opened anew, and damage is believed when it shows again.
            let damage = self.writer.damage_at_second_try(&error);
            if self.writer.believes(damage, &mut is_suspected) || !is_suspected {
                return false;
            }
        }
    }

    /// Waits for something that may go ahead, and takes all of it that is there.
    fn gather_ahead(&mut self, ahead: &mut Pending, until: Instant) {
        while !self.settings.give_up.is_cancelled() {
            let until = if ahead.is_empty() {
                until
            } else {
                Instant::now()
            };
            match self.arrived(until) {
                Arrived::Nothing => return,
                Arrived::Upkeep(request) => ahead.keep_up(request),
                Arrived::Work(work) => match *work {
                    Work::Outbox(request) => self.take_outbox(request, ahead),
                    Work::Submission(submission) if submission.gives_room() => {
                        self.take(Work::Submission(submission), ahead);
                    }
                    other => self.space.hold(other),
                },
            }
        }
    }

    fn arrived(&mut self, until: Instant) -> Arrived {
        let SubmissionReceiver { receiver, upkeep } = &mut self.receiver;
        let give_up = self.settings.give_up.cancelled();
        let wait = async {
            // The timer needs the runtime's context when it is made.
            let sleep = async { time::sleep_until(until.into()).await };
            tokio::select! {
                biased;
                Some(request) = upkeep.recv() => Arrived::Upkeep(request),
                Some(work) = receiver.recv() => Arrived::Work(Box::new(work)),
                () = sleep => Arrived::Nothing,
                () = give_up => Arrived::Nothing,
            }
        };
        self.runtime.block_on(wait)
    }
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.group.is_empty() && self.submissions.is_empty() && self.answers.is_empty()
    }

    /// What may go ahead of the rest: changes of the outbox and the upkeep, with those who wait for them.
    fn split_ahead(&mut self) -> Self {
        let group = self.group.split_ahead();
        if group.is_empty() {
            return Self::default();
        }
        Self {
            group,
            answers: mem::take(&mut self.answers),
            wakes_uplinks: mem::take(&mut self.wakes_uplinks),
            ..Self::default()
        }
    }
}
