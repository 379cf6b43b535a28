//! What is remembered of times that a clock told which was wrong.

use std::ops::RangeInclusive;

use super::Engine;
use crate::rules::memory::Memory;

impl Engine {
    /// The clock was wrong and is right now: what it told between these times was so many milliseconds too early. So nothing counts
    /// as having been so for years. Windows need nothing of it: those that are open end with the step.
    pub fn shift_times(&mut self, between: &RangeInclusive<i64>, by: i64) {
        let Memory {
            slots,
            states,
            touched,
            ..
        } = &mut self.memory;
        for (place, slot) in (0..).zip(slots) {
            if let Some(previous) = &mut slot.previous
                && between.contains(&previous.ts)
            {
                previous.ts += by;
                touched.slot(place, slot);
            }
        }
        for (subject, kept) in states.iter_mut() {
            let mut has_shifted = kept.state.life.shift(between, by);
            if let Some(last) = &mut kept.state.last
                && between.contains(&last.ts)
            {
                last.ts += by;
                has_shifted = true;
            }
            if has_shifted && let Some(rule) = self.set.rules.get(subject.rule as usize) {
                touched.state(rule, &subject, kept);
            }
        }
    }
}
