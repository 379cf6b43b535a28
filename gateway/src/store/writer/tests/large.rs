//! What 32 bits do not hold: on boards that have no more it is as everywhere.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use super::story::Story;
use super::*;
use crate::store::care;

const FOUR_GIB: u64 = 4 << 30;
/// Where the header has the number of pages (SQLite, "Database File Format", 1.3).
const PAGES_AT: u64 = 28;

#[test]
fn ids_beyond_32_bits_are_indexed_and_packed_as_others() {
    let mut story = Story::new(4);
    story.store(1000);
    let jump = "UPDATE counter SET reading = (1 << 32) - 500, alert = (1 << 32) - 1, batch = 1 << 32, \
                commit_group = (1 << 32) - 1";
    story.restart(true, jump);
    story.store(100_000);
    story.check(10);
    let packed = "SELECT count(*) FROM reading_block WHERE packed = 2 AND 1 << 17 <= number";
    while story.rows_of(packed) < 2 {
        story.pack();
    }
    story.restart(false, "");
    story.store(1000);
    story.check(10);
    story.check_history();
    assert_eq!(story.writer().next_batch_id(), (1 << 32) + 1);
    let highest = story.rows_of("SELECT max(id) FROM readings");
    assert!(1 << 32 < highest, "{highest}");
}

#[test]
fn a_file_of_more_than_4_gib_is_written_and_read() {
    let place = Place::new();
    let path = place.folder.path().join("gateway.db");
    let mut writer = place.open();
    let few = group(&mut writer, "a", &[60.0, 10.0]);
    writer.commit(&few).unwrap();
    writer.end();
    // Pages that nobody uses, up to there: new ones come behind them.
    let pages = FOUR_GIB / u64::from(connection::PAGE_BYTES) + 1000;
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    let number = u32::try_from(pages).unwrap().to_be_bytes();
    file.write_all_at(&number, PAGES_AT).unwrap();
    file.set_len(pages * u64::from(connection::PAGE_BYTES))
        .unwrap();
    drop(file);

    let mut writer = place.open();
    let many = group(&mut writer, "b", &[80.0; 20_000]);
    writer.commit(&many).unwrap();
    let reader = writer.reader();
    assert!(FOUR_GIB < reader.bytes_on_disk());
    let room = reader.room(5 << 30).unwrap();
    assert!(0 < room.left() && room.left() < 1 << 30, "{room:?}");
    drop(reader);
    writer.end();

    let stored = path.metadata().unwrap().len();
    assert!(
        pages * u64::from(connection::PAGE_BYTES) < stored,
        "{stored}"
    );
    let stats = care::stats(&path, &mut |_, _, _| ()).unwrap();
    assert_eq!((stats.readings, stats.database_bytes), (20_002, stored));
    let reader = place.open().reader();
    assert_eq!(page(&reader, Some("b")).len(), page(&reader, None).len());
    assert_eq!(reader.outbox_pending(None), 20_001);
}
