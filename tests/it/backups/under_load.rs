//! A backup beside clients that publish as fast as they can and a cloud that takes what it gets.

use std::collections::HashSet;

use simulator::cloud::Cloud;
use simulator::fleet::{Fleet, QoS};

use super::assert_is_whole;
use crate::support::accounts::{assert_all_delivered_once, missing, stored_in};
use crate::support::http::post_readings;
use crate::support::{LIMIT, Site, cloud_section, eventually};

const SEED: u64 = 7;

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_has_every_acked_reading_and_no_receiver_is_led_astray_when_it_is_put_back() {
    let cloud = Cloud::default().start().await.unwrap();
    let site = Site::with(&cloud_section(&cloud, "batch_max_readings = 500\n"));
    let gateway = site.start();
    // Some blocks of the index that are full.
    for part in 0..35_u64 {
        post_readings(
            &gateway,
            &format!("p{}", part % 7),
            (part * 13 % 100) as f64,
            part * 2000..(part + 1) * 2000,
        );
    }
    let fleet = Fleet {
        broker: gateway.mqtt.to_string(),
        count: 8,
        sensors_per_connection: 2,
        // As fast as it can, a debug build fills the store faster than another copies it.
        rate: 3000.0,
        window: 50,
        qos: QoS::AtLeastOnce,
        seed: SEED,
        ..Fleet::default()
    };
    let fleet = fleet.start().unwrap();
    for round in 0..3_u64 {
        let until = fleet.counts().acked + 500;
        fleet
            .wait_for(|counts| until <= counts.acked, LIMIT)
            .await
            .unwrap();
        let acked = fleet.acked_of();
        let name = format!("backup-{round}.db");
        site.succeed(&["backup", &site.name(&name)]);
        let missing = missing(&stored_in(&site, &name), &acked, SEED);
        assert!(
            missing.is_empty(),
            "acknowledged before, and not in the backup: {missing:?}"
        );
        assert_is_whole(&site, &name);
        // What does not wait in it was delivered.
        let waiting: Vec<i64> = site.sql_all_in(&name, "SELECT reading_id FROM outbox");
        let waiting: HashSet<i64> = waiting.into_iter().collect();
        let settled: Vec<i64> = site.sql_all_in(&name, "SELECT id FROM readings WHERE value > 50");
        let delivered: HashSet<i64> = cloud.delivered_ids().into_iter().collect();
        let lost = settled
            .iter()
            .filter(|id| !waiting.contains(id) && !delivered.contains(id));
        assert_eq!(lost.count(), 0, "neither waiting nor delivered");
    }
    fleet.stop_with_acked(LIMIT).await;
    assert_all_delivered_once(&site, &cloud).await;
    let newest: i64 = site.sql("SELECT max(id) FROM readings");
    let store_id: String = site.sql("SELECT store_id FROM counter");
    assert_eq!(gateway.stop().code(), Some(0));

    site.succeed(&["restore", &site.name("backup-0.db")]);
    let gateway = site.start();
    assert_eq!(site.sql::<String>("SELECT store_id FROM counter"), store_id);
    post_readings(&gateway, "after", 80.0, 0..100);
    let first_new: i64 = site.sql("SELECT min(id) FROM readings WHERE sensor_id = 'after'");
    assert!(
        newest < first_new,
        "ids go on behind all that were ever given"
    );
    let wanted: Vec<i64> = site.sql_all("SELECT id FROM readings WHERE value > 50");
    eventually("the outbox is empty", || {
        (site.sql::<i64>("SELECT count(*) FROM outbox") == 0).then_some(())
    })
    .await;
    let delivered: HashSet<i64> = cloud.delivered_ids().into_iter().collect();
    assert!(wanted.iter().all(|id| delivered.contains(id)));
    let stats = cloud.stats();
    assert_eq!((stats.key_conflicts, stats.id_conflicts), (0, 0));
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn blocks_that_are_packed_meanwhile_are_in_the_backup_once() {
    const STORED: i64 = 100_000;
    let site = Site::new();
    let gateway = site.start();
    for part in 0..STORED as u64 / 2000 {
        let value = f64::from(part as u32 % 80);
        post_readings(
            &gateway,
            &format!("p{}", part % 7),
            value,
            part * 2000..(part + 1) * 2000,
        );
    }
    assert_eq!(gateway.stop().code(), Some(0));
    // As if they had come two days ago: the next start begins to pack them.
    site.change("UPDATE reading SET delay = -172800000");
    let gateway = site.start();
    let mut made = 0;
    loop {
        let name = format!("backup-{made}.db");
        site.succeed(&["backup", &site.name(&name)]);
        made += 1;
        let packed =
            "SELECT group_concat(packed) FROM (SELECT packed FROM reading_block ORDER BY number)";
        let state: String = site.sql_in(&name, packed);
        if state == "2,2,2" {
            break;
        }
        post_readings(&gateway, "p1", 1.0, 0..1);
    }
    assert_eq!(gateway.stop().code(), Some(0));
    for number in 0..made {
        let other = Site::new();
        let file = site.name(&format!("backup-{number}.db"));
        other.succeed(&["restore", &file]);
        let readings = STORED + number;
        let checked = other.succeed(&["store", "check"]);
        assert!(checked.contains("sound: "), "{number}: {checked}");
        let exported = other.succeed(&["export", "--format", "ndjson"]);
        let ids = exported.lines().map(|line| {
            let reading: serde_json::Value = serde_json::from_str(line).unwrap();
            reading["id"].as_i64().unwrap()
        });
        assert!(ids.eq(1..=readings), "{number}");
    }
}
