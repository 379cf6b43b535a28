//! Readiness and time: an uplink that delivers nothing for long is told of, one that has nothing to deliver yet is not.

use std::time::{Duration, Instant};

use simulator::cloud::{Cloud, Step};

use crate::support::accounts::assert_all_delivered_once;
use crate::support::http::{get, get_json, post_readings};
use crate::support::receiver::{Receiver, write_answer};
use crate::support::{Gateway, LIMIT, Site, cloud_section, eventually};

/// Looks at readiness until the oldest reading has waited for some times as long as [`STALLED_AFTER`].
async fn stays_ready(gateway: &Gateway<'_>) {
    eventually("the readings have waited for long", || {
        let outbox = get_json(gateway, "/api/v1/outbox");
        let answer = get(gateway, "/readyz");
        assert_eq!(answer.status, 200, "{answer:?}");
        (2.5 < outbox["oldest_seconds"].as_f64()?).then_some(())
    })
    .await;
}

const STALLED_AFTER: &str = "stalled_after = \"500ms\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn an_uplink_that_delivers_nothing_for_long_is_not_ready_until_it_does() {
    let cloud = Cloud::default().start().await.unwrap();
    let section = cloud_section(&cloud, STALLED_AFTER);
    let site = Site::with(&section).allow(&["batch not delivered"]);
    let gateway = site.start();
    for _ in 0..2 {
        cloud.script().set_default(Step::status(503));
        post_readings(&gateway, "s1", 80.0, 0..5);
        assert_eq!(get(&gateway, "/readyz").status, 200, "not at once");
        let words = eventually("readyz says that nothing is delivered", || {
            let answer = get(&gateway, "/readyz");
            (answer.status == 503).then_some(answer.body)
        })
        .await;
        assert!(words.contains("nothing was delivered for"), "{words}");
        assert!(words.contains("retry: 503"), "{words}");
        assert_eq!(get(&gateway, "/healthz").status, 200);
        cloud.script().clear();
        assert_all_delivered_once(&site, &cloud).await;
        eventually("readyz is 200", || {
            (get(&gateway, "/readyz").status == 200).then_some(())
        })
        .await;
    }
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_in_which_there_was_nothing_to_deliver_does_not_count() {
    let cloud = Cloud::default().start().await.unwrap();
    let site = Site::with(&cloud_section(&cloud, "stalled_after = \"2s\"\n"));
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..5);
    assert_all_delivered_once(&site, &cloud).await;
    let since = Instant::now();
    eventually("a quiet time has passed", || {
        (Duration::from_millis(2500) < since.elapsed()).then_some(())
    })
    .await;
    cloud.script().set_default(Step::hang());
    post_readings(&gateway, "s1", 80.0, 5..6);
    cloud
        .wait_for(|stats| stats.hanging == 1, LIMIT)
        .await
        .unwrap();
    let answer = get(&gateway, "/readyz");
    assert_eq!(answer.status, 200, "{answer:?}");
    gateway.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_is_spent_is_no_stall() {
    let receiver = Receiver::start(|_, stream| write_answer(stream, "200 OK", "", ""));
    let keys = format!("{STALLED_AFTER}daily_budget = \"4KiB\"\nbatch_max_readings = 10\n");
    let site = Site::with(&receiver.section(&keys));
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..100);
    stays_ready(&gateway).await;
    let outbox = get_json(&gateway, "/api/v1/outbox");
    let verdict = outbox["last_verdict"].as_str().unwrap();
    assert!(verdict.contains("daily budget is spent"), "{verdict}");
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_that_wait_for_more_are_no_stall() {
    let receiver = Receiver::start(|_, stream| write_answer(stream, "200 OK", "", ""));
    let keys = format!("{STALLED_AFTER}batch_max_readings = 10\n");
    let section = receiver.section(&keys);
    let section = section.replacen("batch_linger = \"0ms\"", "batch_linger = \"1h\"", 1);
    let site = Site::with(&section);
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..15);
    receiver.next();
    stays_ready(&gateway).await;
    eventually("the others are confirmed", || {
        (get_json(&gateway, "/api/v1/outbox")["pending"] == 5).then_some(())
    })
    .await;
    gateway.stop();
}
