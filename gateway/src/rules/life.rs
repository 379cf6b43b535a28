//! Whether a rule is active for one sensor (or group, or device) over time: held long enough, cleared with hysteresis, not
//! again too soon, and which of it is an event. Time is the time of the readings. Pure.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::moment::Moment;
use crate::domain::rule::Repeat;

/// What a rule asks for: times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Terms {
    /// It is active when its condition has been met for so long.
    pub(super) hold: i64,
    /// It is over when that has been so for so long.
    pub(super) clear_hold: i64,
    /// After it was over it does not become active for so long.
    pub(super) cooldown: i64,
    pub(super) repeat: Repeat,
}

/// What a reading says of the condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// Milliseconds since 1970.
    pub(super) ts: i64,
    /// By the wall clock: what is remembered of later times was told by a clock that has been put back since.
    pub(super) present: i64,
    pub(super) is_met: bool,
    /// Whether the rule, if it is active, is over.
    pub(super) is_over: bool,
}

/// What follows from a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The rule is not active.
    Quiet,
    /// It has become active.
    Raised,
    /// It is active; whether that is an event again.
    Active { is_event: bool },
    /// It is over, and so is the alert that was open.
    Cleared(Option<Episode>),
    /// The reading is older than another one, so that it says nothing of how long something has been so.
    Late,
}

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Life {
    phase: Phase,
    /// The time of the newest reading, where readings in between matter.
    newest: i64,
    /// When it was last over.
    cleared_at: Moment,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
enum Phase {
    #[default]
    Quiet,
    /// The condition is met, not yet for long enough.
    Pending { since: i64 },
    Active {
        /// When the last event was told.
        told_at: i64,
        /// Since when it would be over.
        over_since: Moment,
        episode: Option<Episode>,
    },
}

/// An alert that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Episode {
    /// The id of its first event.
    pub(super) id: i64,
    pub(super) is_acknowledged: bool,
}

impl Life {
    /// Takes a reading into account.
    pub(super) fn look(&mut self, terms: &Terms, look: Look) -> Step {
        self.forget_future(look);
        let is_timed = 0 < terms.hold || 0 < terms.clear_hold;
        if is_timed && look.ts < self.newest {
            return Step::Late;
        }
        if is_timed {
            self.newest = look.ts;
        }
        match &mut self.phase {
            Phase::Quiet | Phase::Pending { .. } if !look.is_met => {
                self.phase = Phase::Quiet;
                Step::Quiet
            }
            Phase::Quiet => self.pend(terms, look.ts, look.ts),
            Phase::Pending { since } => {
                let since = *since;
                self.pend(terms, since, look.ts)
            }
            Phase::Active {
                told_at,
                over_since,
                episode,
            } => {
                if look.is_over {
                    let since = over_since.get().unwrap_or(look.ts);
                    *over_since = Some(since).into();
                    if terms.clear_hold <= look.ts - since {
                        let episode = *episode;
                        self.phase = Phase::Quiet;
                        self.cleared_at = (0 < terms.cooldown).then_some(look.ts).into();
                        return Step::Cleared(episode);
                    }
                } else {
                    *over_since = Moment::NONE;
                }
                let is_quiet = episode.is_some_and(|episode| episode.is_acknowledged);
                let is_event = look.is_met
                    && match terms.repeat {
                        Repeat::Every => true,
                        Repeat::OnChange => false,
                        Repeat::After(pause) => !is_quiet && pause <= look.ts - *told_at,
                    };
                // The others do not ask for it: what does not change need not be written.
                if is_event && matches!(terms.repeat, Repeat::After(_)) {
                    *told_at = look.ts;
                }
                Step::Active { is_event }
            }
        }
    }

    fn forget_future(&mut self, look: Look) {
        let is_future = |time: i64| look.present < time;
        if is_future(self.newest) {
            self.newest = look.ts;
        }
        if self.cleared_at.get().is_some_and(is_future) {
            self.cleared_at = Moment::NONE;
        }
        match &mut self.phase {
            Phase::Pending { since } if is_future(*since) => *since = look.ts,
            Phase::Active {
                told_at,
                over_since,
                ..
            } => {
                *told_at = (*told_at).min(look.present);
                if over_since.get().is_some_and(is_future) {
                    *over_since = Some(look.ts).into();
                }
            }
            Phase::Quiet | Phase::Pending { .. } => {}
        }
    }

    fn pend(&mut self, terms: &Terms, since: i64, ts: i64) -> Step {
        let is_cool = self
            .cleared_at
            .get()
            .is_none_or(|at| terms.cooldown <= ts - at);
        if !is_cool || ts - since < terms.hold {
            self.phase = Phase::Pending { since };
            return Step::Quiet;
        }
        self.phase = Phase::Active {
            told_at: ts,
            over_since: Moment::NONE,
            episode: None,
        };
        Step::Raised
    }

    /// The alert that was opened when it became active.
    pub(super) fn open(&mut self, id: i64) {
        if let Phase::Active { episode, .. } = &mut self.phase {
            *episode = Some(Episode {
                id,
                is_acknowledged: false,
            });
        }
    }

    /// That of an alert that was raised at `ts`, of a rule whose alerts tell all that it remembers.
    pub(super) fn of_open(episode: Episode, ts: i64) -> Self {
        Self {
            phase: Phase::Active {
                told_at: ts,
                over_since: Moment::NONE,
                episode: Some(episode),
            },
            ..Self::default()
        }
    }

    /// Whether the rule is active.
    pub(super) fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Active { .. })
    }

    /// The alert that is open.
    pub(super) fn episode(&self) -> Option<Episode> {
        match self.phase {
            Phase::Active { episode, .. } => episode,
            _ => None,
        }
    }

    /// Somebody has seen the alert that is open; false if he had before, or none is.
    pub(super) fn acknowledge(&mut self) -> bool {
        match &mut self.phase {
            Phase::Active {
                episode: Some(episode),
                ..
            } => !std::mem::replace(&mut episode.is_acknowledged, true),
            _ => false,
        }
    }

    /// Shifts the times between these; false if there are none.
    pub(super) fn shift(&mut self, between: &RangeInclusive<i64>, by: i64) -> bool {
        let mut has_shifted = false;
        let mut shift = |time: &mut i64| {
            if between.contains(time) {
                *time += by;
                has_shifted = true;
            }
        };
        let mut shift_moment = |moment: &mut Moment| {
            if let Some(mut time) = moment.get() {
                shift(&mut time);
                *moment = Some(time).into();
            }
        };
        shift_moment(&mut self.cleared_at);
        if let Phase::Active { over_since, .. } = &mut self.phase {
            shift_moment(over_since);
        }
        match &mut self.phase {
            Phase::Pending { since: time } | Phase::Active { told_at: time, .. } => shift(time),
            Phase::Quiet => {}
        }
        shift(&mut self.newest);
        has_shifted
    }

    /// Whether there is nothing to remember. What is left of a rule that takes times: how old the next reading may be.
    pub(super) fn is_blank(&self) -> bool {
        self.phase == Phase::Quiet && self.cleared_at == Moment::NONE && self.newest == 0
    }
}
