//! What a replay says, for programs.

use serde::Serialize;

use super::{OfRule, Question, Replayed};

const HOUR: f64 = 3_600_000.0;

/// What one rule would have said. Times are those of the readings.
#[derive(Debug, Serialize)]
pub struct RuleAnswer {
    rule: Box<str>,
    /// Alerts that were opened, and that were over again.
    raised: u64,
    cleared: u64,
    /// Of all kinds.
    events: u64,
    /// How long the longest alert was open.
    longest_seconds: f64,
    flaps_per_hour: f64,
    /// Readings that it could not be asked about, and that came too late for it.
    failures: u64,
    late: u64,
    /// Alerts opened in each sixtieth of the time.
    timeline: Vec<u64>,
}

impl OfRule {
    /// Alerts opened in an hour, over the whole time.
    pub fn flaps_per_hour(&self, question: &Question<'_>) -> f64 {
        let hours = (question.now.millis() - question.since.millis()).max(1) as f64 / HOUR;
        self.raised as f64 / hours
    }

    fn answer(&self, question: &Question<'_>) -> RuleAnswer {
        RuleAnswer {
            rule: (&*self.name).into(),
            raised: self.raised,
            cleared: self.cleared,
            events: self.events,
            longest_seconds: self.longest as f64 / 1000.0,
            flaps_per_hour: self.flaps_per_hour(question),
            failures: self.failures,
            late: self.late,
            timeline: self.timeline.iter().map(|(raised, _)| *raised).collect(),
        }
    }
}

impl Replayed {
    /// For each set of rules what each of them would have said.
    pub fn answers(&self, question: &Question<'_>) -> Vec<Vec<RuleAnswer>> {
        let sets = self.sets.iter();
        sets.map(|rules| rules.iter().map(|rule| rule.answer(question)).collect())
            .collect()
    }
}
