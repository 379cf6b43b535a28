mod alerts;
mod blocks;
mod clock;
mod large;
mod model;
mod room;
mod story;
mod upkeep;
mod uplinks;

use super::*;
use crate::domain::alert::AlertState;
use crate::domain::reading::{Reading, StoredReading};
use crate::domain::rule::Severity;
use crate::domain::sensor::SensorId;
use crate::domain::timestamp::Timestamp;
use crate::domain::uplink::UplinkSet;
use crate::store::{LastReading, ReadingQuery, WaitingQuery};

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn open(&self) -> Writer {
        Writer::open(&self.folder.path().join("gateway.db")).unwrap()
    }
}

fn reading(sensor: &str, value: f64) -> Reading {
    Reading {
        sensor_id: SensorId::new(sensor).unwrap(),
        value,
        ts: Timestamp::from_millis(1_764_000_000_000),
        received_at: Timestamp::from_millis(1_764_000_000_003),
        attributes: Attributes::from_json(r#"{"seq":7}"#.to_owned()),
        topic: None,
    }
}

/// A group of readings of one sensor, those over 50 for the cloud.
fn group(writer: &mut Writer, sensor: &str, values: &[f64]) -> Group {
    let mut group = Group::default();
    for value in values {
        let tags = (75.0 < *value).then(|| r#"["high"]"#.into());
        let forward = if 50.0 < *value {
            UplinkSet::one(0)
        } else {
            UplinkSet::NONE
        };
        writer
            .add_reading(&mut group, reading(sensor, *value), tags, forward)
            .unwrap();
    }
    group
}

/// The uplink of a store that nobody named others for.
const CLOUD_KEY: UplinkKey = UplinkKey(1);

/// What waits for an uplink and is in no batch, the oldest thousand.
fn waiting(reader: &Reader, uplink: UplinkKey) -> Vec<StoredReading> {
    first_waiting(reader, uplink, 1000)
}

/// The same, so many.
fn first_waiting(reader: &Reader, uplink: UplinkKey, limit: usize) -> Vec<StoredReading> {
    let query = WaitingQuery {
        uplink,
        after: ReadingId(0),
        upto: ReadingId(i64::MAX),
        tagged_only: false,
        limit,
        max_bytes: usize::MAX,
    };
    reader.waiting(&query).unwrap()
}

/// An alert of the group's newest reading.
fn raise(writer: &mut Writer, group: &mut Group) {
    let alert_id = writer.next_alert_id();
    let new = group.readings.last().unwrap();
    let alert = Alert {
        gateway_id: "g".into(),
        alert_id,
        episode: alert_id,
        rule: "high".into(),
        state: AlertState::Raised,
        sensor_id: new.reading.sensor_id.clone(),
        value: new.reading.value,
        ts: new.reading.ts,
        reading_id: new.id,
        attributes: new.reading.attributes.clone(),
        severity: Some(Severity::Warning),
        message: Some("too high".into()),
        group: None,
    };
    assert!(writer.add_alert(group, alert));
}

fn page(reader: &Reader, sensor: Option<&str>) -> Vec<(i64, f64)> {
    let query = ReadingQuery {
        sensor_id: sensor.map(|sensor| SensorId::new(sensor).unwrap()),
        ..ReadingQuery::newest(1000)
    };
    let found = reader.readings(&query).unwrap().readings;
    found.iter().map(|r| (r.id.0, r.value)).collect()
}

#[test]
fn what_is_committed_is_there_after_a_restart() {
    let place = Place::new();
    let mut writer = place.open();
    let mut all = group(&mut writer, "a", &[80.0, 20.0]);
    raise(&mut writer, &mut all);
    writer.commit(&all).unwrap();
    drop(writer);
    let reader = place.open().reader();
    assert_eq!(page(&reader, None), [(2, 20.0), (1, 80.0)]);
    assert_eq!(reader.outbox_pending(None), 1);
    let totals = reader.totals().unwrap();
    assert_eq!((totals.readings, totals.alerts), (2, 1));
    let waiting = waiting(&reader, CLOUD_KEY);
    assert_eq!(waiting.len(), 1);
    let json = serde_json::to_string(&waiting[0]).unwrap();
    assert_eq!(
        json,
        r#"{"id":1,"sensor_id":"a","value":80.0,"ts":1764000000000,"received_at":1764000000003,"tags":["high"],"attributes":{"seq":7}}"#
    );
}

#[test]
fn how_much_waits_is_written_down_and_counted_only_where_nobody_did() {
    let place = Place::new();
    let open = |uplinks: &[&str]| {
        let uplinks: Vec<Arc<str>> = uplinks.iter().map(|name| (*name).into()).collect();
        Writer::open_for(&place.folder.path().join("gateway.db"), &uplinks).unwrap()
    };
    let mut writer = open(&["cloud", "other"]);
    let all = group(&mut writer, "a", &[60.0, 70.0, 40.0]);
    writer.commit(&all).unwrap();
    let written = |writer: &Writer| -> Option<String> {
        let select = "SELECT outbox FROM counter";
        let connection = &writer.connection;
        connection.query_row(select, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(written(&writer).unwrap(), r#"{"1":2,"2":0}"#);
    let none = group(&mut writer, "a", &[40.0]);
    writer.commit(&none).unwrap();
    for (said, pending) in [
        (Some(r#"{"1":77,"2":5}"#), [77, 5]),
        (Some(r#"{"1":77}"#), [77, 0]),
        (Some("{"), [2, 0]),
        (Some("\u{0}"), [2, 0]),
        (None, [2, 0]),
    ] {
        let update = "UPDATE counter SET outbox = ?1";
        writer.connection.execute(update, [said]).unwrap();
        drop(writer);
        writer = open(&["cloud", "other"]);
        let reader = writer.reader();
        let found = [CLOUD_KEY, UplinkKey(2)].map(|key| reader.outbox_pending(Some(key)));
        assert_eq!(found, pending, "{said:?}");
    }
    // One that is not named any more is counted when it is named again.
    drop(writer);
    let mut writer = open(&["other"]);
    let all = group(&mut writer, "a", &[90.0]);
    writer.commit(&all).unwrap();
    assert_eq!(written(&writer).unwrap(), r#"{"2":1}"#);
    drop(writer);
    let reader = open(&["cloud", "other"]).reader();
    assert_eq!(reader.outbox_pending(Some(CLOUD_KEY)), 2);
}

#[test]
fn ids_go_on_after_a_restart_also_when_rows_are_gone() {
    let place = Place::new();
    let mut writer = place.open();
    let first = group(&mut writer, "a", &[1.0, 2.0, 3.0]);
    writer.commit(&first).unwrap();
    writer
        .connection
        .execute("DELETE FROM reading", [])
        .unwrap();
    drop(writer);
    let mut writer = place.open();
    let next = group(&mut writer, "a", &[4.0]);
    writer.commit(&next).unwrap();
    assert_eq!(page(&writer.reader(), None), [(4, 4.0)]);
}

#[test]
fn a_group_that_was_written_after_all_is_not_written_twice() {
    let place = Place::new();
    let mut writer = place.open();
    let all = group(&mut writer, "a", &[60.0, 70.0]);
    writer.commit(&all).unwrap();
    // As after an I/O error in the COMMIT whose rows turn out to be on disk.
    writer.given.group -= 1;
    writer.is_doubtful = true;
    writer.commit(&all).unwrap();
    assert!(!writer.is_doubtful);
    assert_eq!(page(&writer.reader(), None).len(), 2);
    assert_eq!(writer.reader().outbox_pending(None), 2);
}

#[test]
fn a_group_that_failed_is_written_once_there_is_room() {
    let place = Place::new();
    let mut writer = place.open();
    let pages: i64 = writer
        .connection
        .pragma_query_value(None, "page_count", |row| row.get(0))
        .unwrap();
    writer
        .connection
        .pragma_update(None, "max_page_count", pages)
        .unwrap();
    let large = group(&mut writer, "a", &[60.0; 2000]);
    let failed = writer.commit(&large).unwrap_err();
    assert!(failed.to_string().contains("full"), "{failed}");
    assert!(writer.is_doubtful, "no ack before a checkpoint");
    // The connection that is opened anew has no such bound: there is room again.
    writer.commit(&large).unwrap();
    assert!(!writer.is_doubtful);
    assert_eq!(writer.reader().totals().unwrap().readings, 2000);
    let next = group(&mut writer, "a", &[1.0]);
    writer.commit(&next).unwrap();
    assert_eq!(page(&writer.reader(), None)[0], (2001, 1.0));
}

#[test]
fn readings_come_by_their_ids_however_these_lie() {
    let place = Place::new();
    let mut writer = place.open();
    for sensor in ["a", "b"] {
        let values: Vec<f64> = (0..500).map(f64::from).collect();
        let group = group(&mut writer, sensor, &values);
        writer.commit(&group).unwrap();
    }
    let gone = "DELETE FROM reading WHERE id = 700";
    writer.connection.execute(gone, []).unwrap();
    let reader = writer.reader();
    let check = |ids: &[i64]| {
        let ids: Vec<_> = ids.iter().copied().map(ReadingId).collect();
        let found = reader.readings_by_id(&ids).unwrap();
        let one_by_one = ids
            .iter()
            .flat_map(|id| reader.readings_by_id(&[*id]).unwrap());
        let one_by_one: Vec<_> = one_by_one
            .map(|one| (one.id, one.sensor_id, one.value))
            .collect();
        let found: Vec<_> = found
            .into_iter()
            .map(|one| (one.id, one.sensor_id, one.value))
            .collect();
        assert_eq!(found, one_by_one, "{ids:?}");
        found.len()
    };
    let every = |step| (1..=1000).step_by(step).collect::<Vec<i64>>();
    assert_eq!(check(&every(1)), 999);
    assert_eq!(check(&every(2)), 500);
    assert_eq!(check(&every(3)), 333);
    assert_eq!(check(&every(50)), 20);
    assert_eq!(check(&[499, 500, 501, 502]), 4);
    assert_eq!(check(&[699, 700, 701]), 2);
    assert_eq!(check(&[999, 1000, 1001]), 2);
    assert_eq!(check(&[3, 2, 1]), 3);
    assert_eq!(check(&[2, 2, 3]), 3);
    assert_eq!(check(&[]), 0);
    assert_eq!(check(&[1]), 1);
}

#[test]
fn nothing_counts_as_committed_before_the_checkpoint_that_follows_a_failure() {
    let place = Place::new();
    let mut writer = place.open();
    let first = group(&mut writer, "a", &[1.0]);
    writer.commit(&first).unwrap();
    // A reader that stays at an old state keeps the log from being copied in full.
    let old = connection::open_reader(writer.place.path()).unwrap();
    old.execute_batch("BEGIN; SELECT count(*) FROM reading;")
        .unwrap();
    let second = group(&mut writer, "a", &[2.0]);
    writer.is_doubtful = true;
    assert!(matches!(
        writer.commit(&second),
        Err(StoreError::CheckpointBusy)
    ));
    old.execute_batch("COMMIT").unwrap();
    writer.commit(&second).unwrap();
    assert_eq!(page(&writer.reader(), None).len(), 2);
}

#[test]
fn the_newest_reading_of_each_sensor_is_known_after_a_crash_and_after_a_clean_end() {
    let place = Place::new();
    let last = |value, id| LastReading {
        sensor_id: SensorId::new("a").unwrap(),
        reading_id: ReadingId(id),
        value,
    };
    let mut writer = place.open();
    let first = group(&mut writer, "a", &[1.0, 2.0]);
    writer.commit(&first).unwrap();
    assert_eq!(writer.reader().last_readings(), [last(2.0, 2)]);
    drop(writer);
    let mut writer = place.open();
    assert_eq!(writer.reader().last_readings(), [last(2.0, 2)]);
    let second = group(&mut writer, "a", &[3.0]);
    writer.commit(&second).unwrap();
    writer.end();
    let writer = place.open();
    assert_eq!(writer.reader().last_readings(), [last(3.0, 3)]);
    let (count, saved): (i64, i64) = writer
        .connection
        .query_row(
            "SELECT readings, (SELECT sensors_saved_upto FROM counter) FROM sensor",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!((count, saved), (3, 3));
}

#[test]
fn the_last_alert_of_each_sensor_is_known_after_a_crash_and_after_a_clean_end() {
    let place = Place::new();
    let mut writer = place.open();
    let mut messages = Vec::new();
    for sensor in ["a", "b", "a", "quiet"] {
        let mut alerting = group(&mut writer, sensor, &[80.0]);
        if sensor != "quiet" {
            raise(&mut writer, &mut alerting);
        }
        messages.extend(alerting.alerts().next().and_then(Alert::message));
        writer.commit(&alerting).unwrap();
    }
    let is_known = |writer: &Writer| {
        let found = writer.last_alerts(&"g".into(), 2).unwrap();
        let found: Vec<_> = found.iter().filter_map(Alert::message).collect();
        let newest = [&messages[2], &messages[1]];
        assert_eq!(format!("{found:?}"), format!("{newest:?}"));
        assert_eq!(writer.last_alerts(&"g".into(), 1).unwrap().len(), 1);
    };
    drop(writer);
    let writer = place.open();
    is_known(&writer);
    writer.end();
    let writer = place.open();
    is_known(&writer);
    let saved = "SELECT alerts_saved_upto FROM counter";
    let saved: i64 = writer
        .connection
        .query_row(saved, [], |row| row.get(0))
        .unwrap();
    assert_eq!(saved, 3);
}

#[test]
fn pages_neither_skip_nor_repeat() {
    let place = Place::new();
    let mut writer = place.open();
    for sensor in ["a", "b", "a", "b", "a"] {
        let some = group(&mut writer, sensor, &[1.0; 7]);
        writer.commit(&some).unwrap();
    }
    let reader = writer.reader();
    let mut query = ReadingQuery {
        sensor_id: Some(SensorId::new("a").unwrap()),
        ..ReadingQuery::newest(4)
    };
    let mut seen = Vec::new();
    loop {
        let page = reader.readings(&query).unwrap();
        seen.extend(page.readings.iter().map(|reading| reading.id.0));
        query.before = page.next;
        if page.next.is_none() {
            break;
        }
    }
    let mut expected: Vec<i64> = (29..=35).chain(15..=21).chain(1..=7).collect();
    expected.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(seen, expected);
    assert_eq!(page(&reader, Some("nobody")), []);
}

#[test]
fn a_page_ends_when_much_was_looked_through_and_the_next_one_goes_on() {
    let place = Place::new();
    let mut writer = place.open();
    let first = group(&mut writer, "rare", &[1.0]);
    writer.commit(&first).unwrap();
    // More than one block, of which each may have something.
    let mut many = Group::default();
    for number in 0..100_000 {
        let mut new = reading("a", 1.0);
        if number % 1000 == 0 {
            new.ts = Timestamp::MIN;
        }
        writer
            .add_reading(&mut many, new, None, UplinkSet::NONE)
            .unwrap();
    }
    writer.commit(&many).unwrap();
    let reader = writer.reader();
    let mut query = ReadingQuery {
        from: Some(Timestamp::from_millis(1)),
        to: Some(Timestamp::from_millis(1000)),
        max_looked_through: 33_000,
        ..ReadingQuery::newest(10)
    };
    let page = reader.readings(&query).unwrap();
    assert!(page.readings.is_empty());
    let next = page.next.unwrap();
    assert_eq!(next, ReadingId(65_536), "where it has come to");
    query.before = Some(next);
    let page = reader.readings(&query).unwrap();
    assert_eq!((page.readings.len(), page.next), (0, None));
}

#[test]
fn times_that_hold_nothing_are_not_looked_for() {
    let place = Place::new();
    let mut writer = place.open();
    let some = group(&mut writer, "a", &[1.0]);
    writer.commit(&some).unwrap();
    let at = |millis| Some(Timestamp::from_millis(millis));
    let page = |from, to| {
        let query = ReadingQuery {
            from,
            to,
            max_looked_through: 0,
            ..ReadingQuery::newest(10)
        };
        writer.reader().readings(&query).unwrap().next
    };
    assert_eq!(page(at(5), at(5)), None);
    assert_eq!(page(at(6), at(5)), None);
    assert!(page(at(5), at(6)).is_some(), "it may be further on");
}

#[test]
fn a_session_may_begin_before_the_end_of_the_former_was_written() {
    let place = Place::new();
    let mut writer = place.open();
    let open = |session| sessions::Change::Open {
        session,
        client_id: "c".into(),
        user: None,
        expiry: 60,
        will: None,
    };
    let mut group = Group::default();
    group.push_session(open(1));
    group.push_session(sessions::Change::OpenExchange {
        session: 1,
        packet_id: 9,
    });
    group.push_session(open(2));
    group.push_session(sessions::Change::End { session: 1 });
    writer.commit(&group).unwrap();
    let stored = writer.broker_state().unwrap().sessions;
    assert_eq!(stored.len(), 1);
    assert_eq!((stored[0].session, stored[0].exchanges.len()), (2, 0));
}
