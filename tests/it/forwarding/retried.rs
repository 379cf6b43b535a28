//! Outages, refusals and lost answers: sent again, under the same key with the same bytes.

use std::time::{Duration, Instant};

use simulator::cloud::{Cloud, Step};
use simulator::fleet::Fleet;

use crate::support::accounts::assert_all_delivered_once;
use crate::support::http::post_readings;
use crate::support::{LIMIT, Site, cloud_section};

const SENT_AGAIN: &str = "batch not delivered";

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_loses_nothing_and_repeats_nothing() {
    let cloud = Cloud::default().start().await.unwrap();
    let site = Site::delivering_to(&cloud).allow(&[SENT_AGAIN]);
    let gateway = site.start();
    let fleet = Fleet {
        broker: gateway.mqtt.to_string(),
        rate: 5000.0,
        ..Fleet::default()
    };
    let fleet = fleet.start().unwrap();
    for _ in 0..3 {
        let before = cloud.stats().distinct;
        let more = |stats: &simulator::cloud::Stats| before + 200 <= stats.distinct;
        cloud.wait_for(more, LIMIT).await.unwrap();
        cloud.set_outage(true);
        let acked = fleet.counts().acked;
        let goes_on = |counts: &simulator::fleet::Counts| acked + 500 <= counts.acked;
        fleet.wait_for(goes_on, LIMIT).await.unwrap();
        cloud.set_outage(false);
    }
    let counts = fleet.stop(LIMIT).await;
    assert_eq!(counts.published, counts.acked);
    assert_all_delivered_once(&site, &cloud).await;
    assert_eq!(cloud.stats().distinct, counts.acked_over_50);
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wait_that_the_cloud_asks_for_is_never_shorter() {
    let cloud = Cloud::default().start().await.unwrap();
    cloud.script().push(Step::status(503).retry_after("1"));
    cloud.script().push(Step::status(429).retry_after("1"));
    let site = Site::delivering_to(&cloud).allow(&[SENT_AGAIN]);
    let gateway = site.start();
    let started = Instant::now();
    post_readings(&gateway, "s1", 80.0, 1..2);
    assert_all_delivered_once(&site, &cloud).await;
    // Without the header it would have been tried again within 50 ms and then 100 ms.
    assert!(Duration::from_secs(2) <= started.elapsed());
    assert_eq!(cloud.stats().requests, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_repeated_and_known_by_its_ids() {
    let cloud = Cloud::default().start().await.unwrap();
    cloud.script().push(Step::store_then_fail());
    cloud.script().push(Step::close());
    let site = Site::delivering_to(&cloud).allow(&[SENT_AGAIN]);
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..20);
    assert_all_delivered_once(&site, &cloud).await;
    let stats = cloud.stats();
    assert_eq!((stats.distinct, stats.duplicates), (20, 20));
    assert_eq!((stats.requests, stats.dropped), (3, 1));
}

/// The cloud hangs over a batch, the gateway is killed, and comes back with other settings.
async fn kill_in_the_middle_of_a_batch(before: &str, after: &str) {
    let cloud = Cloud::default().start().await.unwrap();
    cloud.script().set_default(Step::hang());
    let mut site = Site::with(&cloud_section(&cloud, before)).allow(&[SENT_AGAIN]);
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..20);
    let hanging = cloud
        .wait_for(|stats| stats.hanging == 1, LIMIT)
        .await
        .unwrap();
    gateway.kill();
    cloud.script().clear();
    site.configure(&cloud_section(&cloud, after));
    let _gateway = site.start();
    assert_all_delivered_once(&site, &cloud).await;
    let stats = cloud.stats();
    let context = format!("{before:?}, then {after:?}: {stats:?}");
    assert_eq!(stats.accepted_batches, 1, "{context}");
    assert_eq!((stats.distinct, stats.duplicates), (20, 0), "{context}");
    assert_eq!(stats.bytes, stats.requests * hanging.bytes, "{context}");
    assert_eq!(
        stats.decoded_bytes,
        stats.requests * hanging.decoded_bytes,
        "{context}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_the_same_bytes_after_kill_nine() {
    kill_in_the_middle_of_a_batch("", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_the_same_bytes_after_the_settings_have_changed() {
    let gzip = "compression = \"gzip\"\n";
    let none = "compression = \"none\"\n";
    kill_in_the_middle_of_a_batch("", "batch_max_readings = 5\nbatch_max_bytes = \"1KiB\"\n").await;
    kill_in_the_middle_of_a_batch(gzip, none).await;
    kill_in_the_middle_of_a_batch(none, gzip).await;
    kill_in_the_middle_of_a_batch("format = \"batch\"\n", "format = \"single\"\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_the_answer_to_what_is_on_its_way() {
    let cloud = Cloud::default().start().await.unwrap();
    let slow = Step::status(200).delay(Duration::from_millis(300));
    cloud.script().set_default(slow);
    let site = Site::delivering_to(&cloud);
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..20);
    cloud
        .wait_for(|stats| stats.requests == 1, LIMIT)
        .await
        .unwrap();
    assert_eq!(gateway.stop().code(), Some(0));
    let _gateway = site.start();
    assert_all_delivered_once(&site, &cloud).await;
    let stats = cloud.stats();
    assert_eq!((stats.requests, stats.duplicates), (1, 0), "{stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_a_cloud_that_hangs() {
    let cloud = Cloud::default().start().await.unwrap();
    cloud.script().set_default(Step::hang());
    let site = Site::delivering_to(&cloud).allow(&[SENT_AGAIN]);
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..20);
    cloud
        .wait_for(|stats| stats.hanging == 1, LIMIT)
        .await
        .unwrap();
    let started = Instant::now();
    assert_eq!(gateway.stop().code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(8));
}
