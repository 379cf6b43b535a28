use std::os::unix::fs::FileExt;

use super::*;
use crate::support::LIMIT;
use crate::support::frames::V5;
use crate::support::http::{Answer, try_post};
use crate::support::raw::Raw;

/// Overwrites the middle of a file that the gateway has open.
fn spoil(path: &Path) {
    let length = fs::metadata(path).unwrap().len() as usize;
    let garbage = vec![0xa5; length / 8];
    let file = fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(&garbage, (length / 2) as u64).unwrap();
}

/// Overwrites the first page of a table, where nothing was written since the gateway started.
fn spoil_root(site: &Site, table: &str) {
    let at = (site.sql::<i64>(&root_of(table)) as u64 - 1) * 1024;
    let path = site.path("gateway.db");
    let file = fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(&[0x77; 1024], at).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_that_a_reader_meets_is_healed_without_a_restart_of_the_process() {
    let (cloud, site) = site().await;
    // Who met it.
    let site = site.allow(&["an HTTP request failed", "forwarding pauses"]);
    let gateway = site.start();
    for _ in 0..6 {
        fill(&gateway);
    }
    gateway.stop();
    let gateway = site.start();
    let mut device = Raw::connect(&gateway, V5, "device");
    let before = site.path("gateway.db");
    spoil(&before);
    eventually("a reader has met it and the files are moved", || {
        send(&gateway, "GET /api/v1/readings?limit=10000", None, "").ok();
        (!moved(&site).is_empty()).then_some(())
    })
    .await;
    assert!(device.is_closed_within(LIMIT));
    // The same process, at the same address.
    serves(&gateway).await;
    healed(&site, &gateway).await;
    takes_readings(&site, &gateway);
    assert_eq!(moved(&site).len(), 1);
    let back: i64 = site.sql("SELECT count(*) FROM readings WHERE id <= 6000");
    assert!(0 < back && back < 6000, "some pages were whole: {back}");
    assert_eq!(site.sql::<String>("PRAGMA integrity_check"), "ok");
    cloud.set_outage(false);
    assert_eq!(gateway.stop().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_unclean_end_the_whole_is_read_and_damage_is_found_that_nobody_asked_for() {
    let (_cloud, site) = site().await;
    let gateway = site.start();
    fill(&gateway);
    fill(&gateway);
    gateway.stop();
    let gateway = site.start();
    takes_readings(&site, &gateway);
    gateway.kill();
    // Behind all that a start looks at.
    let path = site.path("gateway.db");
    let (root, pages): (i64, i64) = (site.sql(&root_of("alert")), site.sql("PRAGMA page_count"));
    assert!(0 < root && root <= pages);
    overwrite(&path, (root as usize - 1) * 1024, &[0; 8]);
    let gateway = site.start();
    eventually("the damage is found", || {
        (!moved(&site).is_empty()).then_some(())
    })
    .await;
    serves(&gateway).await;
    healed(&site, &gateway).await;
    let back: i64 = site.sql("SELECT count(*) FROM readings WHERE id <= 2000");
    assert_eq!(back, 2000);
    assert_eq!(gateway.stop().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_meets_damage_is_not_acknowledged_and_the_next_one_is() {
    let (_cloud, site) = site().await;
    let gateway = site.start();
    fill(&gateway);
    gateway.stop();
    let gateway = site.start();
    spoil_root(&site, "device_status");
    fill_memory(&gateway);
    assert!(moved(&site).is_empty(), "nobody has met it");
    let status = || try_post(&gateway, "/status?device_id=d1&status=online", "");
    let is_taken = |answer: &Answer| answer.status == 200;
    assert!(!status().is_ok_and(|answer| is_taken(&answer)));
    eventually("it is taken", || status().ok().filter(is_taken)).await;
    serves(&gateway).await;
    healed(&site, &gateway).await;
    assert_eq!(moved(&site).len(), 1);
    let back: i64 = site.sql("SELECT count(*) FROM readings WHERE sensor_id <> 'new'");
    assert!(1000 + MORE <= back, "{back}");
    assert_eq!(get_json(&gateway, "/status")["d1"], "online");
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_meets_damage_is_a_stop() {
    // Without an uplink, whose names of sensors are read.
    let site = Site::new().allow(&TOLD);
    let gateway = site.start();
    fill(&gateway);
    gateway.stop();
    let gateway = site.start();
    spoil_root(&site, "sensor");
    fill_memory(&gateway);
    assert!(moved(&site).is_empty(), "nobody has met it");
    // It writes down what is known of each sensor.
    assert_eq!(gateway.stop().code(), Some(0));
    assert_eq!(moved(&site).len(), 1);
    let gateway = site.start();
    healed(&site, &gateway).await;
    let back: i64 = site.sql("SELECT count(*) FROM readings");
    assert_eq!(back, 1000 + MORE);
    gateway.stop();
}
