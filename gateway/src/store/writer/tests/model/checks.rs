//! Whether the store says what the model says.

use super::*;
use crate::store::{AlertQuery, care};

impl Pair {
    /// Looks at a part.
    pub(super) fn look(&mut self) {
        match self.rng.u32(..6) {
            0 => self.check_outbox(),
            1 => self.check_alerts(),
            2 => self.check_sensors(),
            _ => self.check_page(),
        }
    }

    /// Looks at everything, and through the file.
    pub(super) fn check_all(&mut self) {
        self.check_history();
        self.check_outbox();
        self.check_letters();
        self.check_alerts();
        self.check_sensors();
        self.check_rest();
        let path = self.place.folder.path().join("gateway.db");
        let checked = care::check(&path, &mut |_, _, _| {}).unwrap();
        assert_eq!(checked.faults, [""; 0]);
        assert_eq!(checked.readings, self.model.readings.len() as i64);
        self.count("looks");
    }

    fn check_reading(&self, found: &StoredReading) {
        let number = self.model.readings[&found.id.0];
        let (made, tags) = made(number);
        assert_eq!(found.sensor_id, made.sensor_id);
        assert_eq!(found.value, made.value, "{number}");
        assert_eq!(found.ts, made.ts, "{number}");
        assert_eq!(found.received_at, made.received_at, "{number}");
        assert_eq!(found.tags.get(), tags.as_deref().unwrap_or("[]"));
        let attributes = made.attributes.as_json();
        assert_eq!(found.attributes.get(), attributes, "{number}");
    }

    fn check_history(&self) {
        let history = self.reader().history().unwrap();
        let mut expected = self.model.readings.keys().copied();
        let mut after = ReadingId(0);
        loop {
            let page = history.page(after, 10_000).unwrap();
            let Some(last) = page.last() else { break };
            after = last.id;
            for found in &page {
                assert_eq!(expected.next(), Some(found.id.0));
                self.check_reading(found);
            }
        }
        assert_eq!(expected.next(), None);
    }

    /// The newest of a sensor or of all, or of some time.
    fn check_page(&mut self) {
        let newest = START + self.number * PACE;
        let end = |rng: &mut fastrand::Rng| {
            let ts = rng
                .i64(START..newest + 1)
                .max(newest - rng.i64(1..3 * HOUR));
            (rng.u32(..3) == 0).then(|| Timestamp::from_millis(ts))
        };
        let of = (self.rng.u32(..4) < 3)
            .then(|| sensor([0, self.rng.usize(..4), self.rng.usize(..300)][self.rng.usize(..3)]));
        let query = ReadingQuery {
            sensor_id: of.clone(),
            from: end(&mut self.rng),
            to: end(&mut self.rng),
            ..ReadingQuery::newest(self.rng.usize(1..300))
        };
        let page = self.reader().readings(&query).unwrap();
        let is_asked = |number: i64| {
            let (made, _) = made(number);
            let is_of = of.as_ref().is_none_or(|of| *of == made.sensor_id);
            let is_late = query.from.is_none_or(|from| from <= made.ts);
            is_of && is_late && query.to.is_none_or(|to| made.ts < to)
        };
        // As far as it looked.
        let upto = match (page.next, page.readings.last()) {
            (Some(next), _) => next.0,
            (None, _) => i64::MIN,
        };
        let expected = self.model.readings.range(upto..).rev();
        let expected = expected.filter(|(_, number)| is_asked(**number));
        let expected: Vec<i64> = expected.map(|(id, _)| *id).take(query.limit).collect();
        let found: Vec<i64> = page.readings.iter().map(|reading| reading.id.0).collect();
        assert_eq!(found, expected, "{query:?}");
        page.readings
            .iter()
            .for_each(|found| self.check_reading(found));
    }

    fn check_outbox(&self) {
        let reader = self.reader();
        for (place, waiting) in self.model.waiting.iter().enumerate() {
            let uplink = Self::key(place);
            let found = first_waiting(&reader, uplink, usize::MAX >> 1);
            assert!(found.iter().map(|found| &found.id.0).eq(waiting));
            let batches = reader.recorded_batches(uplink, 0, 1 << 30).unwrap();
            let of = |batch: &&Batch| batch.uplink == uplink;
            let expected: Vec<&Batch> = self.model.batches.values().filter(of).collect();
            assert_eq!(batches.iter().collect::<Vec<_>>(), expected);
            let pending = expected.iter().map(|batch| batch.readings.len());
            let pending = waiting.len() + pending.sum::<usize>();
            assert_eq!(reader.outbox_pending(Some(uplink)), pending as u64);
            let account = reader.account(uplink).unwrap();
            assert_eq!(account, self.model.accounts[place]);
        }
    }

    fn check_letters(&self) {
        let (mut after, mut found) = (0, BTreeMap::new());
        loop {
            let (letters, may_be_more) = self.reader().dead_letters(after, None, 500).unwrap();
            for letter in letters {
                after = letter.id;
                let place = UPLINKS.iter().position(|name| **name == *letter.uplink);
                let reading = letter.reading.unwrap();
                self.check_reading(&reading);
                found.insert(letter.id, (place.unwrap(), reading.id.0, letter.tries));
            }
            if !may_be_more {
                break;
            }
        }
        assert_eq!(found, self.model.letters);
    }

    fn check_alerts(&self) {
        let (reader, gateway) = (self.reader(), Arc::from("g"));
        let newest = AlertQuery::newest(usize::MAX >> 1);
        let check = |mut found: Alert, expected: &Alert| {
            // They are those of the reading, and gone with it.
            found.attributes = expected.attributes.clone();
            assert_eq!(format!("{found:?}"), format!("{expected:?}"));
        };
        let found = reader.alerts(&newest, &gateway).unwrap().alerts;
        assert_eq!(found.len(), self.model.alerts.len());
        for (found, expected) in found.into_iter().zip(self.model.alerts.values().rev()) {
            check(found, expected);
        }
        let found = reader.open_alerts(&newest, &gateway).unwrap().alerts;
        assert_eq!(found.len(), self.model.open.len());
        for (found, newest) in found.into_iter().zip(self.model.open.values().rev()) {
            check(found, &self.model.alerts[newest]);
        }
    }

    /// What is known of sensors stays when their readings are gone.
    fn check_sensors(&self) {
        let totals = self.reader().sensor_totals(0, usize::MAX >> 1);
        let with_readings = totals.iter().filter(|totals| totals.last.is_some());
        assert_eq!(with_readings.count(), self.model.sensors.len());
        for totals in totals {
            if let Some(last) = totals.last {
                let expected = self.model.sensors[&totals.sensor_id];
                assert_eq!((last.0, totals.readings), expected, "{}", totals.sensor_id);
            }
        }
    }

    fn check_rest(&self) {
        let reader = self.reader();
        let devices: BTreeMap<_, _> = reader.statuses().unwrap().into_iter().collect();
        assert_eq!(
            devices.keys().collect::<Vec<_>>(),
            self.model.devices.keys().collect::<Vec<_>>()
        );
        for (device, status) in devices {
            assert!(status.contains(&self.model.devices[&device]), "{status}");
        }
        let (rejects, _) = reader.rejects(0, 1 << 30, usize::MAX).unwrap();
        let rejects = rejects
            .iter()
            .map(|reject| (reject.id, reject.received_at.millis()));
        assert!(rejects.eq(self.model.rejects.iter().map(|(id, at)| (*id, *at))));
    }
}
