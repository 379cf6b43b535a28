//! The outbox: who waits for which uplink, in batches and alone.

use super::*;
use crate::store::outbox::{Account, Batch, Change, Refusal, Settled};

fn ids(readings: &[i64]) -> Vec<ReadingId> {
    readings.iter().copied().map(ReadingId).collect()
}

pub(super) fn batch(writer: &mut Writer, uplink: UplinkKey, readings: &[i64]) -> Batch {
    Batch {
        id: writer.next_batch_id(),
        uplink,
        gateway_id: "edge-1".into(),
        format: "batch".into(),
        compression: "gzip".into(),
        tries: 0,
        readings: ids(readings),
    }
}

pub(super) fn change(writer: &mut Writer, changes: impl IntoIterator<Item = Change>) {
    let mut group = Group::default();
    for change in changes {
        group.push_outbox(change);
    }
    writer.commit(&group).unwrap();
}

pub(super) fn settled(batch: &Batch, refused: &[i64]) -> Change {
    Change::Settle(Settled {
        batch: batch.clone(),
        refused: ids(refused),
        refusal: Refusal {
            status: 422,
            answer: "no".into(),
            at: Timestamp::from_millis(7),
        },
    })
}

fn waiting_ids(reader: &Reader, uplink: UplinkKey) -> Vec<i64> {
    let found = waiting(reader, uplink);
    found.iter().map(|reading| reading.id.0).collect()
}

/// The view of the contract.
fn outbox(writer: &Writer) -> Vec<i64> {
    let view = "SELECT reading_id FROM outbox ORDER BY reading_id";
    let mut select = writer.connection.prepare(view).unwrap();
    let rows = select.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[test]
fn readings_leave_the_outbox_when_their_batch_is_settled() {
    let place = Place::new();
    let mut writer = place.open();
    let readings = group(&mut writer, "a", &[60.0, 10.0, 61.0, 62.0]);
    writer.commit(&readings).unwrap();
    let first = batch(&mut writer, CLOUD_KEY, &[1, 3]);
    change(&mut writer, [Change::Record(first.clone())]);
    drop(writer);
    let mut writer = place.open();
    let reader = writer.reader();
    let recorded = |after| reader.recorded_batches(CLOUD_KEY, after, 10).unwrap();
    assert_eq!(recorded(0), std::slice::from_ref(&first));
    assert_eq!(recorded(1), []);
    assert_eq!(waiting_ids(&reader, CLOUD_KEY), [4]);
    assert_eq!(outbox(&writer), [1, 3, 4]);
    assert_eq!(reader.outbox_pending(None), 3);
    assert_eq!(
        reader.outbox_oldest(CLOUD_KEY).unwrap(),
        Some(Timestamp::from_millis(1_764_000_000_003))
    );
    assert_eq!(writer.next_batch_id(), 2, "batch numbers only grow");
    for _ in 0..2 {
        change(&mut writer, [settled(&first, &[])]);
        assert_eq!(reader.outbox_pending(None), 1);
        assert_eq!(recorded(0), []);
        assert_eq!(outbox(&writer), [4]);
    }
    assert_eq!(reader.dead_letter_count().unwrap(), 0);
}

#[test]
fn a_batch_takes_what_is_in_it_and_nothing_between() {
    for (taken, left) in [
        (&[1, 2, 3, 4][..], &[][..]),
        (&[1, 3], &[2, 4]),
        (&[2, 3], &[1, 4]),
        (&[3], &[1, 2, 4]),
    ] {
        let place = Place::new();
        let mut writer = place.open();
        let readings = group(&mut writer, "a", &[60.0, 61.0, 62.0, 63.0]);
        writer.commit(&readings).unwrap();
        let batch = batch(&mut writer, CLOUD_KEY, taken);
        change(&mut writer, [Change::Record(batch)]);
        assert_eq!(waiting_ids(&writer.reader(), CLOUD_KEY), left);
        assert_eq!(outbox(&writer), [1, 2, 3, 4]);
    }
}

#[test]
fn parts_stand_in_the_place_of_a_batch() {
    let place = Place::new();
    let mut writer = place.open();
    let readings = group(&mut writer, "a", &[60.0, 61.0, 62.0]);
    writer.commit(&readings).unwrap();
    let whole = batch(&mut writer, CLOUD_KEY, &[1, 2, 3]);
    change(&mut writer, [Change::Record(whole.clone())]);
    let parts = [&[1][..], &[2, 3]].map(|readings| Batch {
        tries: 1,
        ..batch(&mut writer, CLOUD_KEY, readings)
    });
    change(&mut writer, [Change::Replace(whole.id, parts.to_vec())]);
    let reader = writer.reader();
    assert_eq!(reader.recorded_batches(CLOUD_KEY, 0, 10).unwrap(), parts);
    assert_eq!(reader.outbox_pending(None), 3);
    change(
        &mut writer,
        [settled(&parts[0], &[1]), settled(&parts[1], &[])],
    );
    assert_eq!(reader.outbox_pending(None), 0);
    let (letters, _) = reader.dead_letters(0, None, 10).unwrap();
    let [letter] = &*letters else {
        panic!("{letters:?}");
    };
    assert_eq!(
        (letter.id, &*letter.uplink, letter.status),
        (1, "cloud", 422)
    );
    assert_eq!((&*letter.answer, letter.tries), ("no", 2));
    assert_eq!(letter.at, Timestamp::from_millis(7));
    assert_eq!(letter.reading.as_ref().unwrap().value, 60.0);
}

#[test]
fn a_dead_letter_is_sent_again_or_dropped() {
    let place = Place::new();
    let mut writer = place.open();
    let readings = group(&mut writer, "a", &[60.0, 61.0, 62.0]);
    writer.commit(&readings).unwrap();
    let whole = batch(&mut writer, CLOUD_KEY, &[1, 2, 3]);
    change(&mut writer, [Change::Record(whole.clone())]);
    change(&mut writer, [settled(&whole, &[1, 3])]);
    let reader = writer.reader();
    let letters = |after, id| {
        let (found, _) = reader.dead_letters(after, id, 10).unwrap();
        found.iter().map(|letter| letter.id).collect::<Vec<_>>()
    };
    assert_eq!(letters(0, None), [1, 2]);
    assert_eq!(letters(1, None), [2]);
    assert_eq!(
        (letters(0, Some(1)), letters(0, Some(9))),
        (vec![1], vec![])
    );
    change(
        &mut writer,
        [Change::Retry(1), Change::Drop(2), Change::Retry(9)],
    );
    assert_eq!(letters(0, None), [0_i64; 0]);
    assert_eq!(waiting_ids(&reader, CLOUD_KEY), [1]);
    assert_eq!(reader.outbox_pending(None), 1);
    // Who still has the old list at hand means no other by it.
    let again = batch(&mut writer, CLOUD_KEY, &[1]);
    change(&mut writer, [Change::Record(again.clone())]);
    change(&mut writer, [settled(&again, &[1])]);
    assert_eq!(letters(0, None), [3]);
}

#[test]
fn each_uplink_has_its_part_of_the_outbox() {
    let place = Place::new();
    let path = place.folder.path().join("gateway.db");
    let open = |names: &[&str]| {
        let names: Vec<Arc<str>> = names.iter().map(|name| (*name).into()).collect();
        Writer::open_for(&path, &names).unwrap()
    };
    let mut writer = open(&["cloud", "history"]);
    let [cloud, history] = writer.reader().uplinks()[..] else {
        panic!("there are two");
    };
    assert_eq!(cloud, CLOUD_KEY);
    let mut readings = Group::default();
    for (number, forward) in [UplinkSet::one(0), UplinkSet::first(2), UplinkSet::one(1)]
        .into_iter()
        .enumerate()
    {
        let reading = reading("a", number as f64);
        writer
            .add_reading(&mut readings, reading, None, forward)
            .unwrap();
    }
    assert_eq!(readings.forwarded(), UplinkSet::first(2));
    writer.commit(&readings).unwrap();
    let reader = writer.reader();
    assert_eq!(waiting_ids(&reader, cloud), [1, 2]);
    assert_eq!(waiting_ids(&reader, history), [2, 3]);
    let of_history = batch(&mut writer, history, &[2, 3]);
    change(&mut writer, [Change::Record(of_history.clone())]);
    change(&mut writer, [settled(&of_history, &[])]);
    assert_eq!(reader.outbox_pending(Some(cloud)), 2);
    assert_eq!(reader.outbox_pending(Some(history)), 0);
    assert_eq!(outbox(&writer), [1, 2]);
    drop((writer, reader));
    // Another order, and one that is not configured any more.
    let writer = open(&["history"]);
    let reader = writer.reader();
    assert_eq!(reader.uplinks(), [history]);
    let forsaken = crate::store::Forsaken {
        key: cloud,
        name: "cloud".into(),
        pending: 2,
    };
    assert_eq!(reader.forsaken().unwrap(), [forsaken]);
    drop(writer);
    let reader = open(&["history", "cloud"]).reader();
    assert_eq!(reader.uplinks(), [history, cloud]);
    assert_eq!(reader.outbox_pending(Some(cloud)), 2);
    assert_eq!(reader.forsaken().unwrap(), []);
}

#[test]
fn what_waits_is_found_by_its_place() {
    let place = Place::new();
    let mut writer = place.open();
    let values: Vec<f64> = (0..10).map(|number| 70.0 + f64::from(number)).collect();
    let readings = group(&mut writer, "a", &values);
    writer.commit(&readings).unwrap();
    let reader = writer.reader();
    let found = |after, upto, tagged_only, limit| {
        let query = WaitingQuery {
            uplink: CLOUD_KEY,
            after: ReadingId(after),
            upto: ReadingId(upto),
            tagged_only,
            limit,
            max_bytes: usize::MAX,
        };
        let found = reader.waiting(&query).unwrap();
        found.iter().map(|reading| reading.id.0).collect::<Vec<_>>()
    };
    assert_eq!(found(2, 5, false, 9), [3, 4, 5]);
    assert_eq!(found(2, 5, false, 2), [3, 4]);
    // Those over 75 are tagged.
    assert_eq!(found(0, 99, true, 9), [7, 8, 9, 10]);
    let before = |count| reader.waiting_before_newest(CLOUD_KEY, count).unwrap();
    assert_eq!(before(3), Some(ReadingId(7)));
    assert_eq!(before(9), Some(ReadingId(1)));
    assert_eq!(before(10), None);
    let ends = reader.waiting_ends(CLOUD_KEY).unwrap();
    assert_eq!(ends, Some((ReadingId(1), ReadingId(10))));
    assert_eq!(reader.newest_reading().unwrap(), ReadingId(10));
}

#[test]
fn an_uplink_remembers_its_account() {
    let place = Place::new();
    let mut writer = place.open();
    let account = Account {
        refused: 3,
        day: 20_000,
        bytes: 1 << 40,
    };
    assert_eq!(
        writer.reader().account(CLOUD_KEY).unwrap(),
        Account::default()
    );
    change(&mut writer, [Change::Account(CLOUD_KEY, account)]);
    drop(writer);
    assert_eq!(place.open().reader().account(CLOUD_KEY).unwrap(), account);
}
