//! Readings by sensor and time through the index behind the table, against a list that is looked through.

use super::story::{START, Story, sensor};
use super::*;
use crate::store::SeriesQuery;

#[test]
fn pages_and_series_are_those_of_a_list_whatever_happens_to_the_store() {
    let seed = std::env::var("STORE_SEED")
        .map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("STORE_SEED={seed}");
    let mut story = Story::new(seed);
    while story.model.len() < 150_000 {
        let readings = story.rng.i64(1..20_000);
        story.store(readings);
        let is_clean = story.rng.bool();
        match story.rng.u32(..8) {
            0 => story.restart(is_clean, ""),
            1 => {
                // As after a restore.
                let gap = story.rng.u32(1..100_000);
                let jump = format!("UPDATE counter SET reading = reading + {gap}");
                story.restart(is_clean, &jump);
            }
            2..4 => story.pack(),
            _ => {}
        }
        if story.rng.u32(..5) == 0 {
            story.check(2);
        }
    }
    story.check(30);
    story.check_history();
    let packed = "SELECT count(*) FROM reading_block WHERE packed = 2";
    while story.rows_of(packed) < 3 {
        story.pack();
    }
    story.check(30);
    story.check_history();
    // A part of the past is taken away, up to somewhere in a block.
    let (oldest, ..) = story.model[story.rng.usize(..70_000)];
    story.sql(&format!(
        "DELETE FROM reading_block WHERE number <= {oldest} >> 15;
         DELETE FROM reading WHERE id < {oldest} OR id >> 15 = {oldest} >> 15;"
    ));
    let oldest = (oldest | 32_767) + 1;
    story.model.retain(|(id, ..)| oldest <= *id);
    story.check(20);
}

#[test]
fn what_an_older_version_left_is_looked_through_and_indexed_by_and_by() {
    let mut story = Story::new(1);
    story.store(100_000);
    assert_eq!(story.rows_of("SELECT count(*) FROM reading_block"), 3);
    story.restart(true, "DELETE FROM reading_block; DELETE FROM reading_pack");
    story.check(5);
    // One more with each that fills.
    for blocks in [0, 2, 4, 6] {
        let found = story.rows_of("SELECT count(*) FROM reading_block");
        assert_eq!(found, blocks);
        story.check(5);
        story.store(32_768);
    }
    assert_eq!(story.rows_of("SELECT count(*) FROM reading_block"), 7);
    story.check(5);
}

#[test]
fn an_index_that_makes_no_sense_does_no_harm() {
    let mut story = Story::new(2);
    story.store(100_000);
    story.sql("UPDATE reading_pack SET pieces = x'0005ff' WHERE id % 3 = 0");
    story.check(10);
    story.sql("DELETE FROM reading_block WHERE number = 1");
    story.check(10);
}

#[test]
fn ids_beyond_what_can_be_indexed_are_looked_through() {
    let mut story = Story::new(3);
    story.store(40_000);
    story.restart(true, "UPDATE counter SET reading = 1 << 60");
    story.store(70_000);
    story.check(5);
    assert_eq!(story.rows_of("SELECT count(*) FROM reading_block"), 1);
}

#[test]
fn of_a_block_only_what_may_be_asked_for_is_read() {
    let mut story = Story::new(4);
    let mut group = Group::default();
    for number in 0..100_000_i64 {
        let of = if number % 1000 == 0 { 9 } else { 0 };
        let clock = START + if number < 50_000 { 0 } else { 86_400_000 };
        story.add(&mut group, (of, clock + number, number as f64));
    }
    story.commit(&group);
    let reader = story.writer().reader();
    let rare = ReadingQuery {
        sensor_id: Some(sensor(9)),
        // The block that fills, and a few looks.
        max_looked_through: 3000,
        ..ReadingQuery::newest(1000)
    };
    let page = reader.readings(&rare).unwrap();
    assert_eq!((page.readings.len(), page.next), (100, None));
    let early = ReadingQuery {
        sensor_id: None,
        to: Some(Timestamp::from_millis(START + 10)),
        max_looked_through: 40_000,
        ..rare
    };
    let page = reader.readings(&early).unwrap();
    assert_eq!((page.readings.len(), page.next), (10, None));
    // A series is there without the rows that it is not made from.
    let row = "DELETE FROM reading WHERE id BETWEEN 2 AND 98304";
    story.sql(row);
    let series = SeriesQuery {
        sensor_id: sensor(0),
        from: Timestamp::from_millis(START),
        to: Timestamp::from_millis(START + 2 * 86_400_000),
        points: 2,
    };
    let found = reader.series(&series).unwrap();
    assert_eq!(found.len(), 2);
    // The piece that lies in both is read.
    assert!(found.iter().all(|bucket| 49_950 - 128 < bucket.count));
}

#[test]
fn the_mean_of_the_largest_values_lies_between_them() {
    let mut story = Story::new(5);
    let mut group = Group::default();
    for number in 0..70_000_i64 {
        let value = if number % 2 == 0 { f64::MAX } else { f64::MIN };
        story.add(&mut group, (0, START + number, value));
    }
    story.commit(&group);
    for points in [1, 3] {
        let series = SeriesQuery {
            sensor_id: sensor(0),
            from: Timestamp::from_millis(START),
            to: Timestamp::from_millis(START + 70_000),
            points,
        };
        let found = story.writer().reader().series(&series).unwrap();
        assert_eq!(found.iter().map(|bucket| bucket.count).sum::<u64>(), 70_000);
        for bucket in found {
            assert_eq!((bucket.min, bucket.max), (f64::MIN, f64::MAX));
            assert!(bucket.avg.abs() < f64::MAX * 1e-3, "{bucket:?}");
        }
    }
}
