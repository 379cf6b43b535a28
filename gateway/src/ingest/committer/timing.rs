//! The clock, as the committer has it: readings that were stamped before a step are brought to the time after it, those of a clock
//! that is not trusted are marked, and put right slice by slice, each in a group with what arrived meanwhile.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::{Committer, Pending};
use crate::clock::{self, Left, Standing};
use crate::domain::reading::{Reading, ReadingId};
use crate::domain::timestamp::Timestamp;
use crate::store::{ClockChange, Committed, PutRight, Step, TimesSlice};

/// By so much less than a step a time may lie beside where it belongs, in milliseconds.
const TOLERANCE: i64 = clock::STEP / 2;

/// Steps that are remembered, for what was stamped before them and comes after them.
const MAX_STEPS: usize = 16;

/// How the clock stands from now on, and who waits for it to be written.
#[derive(Debug)]
pub(in crate::ingest) struct ClockRequest {
    pub(in crate::ingest) standing: Standing,
    pub(in crate::ingest) done: oneshot::Sender<Committed>,
}

/// A time in which the wall clock was not set, by the wall clock.
#[derive(Clone, Copy, Debug)]
struct Era {
    offset: i64,
    began: i64,
    ended: i64,
}

/// What the committer knows of the clock.
#[derive(Debug)]
pub(super) struct Timing {
    standing: Standing,
    /// When it last was set, by itself.
    began: i64,
    /// Since when it has not been trusted, by itself; means nothing while it is.
    doubted_from: i64,
    /// Oldest first.
    eras: VecDeque<Era>,
    /// The first reading of a clock that is not trusted, and whether that is written.
    doubted: Option<(ReadingId, bool)>,
    /// What can be put right is to be looked for.
    is_to_be_planned: bool,
    jobs: VecDeque<PutRight>,
    /// Rows that this group changes.
    changes: Option<TimesSlice>,
    /// Readings that were put right since the last word on it.
    put_right: i64,
}

impl Timing {
    pub(super) fn new(standing: Standing) -> Self {
        Self {
            standing,
            began: clock::monotonic() + standing.offset,
            doubted_from: clock::monotonic() + standing.offset,
            eras: VecDeque::new(),
            doubted: None,
            is_to_be_planned: false,
            jobs: VecDeque::new(),
            changes: None,
            put_right: 0,
        }
    }

    /// Whether rows wait to be put right.
    pub(super) fn has_work(&self) -> bool {
        self.is_to_be_planned || !self.jobs.is_empty()
    }

    /// Has it be looked for what can be put right, once this group is on disk.
    pub(super) fn plan(&mut self) {
        self.is_to_be_planned = true;
    }

    /// Brings a reading that was stamped before the clock was set to the time after it. `now` is that of the clock as it stands.
    pub(super) fn bring(&self, reading: &mut Reading, now: i64) {
        let at = reading.received_at.millis();
        let is_of_now = self.began - TOLERANCE <= at && at <= now + TOLERANCE;
        if is_of_now || self.eras.is_empty() {
            return;
        }
        let of = |era: &&Era| era.began - TOLERANCE <= at && at <= era.ended + TOLERANCE;
        if let Some(era) = self.eras.iter().rev().find(of) {
            let received_at = Timestamp::from_millis(at + self.standing.offset - era.offset);
            if reading.ts == reading.received_at {
                reading.ts = received_at;
            }
            reading.received_at = received_at;
        }
    }

    /// The clock was set, or is trusted now.
    fn stand(&mut self, standing: Standing) {
        let (monotonic, before) = (clock::monotonic(), self.standing.offset);
        if clock::STEP <= (standing.offset - before).abs() {
            if self.eras.len() == MAX_STEPS {
                self.eras.pop_front();
            }
            self.eras.push_back(Era {
                offset: before,
                began: self.began,
                ended: monotonic + before,
            });
            self.began = monotonic + standing.offset;
            self.doubted_from = self.began;
        } else if self.standing.trust.is_trusted() {
            self.doubted_from = monotonic + standing.offset;
        }
        self.standing = standing;
    }
}

impl Committer {
    /// Takes up what is known of the clock from before the start.
    pub(super) fn start_clock(&mut self, left: Option<Left>, pending: &mut Pending) {
        let standing = self.timing.standing;
        let last = self.writer.last_reading_id();
        pending.write_clock(ClockChange::Start { standing, last });
        self.timing.plan();
        if !standing.trust.is_trusted() {
            self.timing.doubted = Some((self.writer.next_reading_id(), false));
        }
        let of_boot = left.filter(|left| &*left.boot == clock::boot_id());
        if let Some(left) = of_boot.filter(|left| !left.trust.is_trusted()) {
            // What rules remember is of that clock, back to the machine's own start.
            let told = left.offset..=clock::monotonic() + left.offset;
            self.engine
                .shift_times(&told, standing.offset - left.offset);
            self.timing.doubted_from = standing.offset;
        }
    }

    /// The clock was set, or is trusted now. What came before in this group came before that.
    pub(super) fn take_clock(&mut self, request: ClockRequest, pending: &mut Pending) {
        let ClockRequest { standing, done } = request;
        let before = self.timing.standing;
        self.mark(pending);
        if let Some((first, true)) = self.timing.doubted.take() {
            let last = self.writer.last_reading_id();
            pending.write_clock(ClockChange::Close { first, last });
        }
        if !before.trust.is_trusted() {
            let told = self.timing.doubted_from..=clock::monotonic() + before.offset;
            self.engine
                .shift_times(&told, standing.offset - before.offset);
        }
        self.timing.stand(standing);
        clock::stand(standing);
        pending.write_clock(ClockChange::Stand(standing));
        let by_seconds = (standing.offset - before.offset) as f64 / 1000.0;
        let trust = standing.trust.as_str();
        if standing.trust.is_trusted() {
            self.timing.plan();
            pending.wakes_uplinks = true;
            if before.trust.is_trusted() {
                tracing::info!(trust, by_seconds, "the clock was set");
            } else {
                tracing::info!(trust, by_seconds, "the clock is trusted");
            }
        } else {
            self.timing.doubted = Some((self.writer.next_reading_id(), false));
            tracing::warn!(trust, by_seconds, "the clock is not trusted any more");
        }
        pending.answer(done, |committed| committed);
    }

    /// Writes that the clock is not trusted with the first reading for which that is so.
    fn mark(&mut self, pending: &mut Pending) {
        if let Some((first, is_written @ false)) = &mut self.timing.doubted
            && *first < self.writer.next_reading_id()
        {
            *is_written = true;
            let (first, offset) = (*first, self.timing.standing.offset);
            pending.write_clock(ClockChange::Open { first, offset });
        }
    }

    /// The last that goes into a group.
    pub(super) fn write_times(&mut self, pending: &mut Pending) {
        self.mark(pending);
        if self.timing.is_to_be_planned {
            return;
        }
        // Of all at once: what has begun goes on also if the machine is started anew meanwhile.
        for job in self.timing.jobs.iter_mut().filter(|job| !job.has_begun) {
            job.has_begun = true;
            let (first, from, shift) = (job.first, job.from, job.shift);
            pending.write_clock(ClockChange::Begin { first, from, shift });
        }
        let Some(job) = self.timing.jobs.front_mut() else {
            return;
        };
        let first = job.first;
        match job.next_slice(self.writer.last_reading_id()) {
            Some(slice) => {
                self.timing.put_right += slice.readings();
                self.timing.changes = Some(slice);
                pending.write_clock(ClockChange::Slice(slice));
            }
            None => {
                let (readings, shift) = (self.timing.put_right, job.shift);
                self.timing.jobs.pop_front();
                self.timing.put_right = 0;
                pending.write_clock(ClockChange::Settle(first));
                pending.wakes_uplinks = true;
                if 0 < readings {
                    let by_seconds = shift as f64 / 1000.0;
                    tracing::info!(readings, by_seconds, "times of readings are put right");
                }
            }
        }
    }

    /// The group is on disk.
    pub(super) fn times_are_written(&mut self) {
        if let Some(slice) = self.timing.changes.take()
            && let Err(error) = self.writer.rows_changed(&slice)
        {
            // It is tried again with the next commit.
            self.timing.changes = Some(slice);
            tracing::error!(%error, "readings that were put right cannot be read again");
        }
        if std::mem::take(&mut self.timing.is_to_be_planned) {
            match self.writer.to_put_right(self.timing.standing) {
                Ok(jobs) => self.timing.jobs = jobs.into(),
                Err(error) => {
                    tracing::error!(%error, "what is to be put right cannot be looked for");
                }
            }
        }
    }
}

impl Pending {
    fn write_clock(&mut self, change: ClockChange) {
        self.group.push_upkeep(Step::clock(change));
    }
}
