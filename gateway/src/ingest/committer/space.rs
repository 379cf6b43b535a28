//! Room in the store's budget: while there is none, what would need it is held, and what makes room, or needs none, goes on.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Health, Refused, Work};
use crate::store::Room;

/// A byte on its way takes about so many in the file, in the worst case.
const GROWTH: u64 = 3;

/// However little was written: other tables grow too, and the log.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The same while there is no room.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What is known of the room, and who waits for it.
#[derive(Debug, Default)]
pub(super) struct Space {
    /// Bytes that may be written before the file is looked at.
    left: u64,
    /// With less than half of it left nothing is taken.
    margin: u64,
    looked_at: Option<Instant>,
    is_full: bool,
    /// That it stays so.
    is_told: bool,
    /// In the order in which they came. Bounded by the room that the queue gives out.
    held: VecDeque<Work>,
}

impl Space {
    pub(super) fn is_to_be_looked_at(&self) -> bool {
        let every = if self.is_full { LOOK_AGAIN } else { LOOK_EVERY };
        self.left <= self.margin / 2 || self.looked_at.is_none_or(|at| every < at.elapsed())
    }

    pub(super) fn next_look(&self) -> Option<Instant> {
        (self.is_full || !self.held.is_empty()).then(|| Instant::now() + LOOK_AGAIN)
    }

    pub(super) fn found(&mut self, room: Room, health: &Health) {
        self.is_full = room.left() <= room.margin() / 2;
        self.left = room.left();
        self.margin = room.margin();
        self.looked_at = Some(Instant::now());
        health.set_needs_room(self.is_full);
        let is_told = std::mem::replace(&mut self.is_told, health.is_full());
        if self.is_told && !is_told {
            tracing::warn!("the store's budget is spent: nothing is taken until there is room");
        } else if is_told && !self.is_told {
            tracing::info!("the store has room again");
        }
    }

    /// Refuses what was asked for by who waits for an answer, and can ask again.
    pub(super) fn refuse_requests(&mut self) {
        self.held.retain_mut(|work| match work {
            Work::Submission(submission) if submission.is_indivisible => {
                submission.complete(Err(Refused::Full));
                false
            }
            _ => true,
        });
    }

    /// What comes first of those who had to wait, if there is room.
    pub(super) fn next_held(&mut self) -> Option<Work> {
        if self.is_full {
            return None;
        }
        self.held.pop_front()
    }

    /// It has to wait.
    pub(super) fn hold(&mut self, work: Work) {
        self.held.push_back(work);
    }

    /// Gives back what may be taken now; the rest is held.
    pub(super) fn admit(&mut self, work: Work) -> Option<Work> {
        let needs_room = match &work {
            Work::Submission(submission) => !submission.gives_room(),
            _ => false,
        };
        if needs_room && (self.is_full || !self.held.is_empty()) {
            self.held.push_back(work);
            return None;
        }
        Some(work)
    }

    /// Whether a group that grows is within what was found.
    pub(super) fn is_for_more(&self) -> bool {
        self.is_full || self.margin / 4 <= self.left
    }

    pub(super) fn takes(&mut self, kib: u32) {
        self.left = self.left.saturating_sub(GROWTH * 1024 * u64::from(kib));
    }
}
