//! No room on the disk: what gives room back goes ahead of what needs it.

use super::*;
use crate::store::outbox::{Batch, Change, Refusal, Settled};

#[test]
fn what_goes_ahead_leaves_the_group_that_waits_its_ids() {
    let place = Place::new();
    let mut writer = place.open();
    let first = group(&mut writer, "a", &[60.0, 70.0]);
    writer.commit(&first).unwrap();
    let pages: i64 = writer
        .connection
        .pragma_query_value(None, "page_count", |row| row.get(0))
        .unwrap();
    writer
        .connection
        .pragma_update(None, "max_page_count", pages)
        .unwrap();
    let waits = group(&mut writer, "b", &[60.0; 2000]);
    let failed = writer.commit(&waits).unwrap_err();
    assert!(writer.is_out_of_room(&failed));
    assert!(!writer.use_reserve().unwrap(), "it is not there");
    let batch = Batch {
        id: writer.next_batch_id(),
        uplink: CLOUD_KEY,
        gateway_id: "edge-1".into(),
        format: "batch".into(),
        compression: "gzip".into(),
        tries: 0,
        readings: vec![ReadingId(1), ReadingId(2)],
    };
    let mut ahead = Group::default();
    ahead.push_outbox(Change::Record(batch.clone()));
    ahead.push_outbox(Change::Settle(Settled {
        batch,
        refused: Vec::new(),
        refusal: Refusal::default(),
    }));
    writer.commit_ahead(&ahead).unwrap();
    assert_eq!(writer.reader().outbox_pending(None), 0);
    assert_eq!(page(&writer.reader(), None).len(), 2);
    let (_, stored) = read_counters(&writer.connection).unwrap();
    assert_eq!((stored.reading, stored.batch), (2, 1));

    assert!(writer.restore_reserve());
    writer.commit(&waits).unwrap();
    drop(writer);
    let mut writer = place.open();
    assert_eq!(writer.reader().outbox_pending(None), 2000);
    assert_eq!(writer.next_reading_id(), ReadingId(2003));
    assert_eq!(writer.next_batch_id(), 2);
}

#[test]
fn the_reserve_is_within_the_budget_and_as_large_as_the_log() {
    let place = Place::new();
    let mut writer = place.open();
    let before = writer.reader().bytes_on_disk();
    writer.set_budget(16 << 20).unwrap();
    assert_eq!(writer.reader().bytes_on_disk(), before + (1 << 20));
    let room = writer.room(16 << 20).unwrap();
    assert!(room.most <= (16 << 20) - 2 * (1 << 20), "log and reserve");
    writer.use_reserve().unwrap();
    assert_eq!(writer.reader().bytes_on_disk(), before);
    assert!(writer.restore_reserve());
    let there = place.folder.path().join("gateway.db-reserve");
    assert_eq!(there.metadata().unwrap().len(), 1 << 20);
}
