//! The upkeep: what it takes away, the model learns from the store, and asks whether it may.

use super::*;
use crate::store::blocks::Block;
use crate::store::{Removed, Step};

impl Pair {
    /// Asks what is to be done and does some of it, while other things happen.
    pub(super) fn keep_up(&mut self) {
        let newest = START + self.number * PACE;
        let limits = self.limits;
        let now = match self.rng.u32(..4) {
            0 => None,
            1 if limits.keep.is_none() => Some(newest + 25 * HOUR),
            _ => Some(newest),
        };
        let now = now.map(Timestamp::from_millis);
        let steps = self.reader().upkeep(now, &limits).unwrap();
        let most = self.rng.usize(1..200);
        let life = self.counts_of_lives();
        for step in steps.into_iter().take(most) {
            if self.rng.u32(..4) == 0 {
                self.grow();
                self.commit();
            }
            if life != self.counts_of_lives() {
                // Who asked was killed with the rest.
                return;
            }
            self.do_step(step, &limits, newest);
        }
    }

    pub(super) fn some_limits(&mut self) -> Limits {
        match self.rng.u32(..8) {
            0 => limits(Some(KEEP), BUDGET, WhenFull::Thin),
            1 => limits(None, u64::MAX / 2, WhenFull::Refuse),
            2 => limits(None, BUDGET, WhenFull::DropOldest),
            3 => limits(None, BUDGET, WhenFull::Refuse),
            _ => limits(None, BUDGET, WhenFull::Thin),
        }
    }

    fn counts_of_lives(&self) -> u64 {
        let killed = |(what, _): &(&&str, &u64)| what.starts_with("killed");
        self.counts
            .iter()
            .filter(killed)
            .map(|(_, count)| count)
            .sum()
    }

    fn do_step(&mut self, step: Step, limits: &Limits, now: i64) {
        let removed = step.removed.clone();
        let units = self.units();
        let mut group = Group::default();
        group.push_upkeep(step);
        if !self.write(&group, Vec::new()) {
            return;
        }
        self.count("upkeep");
        let before = limits.keep.map(|keep| now - keep);
        self.learn_removed(&removed, before);
        self.learn_units(&units);
        self.learn_alerts();
        self.learn_rejects(before);
    }

    /// Oldest first, none that is in a batch or refused, and as many as were told.
    fn learn_removed(&mut self, told: &[(Removed, u64)], before: Option<i64>) {
        let all: u64 = told.iter().map(|(_, readings)| readings).sum();
        if all == 0 {
            return;
        }
        let model = &self.model;
        let of_batches = model.batches.values().flat_map(|batch| &batch.readings);
        let held: BTreeSet<i64> = of_batches
            .map(|id| id.0)
            .chain(model.letters.values().map(|(_, id, _)| *id))
            .collect();
        let gone = self.find_gone(all as usize);
        let why = told[0].0;
        let is_of_rows = why == Removed::Undelivered;
        let waited = |id: &i64| model.waiting.iter().any(|waiting| waiting.contains(id));
        // One that went into a batch between the look and the step stays.
        let stayed = all as usize - gone.len();
        assert!(stayed == 0 || is_of_rows, "{told:?}: {}", gone.len());
        let Some(oldest) = gone.first().copied() else {
            return;
        };
        assert!(gone.iter().all(|id| !held.contains(id)), "{told:?}");
        let waiting = gone.iter().filter(|id| waited(id)).count() as u64;
        if is_of_rows {
            assert!(waiting <= told[0].1, "{told:?}: {waiting}");
        } else {
            assert_eq!(waiting, 0, "{told:?}");
            let of = |id: i64| Block::of(id).number();
            let blocks = [oldest, gone[gone.len() - 1]].map(of);
            assert_eq!(blocks[0], blocks[1], "a block at a time");
        }
        for id in &gone {
            let number = self.model.readings.remove(id).unwrap();
            for waiting in &mut self.model.waiting {
                waiting.remove(id);
            }
            let (reading, tags) = made(number);
            match why {
                Removed::Thinned => assert!(tags.is_none(), "{reading:?}"),
                Removed::Aged => assert!(reading.received_at.millis() < before.unwrap()),
                Removed::Dropped | Removed::Undelivered => {}
            }
        }
        if why == Removed::Thinned {
            self.model.thinned += all;
        }
        for (why, readings) in told {
            self.model.removed[*why as usize] += readings;
        }
        // What is older and packed is tagged, or it would have gone before.
        let rows = format!("SELECT count(*) FROM reading WHERE id < {oldest}");
        let older = self.model.readings.range(..oldest);
        let plain =
            older.filter(|(_, number)| why != Removed::Thinned || made(**number).1.is_none());
        let plain = plain.count() as i64;
        assert!(plain <= self.number_of(&rows), "{told:?}: oldest first");
    }

    /// Looks from the oldest on, until it has found so many.
    fn find_gone(&self, most: usize) -> Vec<i64> {
        let history = self.reader().history().unwrap();
        let mut expected = self.model.readings.keys().copied().peekable();
        let (mut after, mut gone) = (ReadingId(0), Vec::new());
        while gone.len() < most {
            let page = history.page(after, 10_000).unwrap();
            for id in page.iter().map(|reading| reading.id.0) {
                while let Some(older) = expected.next_if(|expected| *expected < id) {
                    gone.push(older);
                }
                assert_eq!(expected.next(), Some(id), "nothing comes back");
            }
            match page.last() {
                Some(last) => after = last.id,
                None => {
                    gone.extend(expected);
                    break;
                }
            }
        }
        gone
    }

    pub(super) fn number_of(&self, select: &str) -> i64 {
        let connection = &self.writer.as_ref().unwrap().connection;
        connection.query_row(select, [], |row| row.get(0)).unwrap()
    }

    /// Units of thinned readings: first and last block, how many readings are in it.
    fn units(&self) -> BTreeMap<(i64, i64), u64> {
        let connection = &self.writer.as_ref().unwrap().connection;
        let mut select = connection
            .prepare_cached("SELECT first, last, count FROM summary_block")
            .unwrap();
        let rows = select.query_map([], |row| {
            let count: i64 = row.get(2)?;
            Ok(((row.get(0)?, row.get(1)?), count.unsigned_abs()))
        });
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    }

    /// A unit goes whole, oldest first; what goes into one loses nothing.
    fn learn_units(&mut self, before: &BTreeMap<(i64, i64), u64>) {
        let after = self.units();
        let is_covered = |(first, last): &(i64, i64)| {
            let mut now = after.keys();
            now.any(|(now_first, now_last)| now_first <= first && last <= now_last)
        };
        let (kept, gone): (Vec<_>, Vec<_>) = before.iter().partition(|(unit, _)| is_covered(unit));
        if !gone.is_empty() {
            assert_eq!(gone.len(), 1, "one at a time");
            let first = gone[0].0.0;
            assert!(
                kept.iter().all(|((kept, _), _)| first < *kept),
                "oldest first"
            );
            self.model.thinned -= gone[0].1;
            self.count("units gone");
        }
        assert_eq!(after.values().sum::<u64>(), self.model.thinned);
    }

    /// Events go with their readings, but for those that are needed.
    fn learn_alerts(&mut self) {
        if self.number_of("SELECT count(*) FROM alert") == self.model.alerts.len() as i64 {
            return;
        }
        let there = self.ids("SELECT id FROM alert");
        let mut last = BTreeMap::new();
        for (id, alert) in &self.model.alerts {
            last.insert(alert.sensor_id.clone(), *id);
        }
        let mut newest_gone = 0;
        let gone = self.model.alerts.keys().filter(|id| !there.contains(id));
        for id in gone.copied().collect::<Vec<_>>() {
            let alert = self.model.alerts.remove(&id).unwrap();
            assert_ne!(last[&alert.sensor_id], id);
            assert!(!self.model.open.contains_key(&alert.episode));
            let number = self.model.readings.get(&alert.reading_id.0);
            let is_of_old = number.is_none_or(|_| self.is_held_back(alert.reading_id.0));
            assert!(is_of_old || self.limits.max_bytes == BUDGET);
            newest_gone = newest_gone.max(id);
            self.count("alerts gone");
        }
        assert_eq!(there.len(), self.model.alerts.len());
        // What is known of them is written behind: one may be taken for needed a while longer.
        let needed = self.ids(
            "SELECT last_alert FROM sensor WHERE last_alert IS NOT NULL \
             UNION SELECT id FROM alert WHERE episode IN (SELECT episode FROM open_alert)",
        );
        let mut older = self.model.alerts.range(..newest_gone);
        assert!(older.all(|(id, _)| needed.contains(id)), "oldest first");
    }

    /// Whether it is a row for the sake of an uplink, or was when its block was packed.
    fn is_held_back(&self, id: i64) -> bool {
        0 < self.number_of(&format!("SELECT count(*) FROM reading WHERE id = {id}"))
    }

    pub(super) fn ids(&self, select: &str) -> BTreeSet<i64> {
        let connection = &self.writer.as_ref().unwrap().connection;
        let mut select = connection.prepare_cached(select).unwrap();
        let rows = select.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    /// Old ones go by age, and all but the newest thousand for want of room.
    fn learn_rejects(&mut self, before: Option<i64>) {
        let (there, _) = self.reader().rejects(0, 1 << 30, usize::MAX).unwrap();
        let there: BTreeSet<i64> = there.iter().map(|reject| reject.id).collect();
        let all = self.model.rejects.len();
        for (at, (id, received_at)) in std::mem::take(&mut self.model.rejects)
            .into_iter()
            .enumerate()
        {
            if there.contains(&id) {
                self.model.rejects.insert(id, received_at);
            } else {
                let is_old = before.is_some_and(|before| received_at < before);
                assert!(is_old || at + 1000 < all, "{id}");
                self.count("rejects gone");
            }
        }
        assert_eq!(there.len(), self.model.rejects.len());
    }
}
