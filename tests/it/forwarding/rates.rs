//! How much goes out: the rate, and the budget of a day.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::http::{get_json, metric, post_readings};
use crate::support::receiver::{Receiver, write_answer};
use crate::support::{Gateway, Site, eventually};

fn receiver() -> Receiver {
    Receiver::start(|_, stream| write_answer(stream, "200 OK", "", ""))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_kept_on_the_wire() {
    let receiver = receiver();
    let keys = "max_rate = \"20KiB/s\"\nbatch_max_readings = 100\n";
    let site = Site::with(&receiver.section(keys));
    let gateway = site.start();
    let started = Instant::now();
    post_readings(&gateway, "s1", 80.0, 0..500);
    let mut bytes = 0;
    for _ in 0..5 {
        let request = receiver.next();
        bytes += request.head.len() + 4 + request.body.len();
    }
    let took = started.elapsed();
    let rate = bytes as f64 / took.as_secs_f64();
    // A burst of a tenth of a second may go at once.
    let most = 20.0 * 1024.0 * (1.0 + 0.1 / took.as_secs_f64());
    assert!(rate <= most * 1.02, "{rate} of {most}");
    assert!(Duration::from_secs(1) < took, "{took:?}");
    eventually("what was sent is counted", || {
        let counted = metric(&gateway, "gateway_uplink_bytes_total");
        let difference = (counted - bytes as f64).abs();
        (difference / bytes as f64 <= 0.05).then_some(())
    })
    .await;
    let outbox = get_json(&gateway, "/api/v1/outbox");
    let today = outbox["uplinks"][0]["bytes_today"].as_f64().unwrap();
    assert_eq!(today, metric(&gateway, "gateway_uplink_bytes_total"));
    gateway.stop();
}

fn waits(gateway: &Gateway<'_>) -> Option<u64> {
    let outbox: Value = get_json(gateway, "/api/v1/outbox");
    let verdict = outbox["last_verdict"].as_str().unwrap_or_default();
    let is_spent = verdict.contains("daily budget is spent");
    is_spent.then(|| outbox["uplinks"][0]["bytes_today"].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_budget_of_the_day_is_spent_the_rest_waits() {
    let receiver = receiver();
    let keys = "daily_budget = \"4KiB\"\nbatch_max_readings = 10\n";
    let site = Site::with(&receiver.section(keys));
    let gateway = site.start();
    // All over 75 and so tagged: they may use all of it at any time of the day.
    post_readings(&gateway, "s1", 80.0, 0..100);
    let spent = eventually("the budget is spent", || waits(&gateway)).await;
    assert!((4096..6144).contains(&spent), "{spent}");
    let sent: i64 = 100 - site.sql::<i64>("SELECT count(*) FROM outbox");
    assert!((10..60).contains(&sent), "{sent}");
    // That is not forgotten by a restart.
    assert_eq!(gateway.stop().code(), Some(0));
    let gateway = site.start();
    let again = eventually("it is still spent", || waits(&gateway)).await;
    assert_eq!(again, spent);
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_requests_have_spent_is_not_forgotten_either() {
    let requests = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&requests);
    let receiver = Receiver::start(move |_, stream| {
        counted.fetch_add(1, Ordering::Relaxed);
        write_answer(stream, "503 Not Now", "", "");
    });
    let section = receiver.section("daily_budget = \"4KiB\"\nbatch_max_readings = 10\n");
    let site = Site::with(&section).allow(&["batch not delivered"]);
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..100);
    let spent = eventually("the budget is spent", || waits(&gateway)).await;
    assert_eq!(site.sql::<i64>("SELECT count(*) FROM outbox"), 100);
    assert_eq!(gateway.stop().code(), Some(0));
    let before = requests.load(Ordering::Relaxed);
    let gateway = site.start();
    let again = eventually("it is still spent", || waits(&gateway)).await;
    assert_eq!((again, requests.load(Ordering::Relaxed)), (spent, before));
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn tagged_readings_may_use_all_of_the_budget_at_any_time() {
    let receiver = receiver();
    // For most of the day more than the rest would be granted until then.
    let site = Site::with(&receiver.section("daily_budget = \"34KiB\"\nbatch_max_readings = 10\n"));
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..200);
    eventually("the outbox is empty", || {
        (site.sql::<i64>("SELECT count(*) FROM outbox") == 0).then_some(())
    })
    .await;
    let outbox = get_json(&gateway, "/api/v1/outbox");
    let spent = outbox["uplinks"][0]["bytes_today"].as_u64().unwrap();
    assert!((20 << 10..34 << 10).contains(&spent), "{spent}");
    gateway.stop();
}
