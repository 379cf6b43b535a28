//! Whether the wall clock is believed. Pure: what is known of it comes in.
//!
//! A clock is believed that a time service has in hand, that agrees with one that has a battery, or that somebody set while the
//! gateway ran. It is not where it cannot be right, or where nothing says that it went on while the machine was off.

use super::{Evidence, STEP};
use crate::domain::timestamp::Timestamp;

/// Before the gateway was written no clock is right: 2025-01-01.
const WRITTEN: Timestamp = Timestamp::from_millis(1_735_689_600_000);

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// So far from each other two clocks agree: none of them is corrected.
const AGREES: i64 = 2 * MINUTE;

/// A clock that is so far behind what is stored has been put back.
const BEHIND: i64 = MINUTE;

/// One that is so far ahead of what is stored is wrong, rather than the gateway having been off for so long: five years.
const AHEAD: i64 = 5 * 365 * DAY;

/// Whether the clock is trusted, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Nothing speaks against it.
    Plausible,
    /// A time service has it in hand.
    Synchronised,
    /// The clock with a battery shows the same.
    Rtc,
    /// It was set while the gateway ran, or while the gateway alone was down.
    Set,
    /// It stands before anybody can have used this gateway.
    NotSet,
    /// It stands before what is stored.
    Behind,
    /// It stands years after what is stored, or has leapt ahead by more than a day.
    Ahead,
    /// Nobody has it in hand, and nothing says that it went on while the machine was off.
    Unsynchronised,
}

const ALL: [Trust; 8] = [
    Trust::Plausible,
    Trust::Synchronised,
    Trust::Rtc,
    Trust::Set,
    Trust::NotSet,
    Trust::Behind,
    Trust::Ahead,
    Trust::Unsynchronised,
];

/// What the store knows at start.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// As the gateway left the clock; `None`: it has never looked at it.
    pub left: Option<Left>,
    /// When the newest reading arrived that was taken while the clock was trusted.
    pub newest: Option<Timestamp>,
}

/// How the clock stood when the gateway last looked at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    pub boot: Box<str>,
    pub offset: i64,
    pub trust: Trust,
}

impl Known {
    /// Whether the clock has gone on since as it stood, within the same run of the machine.
    fn goes_on(&self, boot: &str, offset: i64) -> bool {
        let left = self.left.as_ref();
        left.is_some_and(|left| &*left.boot == boot && (left.offset - offset).abs() < STEP)
    }

    /// Whether a clock that is found so may be ahead, although it is trusted: it stands more than a day after the newest reading, and
    /// neither a time service nor its own past speaks for that.
    pub(super) fn may_have_leapt(
        &self,
        now: Timestamp,
        offset: i64,
        boot: &str,
        trust: Trust,
    ) -> bool {
        let is_far = |newest: Timestamp| newest.millis() + DAY < now.millis();
        self.newest.is_some_and(is_far)
            && trust != Trust::Synchronised
            && !self.goes_on(boot, offset)
    }
}

impl Trust {
    /// Whether it is.
    pub fn is_trusted(self) -> bool {
        match self {
            Self::Plausible | Self::Synchronised | Self::Rtc | Self::Set => true,
            Self::NotSet | Self::Behind | Self::Ahead | Self::Unsynchronised => false,
        }
    }

    /// As API and log name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plausible => "plausible",
            Self::Synchronised => "synchronised",
            Self::Rtc => "rtc",
            Self::Set => "set",
            Self::NotSet => "not_set",
            Self::Behind => "behind",
            Self::Ahead => "ahead",
            Self::Unsynchronised => "unsynchronised",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        ALL.into_iter().find(|trust| trust.as_str() == name)
    }

    pub(super) fn number(self) -> u8 {
        self as u8
    }

    pub(super) fn from_number(number: u8) -> Self {
        ALL[usize::from(number) % ALL.len()]
    }

    /// At the start of the gateway. `offset`: of the wall clock from the monotonic one, in milliseconds.
    pub(super) fn at_start(
        now: Timestamp,
        offset: i64,
        boot: &str,
        known: &Known,
        evidence: &Evidence,
    ) -> Self {
        if now < WRITTEN {
            return Self::NotSet;
        }
        if evidence.synchronised == Some(true) {
            return Self::Synchronised;
        }
        let of_boot = known.left.as_ref().filter(|left| &*left.boot == boot);
        let as_left = of_boot.filter(|_| known.goes_on(boot, offset));
        match (of_boot, as_left) {
            (_, Some(left)) if left.trust.is_trusted() => return left.trust,
            (Some(left), None) => {
                let by = offset - left.offset;
                return left.trust.after_step(by, now, known.newest, evidence);
            }
            _ => {}
        }
        if let Some(newest) = known.newest {
            if now.millis() + BEHIND < newest.millis() {
                return Self::Behind;
            }
            if newest.millis() + AHEAD < now.millis() {
                return Self::Ahead;
            }
        }
        if agrees(evidence, now) {
            return Self::Rtc;
        }
        match of_boot {
            Some(left) => left.trust,
            None if known.left.is_none() || evidence.synchronised.is_none() => Self::Plausible,
            None => Self::Unsynchronised,
        }
    }

    /// After the wall clock was set, `by` so many milliseconds.
    pub(super) fn after_step(
        self,
        by: i64,
        now: Timestamp,
        newest: Option<Timestamp>,
        evidence: &Evidence,
    ) -> Self {
        if now < WRITTEN {
            return Self::NotSet;
        }
        if evidence.synchronised == Some(true) {
            return Self::Synchronised;
        }
        if agrees(evidence, now) {
            return Self::Rtc;
        }
        let is_beyond = newest.is_some_and(|newest| newest.millis() + AHEAD < now.millis());
        if is_beyond || (self.is_trusted() && DAY < by) {
            return Self::Ahead;
        }
        Self::Set
    }

    /// While it goes on as before.
    pub(super) fn meanwhile(self, now: Timestamp, evidence: &Evidence) -> Self {
        if self.is_trusted() || now < WRITTEN {
            return self;
        }
        if evidence.synchronised == Some(true) {
            return Self::Synchronised;
        }
        if agrees(evidence, now) && matches!(self, Self::Unsynchronised | Self::Ahead) {
            return Self::Rtc;
        }
        self
    }
}

fn agrees(evidence: &Evidence, now: Timestamp) -> bool {
    let shown = evidence.rtc.map(Timestamp::millis);
    shown.is_some_and(|shown| (shown - now.millis()).abs() < AGREES)
}

#[cfg(test)]
mod tests;
