//! Aggregates over windows of event time, for one rule and one sensor (or group). A window is made of panes, each as long as the
//! step from one window to the next; a reading goes into one pane, whatever order readings come in. Pure.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// What a window is: all in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    /// How long a window is: a multiple of `every`.
    pub(super) over: i64,
    /// From the end of one to the end of the next. Ends are multiples of it since 1970.
    pub(super) every: i64,
    /// A window is closed when event time is this far past its end.
    pub(super) lateness: i64,
}

/// A measurement on its way into a window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) value: f64,
    pub(super) ts: i64,
    /// When it arrived by the wall clock.
    pub(super) received_at: i64,
    /// When it arrived by the engine's clock, which only goes forward.
    pub(super) now: i64,
}

/// What a window saw.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Aggregate {
    pub(super) count: i64,
    pub(super) sum: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    /// With their times; of two at the same time what came later is the last.
    pub(super) first: (i64, f64),
    pub(super) last: (i64, f64),
    mean: f64,
    /// Sum of squared differences from the mean.
    squares: f64,
}

/// A window that is over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Closed {
    /// From `start` up to, not including, `end`.
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) seen: Aggregate,
}

/// What became of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    InTime,
    /// A window to which it belongs was closed already.
    Late,
}

/// The open windows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Windows {
    /// Those with samples, oldest first, by the start of each.
    panes: VecDeque<(i64, Aggregate)>,
    /// The end of the last window that was closed.
    closed_upto: Option<i64>,
    /// Event time, and what the engine's clock showed then.
    event_time: i64,
    now: i64,
    /// The last arrival, by the wall clock.
    received_at: i64,
}

/// Panes for which room is made at once.
const MOST_ROOM: usize = 16;

/// Beside what a window and its lateness need, so many panes may be open: what lies far ahead is a wrong clock.
const PANES_AHEAD: i64 = 16;

impl Windows {
    /// Takes a sample. To be followed by [`Windows::close`] until that gives none.
    pub(super) fn take(&mut self, span: Span, sample: Sample) -> Taken {
        let is_first = self.panes.is_empty() && self.closed_upto.is_none();
        // A measurement from the future does not make it the present.
        let event_time = sample.ts.min(sample.received_at);
        // What comes late does not put event time back, nor does it keep it from going on.
        if is_first || self.event_time <= event_time {
            self.event_time = event_time;
            self.now = sample.now;
        }
        self.received_at = sample.received_at;
        let start = sample.ts.div_euclid(span.every) * span.every;
        let newest_start = self.event_time + PANES_AHEAD * span.every;
        if newest_start < start
            || self
                .closed_upto
                .is_some_and(|upto| start + span.over <= upto)
        {
            return Taken::Late;
        }
        let place = self.panes.partition_point(|(of, _)| *of < start);
        match self.panes.get_mut(place) {
            Some((of, pane)) if *of == start => pane.add(sample.ts, sample.value),
            _ => {
                let pane = Aggregate::of(sample.ts, sample.value);
                // As many as are open at once if nothing is wrong: room for twice as many would stay empty.
                let usual = (span.over + span.lateness) / span.every + 1;
                let more = usual as usize - self.panes.len().min(usual as usize - 1);
                self.panes.reserve_exact(more.min(MOST_ROOM));
                self.panes.insert(place, (start, pane));
            }
        }
        if self
            .closed_upto
            .is_some_and(|upto| start + span.every <= upto)
        {
            return Taken::Late;
        }
        Taken::InTime
    }

    /// Whether no window is open.
    pub(super) fn is_empty(&self) -> bool {
        self.panes.is_empty()
    }

    /// Whether the wall clock was put back so far before this arrival that what was measured by the old one is over.
    pub(super) fn is_clock_put_back(&self, span: Span, received_at: i64) -> bool {
        let is_used = !self.panes.is_empty() || self.closed_upto.is_some();
        is_used && received_at + span.lateness.max(MAX_CLOCK_STEP) < self.received_at
    }

    /// The next window that is over at the engine's time `now`, if one is.
    pub(super) fn close(&mut self, span: Span, now: i64) -> Option<Closed> {
        if now < self.due(span)? {
            return None;
        }
        self.close_next(span)
    }

    /// The next window, over or not.
    pub(super) fn close_next(&mut self, span: Span) -> Option<Closed> {
        let end = self.next_end(span)?;
        let start = end - span.over;
        let mut seen: Option<Aggregate> = None;
        for (_, pane) in self
            .panes
            .iter()
            .filter(|(of, _)| start <= *of && *of < end)
        {
            match &mut seen {
                Some(seen) => seen.merge(pane),
                None => seen = Some(*pane),
            }
        }
        self.closed_upto = Some(end);
        // The next window begins a step later.
        while self
            .panes
            .front()
            .is_some_and(|(of, _)| *of < start + span.every)
        {
            self.panes.pop_front();
        }
        seen.map(|seen| Closed { start, end, seen })
    }

    /// When the next window is over by the engine's clock if nothing comes meanwhile: event time goes on as that clock does.
    pub(super) fn due(&self, span: Span) -> Option<i64> {
        let end = self.next_end(span)?;
        Some(self.now + (end + span.lateness - self.event_time).max(0))
    }

    /// The end of the next window that has samples.
    fn next_end(&self, span: Span) -> Option<i64> {
        let (oldest, _) = self.panes.front()?;
        let first = oldest + span.every;
        Some(
            self.closed_upto
                .map_or(first, |upto| first.max(upto + span.every)),
        )
    }
}

/// The wall clock is taken to have been put back when arrivals go back by more than this.
const MAX_CLOCK_STEP: i64 = 60_000;

impl Aggregate {
    /// Of one value.
    pub(super) fn of(ts: i64, value: f64) -> Self {
        Self {
            count: 1,
            sum: value,
            min: value,
            max: value,
            first: (ts, value),
            last: (ts, value),
            mean: value,
            squares: 0.0,
        }
    }

    /// Welford's update (B. P. Welford, "Note on a method for calculating corrected sums of squares and products", 1962).
    fn add(&mut self, ts: i64, value: f64) {
        self.count += 1;
        self.sum += value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        if ts < self.first.0 {
            self.first = (ts, value);
        }
        if self.last.0 <= ts {
            self.last = (ts, value);
        }
        let from_old = value - self.mean;
        self.mean += from_old / self.count as f64;
        self.squares += from_old * (value - self.mean);
    }

    /// Joins what came later (T. F. Chan et al., "Updating formulae and a pairwise algorithm for computing sample
    /// variances", 1979).
    fn merge(&mut self, other: &Self) {
        let (mine, theirs) = (self.count as f64, other.count as f64);
        let all = mine + theirs;
        let apart = other.mean - self.mean;
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.last = other.last;
        self.mean += apart * theirs / all;
        self.squares += other.squares + apart * apart * mine * theirs / all;
    }

    /// The arithmetic mean.
    pub(super) fn avg(&self) -> f64 {
        let avg = self.sum / self.count as f64;
        if avg.is_finite() { avg } else { self.mean }
    }

    /// Whether it can be told: values near the bounds of what a number can be have no mean.
    pub(super) fn is_finite(&self) -> bool {
        self.avg().is_finite()
    }

    /// The standard deviation of the whole window (not of a sample): zero for one value.
    pub(super) fn stddev(&self) -> f64 {
        (self.squares / self.count as f64).max(0.0).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TUMBLING: Span = Span {
        over: 60,
        every: 60,
        lateness: 10,
    };
    const SLIDING: Span = Span {
        over: 60,
        every: 20,
        lateness: 0,
    };

    /// A sample that arrives when it is measured.
    fn at(ts: i64, value: f64) -> Sample {
        Sample {
            value,
            ts,
            received_at: ts,
            now: ts,
        }
    }

    fn closed(windows: &mut Windows, span: Span, now: i64) -> Vec<(i64, i64, i64, f64)> {
        let next = || windows.close(span, now);
        let closed = std::iter::from_fn(next);
        closed
            .map(|window| (window.start, window.end, window.seen.count, window.seen.sum))
            .collect()
    }

    #[test]
    fn a_tumbling_window_closes_once_when_its_lateness_is_over() {
        let mut windows = Windows::default();
        for sample in [at(0, 1.0), at(59, 2.0), at(60, 4.0)] {
            assert_eq!(windows.take(TUMBLING, sample), Taken::InTime);
        }
        assert_eq!(windows.due(TUMBLING), Some(70));
        assert_eq!(closed(&mut windows, TUMBLING, 69), []);
        assert_eq!(
            windows.take(TUMBLING, at(58, 8.0)),
            Taken::InTime,
            "late, but not too late"
        );
        assert_eq!(windows.take(TUMBLING, at(70, 16.0)), Taken::InTime);
        assert_eq!(closed(&mut windows, TUMBLING, 70), [(0, 60, 3, 11.0)]);
        assert_eq!(windows.take(TUMBLING, at(59, 1.0)), Taken::Late);
        assert_eq!(closed(&mut windows, TUMBLING, 130), [(60, 120, 2, 20.0)]);
        assert_eq!(windows.due(TUMBLING), None);
    }

    #[test]
    fn sliding_windows_overlap() {
        let mut windows = Windows::default();
        for ts in [5, 25, 45, 65, 85] {
            windows.take(SLIDING, at(ts, 1.0));
        }
        let counts: Vec<_> = closed(&mut windows, SLIDING, 85)
            .iter()
            .map(|c| (c.1, c.2))
            .collect();
        assert_eq!(counts, [(20, 1), (40, 2), (60, 3), (80, 3)]);
        let counts: Vec<_> = closed(&mut windows, SLIDING, 1000)
            .iter()
            .map(|c| (c.1, c.2))
            .collect();
        assert_eq!(
            counts,
            [(100, 3), (120, 2), (140, 1)],
            "empty ones are none"
        );
    }

    #[test]
    fn an_old_backlog_gives_the_windows_that_it_would_have_given_live() {
        let (mut live, mut replayed) = (Windows::default(), Windows::default());
        let (mut of_live, mut of_replay) = (Vec::new(), Vec::new());
        for ts in (0..600).step_by(7) {
            live.take(TUMBLING, at(ts, ts as f64));
            of_live.extend(closed(&mut live, TUMBLING, ts));
            let now = 1_000_000 + ts / 100;
            replayed.take(
                TUMBLING,
                Sample {
                    received_at: now,
                    now,
                    ..at(ts, ts as f64)
                },
            );
            of_replay.extend(closed(&mut replayed, TUMBLING, now));
        }
        assert_eq!(of_live, of_replay);
        assert_eq!(of_live.len(), 9);
    }

    #[test]
    fn a_sensor_that_ends_closes_its_window_too() {
        let mut windows = Windows::default();
        windows.take(
            TUMBLING,
            Sample {
                now: 500,
                received_at: 9_000,
                ..at(10, 1.0)
            },
        );
        assert_eq!(windows.due(TUMBLING), Some(500 + 60));
        assert_eq!(closed(&mut windows, TUMBLING, 559), []);
        assert_eq!(closed(&mut windows, TUMBLING, 560), [(0, 60, 1, 1.0)]);
    }

    #[test]
    fn a_measurement_from_the_future_closes_nothing() {
        let mut windows = Windows::default();
        windows.take(TUMBLING, at(5, 1.0));
        assert_eq!(
            windows.take(
                TUMBLING,
                Sample {
                    ts: 1 << 40,
                    ..at(6, 9.0)
                }
            ),
            Taken::Late
        );
        assert_eq!(windows.take(TUMBLING, at(7, 1.0)), Taken::InTime);
        assert_eq!(closed(&mut windows, TUMBLING, 70), [(0, 60, 2, 2.0)]);
    }

    #[test]
    fn a_clock_that_was_put_back_is_noticed() {
        let mut windows = Windows::default();
        let span = Span {
            over: 60_000,
            every: 60_000,
            lateness: 0,
        };
        assert!(!windows.is_clock_put_back(span, 5));
        windows.take(span, at(3_600_000, 1.0));
        assert!(!windows.is_clock_put_back(span, 3_599_000));
        assert!(windows.is_clock_put_back(span, 5));
        assert!(windows.close_next(span).is_some());
        let mut windows = Windows::default();
        assert_eq!(windows.take(span, at(5, 1.0)), Taken::InTime);
    }

    #[test]
    fn a_clock_that_is_set_from_1970_closes_each_window_once_and_none_between() {
        let mut windows = Windows::default();
        let set = 1_764_000_000;
        let by_engine = |ts: i64, now: i64| Sample { now, ..at(ts, 1.0) };
        for now in [0, 30] {
            assert_eq!(windows.take(SLIDING, by_engine(now, now)), Taken::InTime);
        }
        assert_eq!(closed(&mut windows, SLIDING, 30).len(), 1);
        assert_eq!(windows.take(SLIDING, by_engine(set, 40)), Taken::InTime);
        let ends: Vec<_> = closed(&mut windows, SLIDING, 40)
            .iter()
            .map(|closed| closed.1)
            .collect();
        assert_eq!(ends, [40, 60, 80]);
        assert_eq!(windows.due(SLIDING), Some(40 + 20));
        assert_eq!(
            closed(&mut windows, SLIDING, 60),
            [(set - 40, set + 20, 1, 1.0)]
        );
    }

    #[test]
    fn aggregates_are_those_of_the_textbook() {
        let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        let mut windows = Windows::default();
        let span = Span {
            over: 80,
            every: 20,
            lateness: 0,
        };
        for (place, value) in values.into_iter().enumerate() {
            windows.take(span, at(place as i64 * 10, value));
        }
        while windows.next_end(span).is_some_and(|end| end < 80) {
            windows.close_next(span);
        }
        let seen = windows.close_next(span).unwrap().seen;
        assert_eq!(
            (seen.count, seen.sum, seen.min, seen.max),
            (8, 40.0, 2.0, 9.0)
        );
        assert_eq!(
            (seen.avg(), seen.first, seen.last),
            (5.0, (0, 2.0), (70, 9.0))
        );
        assert!((seen.stddev() - 2.0).abs() < 1e-12);
    }
}
