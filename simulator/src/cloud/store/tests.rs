//! Tests of what the cloud keeps.

use super::*;
use crate::cloud::submission;

/// A batch of `store_id` `a` with these (id, value).
fn batch(batch_id: &str, readings: &[(i64, f64)]) -> String {
    let readings: Vec<String> = readings
        .iter()
        .map(|(id, value)| {
            format!(
                r#"{{"id":{id},"sensor_id":"s1","value":{value},"ts":1,"received_at":2,"tags":[],"attributes":{{"seq":{id}}}}}"#
            )
        })
        .collect();
    format!(
        r#"{{"gateway_id":"g","store_id":"a","batch_id":"{batch_id}","readings":[{}]}}"#,
        readings.join(",")
    )
}

fn deliver(store: &mut Store, key: &str, body: &str) -> Outcome {
    assert!(store.see_key(key, body.as_bytes()));
    store.store(key, &submission::parse(key, body.as_bytes()).unwrap())
}

#[test]
fn readings_seen_before_are_dropped_and_counted() {
    for remember_values in [false, true] {
        let mut store = Store::new(remember_values);
        let first = deliver(&mut store, "g:a:1", &batch("1", &[(1, 80.0), (2, 60.5)]));
        let second = deliver(&mut store, "g:a:2", &batch("2", &[(2, 60.5), (3, 51.0)]));
        assert_eq!((first.stored, first.duplicates), (2, 0));
        assert_eq!((second.stored, second.duplicates), (1, 1));
        assert_eq!(store.ids(), [1, 2, 3]);
        let stats = &store.stats;
        assert_eq!((stats.distinct, stats.duplicates), (3, 1));
        assert_eq!((stats.readings_received, stats.accepted_batches), (4, 2));
        assert_eq!((stats.key_conflicts, stats.id_conflicts), (0, 0));
    }
}

#[test]
fn delivered_readings_tell_sensor_value_and_number() {
    let mut store = Store::new(true);
    deliver(&mut store, "g:a:1", &batch("1", &[(5, 80.25)]));
    let delivered = store.delivered();
    assert_eq!(delivered.len(), 1);
    assert_eq!(
        (&*delivered[0].gateway_id, &*delivered[0].store_id),
        ("g", "a")
    );
    assert_eq!((&*delivered[0].sensor_id, delivered[0].id), ("s1", 5));
    assert_eq!((delivered[0].value, delivered[0].seq), (80.25, Some(5)));
}

#[test]
fn the_same_key_with_other_bytes_is_a_conflict() {
    let mut store = Store::new(false);
    assert!(store.see_key("g:a:1", b"one"));
    assert!(store.see_key("g:a:1", b"one"));
    assert!(!store.see_key("g:a:1", b"two"));
    assert!(store.see_key("g:a:1", b"one"));
    assert_eq!(store.stats.key_conflicts, 1);
}

#[test]
fn the_same_id_with_another_value_is_a_conflict() {
    let mut store = Store::new(true);
    deliver(&mut store, "g:a:1", &batch("1", &[(1, 80.0)]));
    deliver(&mut store, "g:a:2", &batch("2", &[(1, 81.0)]));
    assert_eq!((store.stats.id_conflicts, store.stats.duplicates), (1, 1));
    assert_eq!(store.delivered()[0].value, 80.0);
}

#[test]
fn single_readings_are_told_apart_by_their_keys() {
    for remember_values in [false, true] {
        let mut store = Store::new(remember_values);
        let body = r#"{"sensor_id":"s1","value":80.0}"#;
        deliver(&mut store, "g:a:1", body);
        deliver(&mut store, "g:a:1", body);
        deliver(&mut store, "g:a:2", body);
        assert_eq!((store.stats.distinct, store.stats.duplicates), (2, 1));
    }
}
