//! After an outage: what is fresh does not wait behind the backlog.

use std::num::NonZeroU32;
use std::time::Duration;

use simulator::cloud::{Cloud, Step};

use crate::support::accounts::assert_all_delivered_once;
use crate::support::http::post_readings;
use crate::support::receiver::{Receiver, write_answer};
use crate::support::{LIMIT, Site, cloud_section, eventually};

const BATCH: usize = 50;

async fn fresh_readings_after_an_outage(share: &str) -> usize {
    let cloud = Cloud::default().start().await.unwrap();
    let keys = format!("batch_max_readings = {BATCH}\nconcurrency = 1\nbacklog_share = {share}\n");
    let site = Site::with(&cloud_section(&cloud, &keys)).allow(&["batch not delivered"]);
    let gateway = site.start();
    cloud.set_outage(true);
    post_readings(&gateway, "old", 80.0, 0..40 * BATCH as u64);
    // One batch after the other, slowly enough to look in between.
    let slow = Step::status(200).delay(Duration::from_millis(20));
    cloud.script().set_default(slow);
    cloud.set_outage(false);
    cloud
        .wait_for(|stats| 2 <= stats.accepted_batches, LIMIT)
        .await
        .unwrap();
    post_readings(&gateway, "fresh", 80.0, 0..BATCH as u64);
    let before = cloud.stats().accepted_batches;
    let is_there = |cloud: &simulator::cloud::RunningCloud| {
        let delivered = cloud.delivered();
        delivered
            .iter()
            .any(|reading| &*reading.sensor_id == "fresh")
    };
    let mut seen = before;
    while !is_there(&cloud) {
        let stats = cloud
            .wait_for(|stats| seen < stats.accepted_batches, LIMIT)
            .await
            .unwrap();
        seen = stats.accepted_batches;
    }
    cloud.script().clear();
    assert_all_delivered_once(&site, &cloud).await;
    let stats = cloud.stats();
    assert_eq!(stats.duplicates, 0);
    gateway.stop();
    usize::try_from(seen - before).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn fresh_readings_go_out_within_two_batches_of_the_backlog() {
    let batches = fresh_readings_after_an_outage("0.5").await;
    // The one under way, one that was claimed already, and its own.
    assert!(batches <= 4, "{batches}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_share_of_one_the_backlog_goes_first() {
    let batches = fresh_readings_after_an_outage("1").await;
    assert!(30 <= batches, "{batches}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_both_wait_the_backlog_gets_its_share() {
    const BATCHES: u64 = 25;
    let cloud = Cloud::default().start().await.unwrap();
    let keys = format!("batch_max_readings = {BATCH}\nconcurrency = 1\nbacklog_share = 0.8\n");
    // What is fresh is due because it fills a batch.
    let section = cloud_section(&cloud, &keys);
    let section = section.replace("batch_linger = \"0ms\"", "batch_linger = \"1m\"");
    let site = Site::with(&section).allow(&["batch not delivered"]);
    let gateway = site.start();
    cloud.set_outage(true);
    post_readings(&gateway, "old", 80.0, 0..60 * BATCH as u64);
    // Slowly enough to post between.
    let slow = Step::status(200).delay(Duration::from_millis(20));
    cloud.script().set_default(slow);
    cloud.set_outage(false);
    let accepted = async |count| {
        let wait = cloud.wait_for(move |stats| count <= stats.accepted_batches, LIMIT);
        wait.await.unwrap().accepted_batches
    };
    let fresh = || {
        let delivered = cloud.delivered();
        let fresh = delivered.iter().filter(|one| &*one.sensor_id == "fresh");
        fresh.count() / BATCH
    };
    let begun = accepted(2).await;
    // Two batches wait at any time, so that one is always due, and no more, so that they stay fresh.
    let mut posted = 0;
    let mut seen = begun;
    while seen < begun + BATCHES {
        while posted < fresh() + 2 {
            let first = (posted * BATCH) as u64;
            post_readings(&gateway, "fresh", 80.0, first..first + BATCH as u64);
            posted += 1;
        }
        seen = accepted(seen + 1).await;
    }
    let fresh = fresh();
    assert!((3..=8).contains(&fresh), "{fresh} of {BATCHES}");
    cloud.script().clear();
    assert_all_delivered_once(&site, &cloud).await;
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_over_one_batch_does_not_hold_the_others_up() {
    let cloud = Cloud::default().start().await.unwrap();
    let keys = "batch_max_readings = 10\n";
    let site = Site::with(&cloud_section(&cloud, keys)).allow(&["batch not delivered"]);
    let gateway = site.start();
    cloud
        .script()
        .push(Step::hang().times(NonZeroU32::new(1).unwrap()));
    post_readings(&gateway, "s1", 80.0, 0..10);
    cloud
        .wait_for(|stats| stats.hanging == 1, LIMIT)
        .await
        .unwrap();
    post_readings(&gateway, "s1", 80.0, 10..200);
    let stats = cloud
        .wait_for(|stats| stats.distinct == 190, LIMIT)
        .await
        .unwrap();
    assert_eq!(stats.hanging, 1, "it still hangs");
    cloud.script().clear();
    assert_all_delivered_once(&site, &cloud).await;
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_that_always_fails_does_not_hold_up_what_comes_later() {
    let receiver = Receiver::judging(|_, request, stream| {
        let is_bad = request.body.windows(3).any(|part| part == b"bad");
        let status = if is_bad { "500 Oh" } else { "200 OK" };
        write_answer(stream, status, "", "");
    });
    let site = Site::with(&receiver.section("")).allow(&["batch not delivered"]);
    let gateway = site.start();
    post_readings(&gateway, "bad", 80.0, 0..1);
    receiver.next();
    post_readings(&gateway, "good", 80.0, 1..2);
    eventually("the good one is delivered", || {
        let left =
            "SELECT count(*) FROM outbox JOIN readings ON id = reading_id WHERE sensor_id = 'good'";
        (site.sql::<i64>(left) == 0).then_some(())
    })
    .await;
    assert_eq!(site.sql::<i64>("SELECT count(*) FROM outbox"), 1);
    gateway.stop();
}
