//! Following, against a gateway that is made up.

use serde_json::json;
use serde_json::value::to_raw_value;

use super::*;

/// Readings and alerts as (id, sensor, reading), oldest first.
#[derive(Default)]
struct Fake {
    readings: Vec<(i64, String)>,
    alerts: Vec<(i64, String, i64)>,
    /// Answers before the gateway goes away.
    left: Option<usize>,
    largest: usize,
}

impl Fake {
    fn read(&mut self, count: i64, sensor: &str) {
        let last = self.readings.last().map_or(0, |(id, _)| *id);
        let ids = last + 1..=last + count;
        self.readings.extend(ids.map(|id| (id, sensor.to_owned())));
    }

    fn alert(&mut self) {
        let (reading, sensor) = self.readings.last().unwrap().clone();
        self.alerts
            .push((self.alerts.len() as i64 + 1, sensor, reading));
    }
}

impl Source for Fake {
    fn page(
        &mut self,
        list: List,
        sensor: Option<&SensorId>,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Page, Trouble> {
        if let Some(left) = &mut self.left {
            *left = left
                .checked_sub(1)
                .ok_or(Trouble::Passing("away".to_owned()))?;
        }
        self.largest = self.largest.max(limit);
        let all: Vec<(i64, &str, i64)> = match list {
            List::Readings => self
                .readings
                .iter()
                .map(|(id, of)| (*id, &**of, *id))
                .collect(),
            List::Alerts => self
                .alerts
                .iter()
                .map(|(id, of, with)| (*id, &**of, *with))
                .collect(),
        };
        let of = |item: &&(i64, &str, i64)| {
            after.is_none_or(|after| item.0 < after)
                && sensor.is_none_or(|sensor| sensor.as_str() == item.1)
        };
        let found: Vec<_> = all.iter().rev().filter(of).take(limit + 1).collect();
        let items: Vec<Item> = found
            .iter()
            .take(limit)
            .map(|(id, sensor_id, reading_id)| Item {
                list,
                id: *id,
                reading_id: *reading_id,
                sensor_id: (*sensor_id).to_owned(),
                raw: to_raw_value(&json!({})).unwrap(),
            })
            .collect();
        let next = items.last().map(|item| item.id);
        Ok(Page {
            next: next.filter(|_| limit < found.len()),
            items,
        })
    }
}

fn all() -> Wanted {
    Wanted::new(None, true, true).unwrap()
}

fn ids(items: &[Item]) -> Vec<i64> {
    items.iter().map(|item| item.id).collect()
}

#[test]
fn everything_comes_once_and_in_order_however_much_comes_between_two_looks() {
    let mut fake = Fake::default();
    fake.read(5, "s");
    let (mut tail, past) = Tail::begin(&mut fake, all(), 3).unwrap();
    let mut seen = ids(&past.items);
    assert_eq!(seen, [3, 4, 5]);
    for count in [0, 1, 9, 10, 11, 40, 0, 1250, 5000, 12_345, 1, 20_001] {
        fake.read(count, "s");
        let news = tail.look(&mut fake).unwrap();
        assert!(news.remarks.is_empty(), "{:?}", news.remarks);
        seen.extend(ids(&news.items));
    }
    let last = fake.readings.last().unwrap().0;
    assert_eq!(seen, (3..=last).collect::<Vec<_>>());
}

#[test]
fn little_is_asked_for_while_little_comes() {
    let mut fake = Fake::default();
    fake.read(100_000, "s");
    let (mut tail, _) = Tail::begin(&mut fake, all(), 0).unwrap();
    for _ in 0..3 {
        fake.read(5, "s");
        assert_eq!(tail.look(&mut fake).unwrap().items.len(), 5);
    }
    assert!(fake.largest <= SMALLEST_PAGE, "{}", fake.largest);
}

#[test]
fn who_falls_too_far_behind_is_told_by_how_many() {
    let mut fake = Fake::default();
    let (mut tail, _) = Tail::begin(&mut fake, all(), 10).unwrap();
    fake.read(200_000, "s");
    let news = tail.look(&mut fake).unwrap();
    let first = news.items[0].id;
    assert_eq!(ids(&news.items), (first..=200_000).collect::<Vec<_>>());
    assert!(news.items.len() < MAX_ITEMS + 10_000);
    let [remark] = &news.remarks[..] else {
        panic!("{:?}", news.remarks)
    };
    assert!(
        remark.starts_with(&format!(
            "{} readings of all sensors are not shown",
            first - 1
        )),
        "{remark}"
    );
}

#[test]
fn a_look_that_breaks_off_is_taken_again_without_gaps_or_repeats() {
    for answers in 0..12 {
        let mut fake = Fake::default();
        fake.read(10, "s");
        let (mut tail, _) = Tail::begin(&mut fake, all(), 0).unwrap();
        fake.read(700, "s");
        fake.alert();
        fake.left = Some(answers);
        let mut seen = tail
            .look(&mut fake)
            .map_or(Vec::new(), |news| ids(&news.items));
        fake.left = None;
        seen.extend(ids(&tail.look(&mut fake).unwrap().items));
        let mut expected: Vec<i64> = (11..=710).collect();
        expected.push(1);
        assert_eq!(seen, expected, "{answers}");
    }
}

#[test]
fn alerts_follow_their_readings() {
    let mut fake = Fake::default();
    let (mut tail, _) = Tail::begin(&mut fake, all(), 0).unwrap();
    for _ in 0..2 {
        fake.read(2, "s");
        fake.alert();
    }
    let news = tail.look(&mut fake).unwrap();
    let order: Vec<_> = news.items.iter().map(|item| (item.list, item.id)).collect();
    let (reading, alert) = (List::Readings, List::Alerts);
    let expected = [
        (reading, 1),
        (reading, 2),
        (alert, 1),
        (reading, 3),
        (reading, 4),
        (alert, 2),
    ];
    assert_eq!(order, expected);
}

#[test]
fn the_past_is_looked_through_for_what_is_wanted() {
    let mut fake = Fake::default();
    fake.read(3, "boiler/1");
    fake.read(5000, "other");
    let past = |fake: &mut Fake, filter: &str| {
        let wanted = Wanted::new(Some(filter), true, true).unwrap();
        Tail::begin(fake, wanted, 2).unwrap().1
    };
    assert_eq!(ids(&past(&mut fake, "boiler/#").items), [2, 3]);
    assert_eq!(ids(&past(&mut fake, "boiler/1").items), [2, 3]);
    assert!(!past(&mut fake, "nobody/#").is_cut);
    fake.read(MAX_PAST as i64 * 2, "other");
    let found = past(&mut fake, "boiler/#");
    assert!(found.items.is_empty() && found.is_cut);
    assert_eq!(ids(&past(&mut fake, "boiler/1").items), [2, 3]);
}

#[test]
fn another_store_is_told_of_and_followed() {
    let mut fake = Fake::default();
    fake.read(50, "s");
    let (mut tail, _) = Tail::begin(&mut fake, all(), 0).unwrap();
    fake.readings.clear();
    let news = tail.look(&mut fake).unwrap();
    assert!(
        news.remarks[0].contains("another store"),
        "{:?}",
        news.remarks
    );
    fake.read(2, "s");
    let news = tail.look(&mut fake).unwrap();
    assert_eq!((ids(&news.items), news.remarks.len()), (vec![1, 2], 0));
}
