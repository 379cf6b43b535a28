//! What the receiver will not have: found with few requests, kept as dead letters, and never a whole backlog of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use serde_json::{Value, json};
use simulator::cloud::{Cloud, Stats, Step};

use crate::support::accounts::assert_all_delivered_once;
use crate::support::http::{get, metric, post_readings};
use crate::support::receiver::{Receiver, write_answer};
use crate::support::{Gateway, LIMIT, Site, cloud_section, eventually};

const REFUSED: &str = "readings refused";
const HELD: &str = "batch held";

fn letters(site: &Site) -> Vec<(i64, i64, String)> {
    let text =
        "SELECT reading_id || ' ' || status || ' ' || answer FROM dead_letters ORDER BY reading_id";
    let all: Vec<String> = site.sql_all(text);
    let parts = |line: &String| {
        let mut parts = line.splitn(3, ' ');
        let mut next = || parts.next().unwrap().to_owned();
        (next().parse().unwrap(), next().parse().unwrap(), next())
    };
    all.iter().map(parts).collect()
}

async fn outbox_is_empty(site: &Site) {
    eventually("the outbox is empty", || {
        (site.sql::<i64>("SELECT count(*) FROM outbox") == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisonous_reading_becomes_a_dead_letter_and_the_rest_is_delivered() {
    let cloud = Cloud::default().start().await.unwrap();
    cloud.script().set_poison_sensors(["bad"]);
    cloud.script().push(Step::status(503));
    let site = Site::delivering_to(&cloud).allow(&[REFUSED, "batch not delivered"]);
    let gateway = site.start();
    post_readings(&gateway, "good", 80.0, 0..500);
    post_readings(&gateway, "bad", 80.0, 0..1);
    post_readings(&gateway, "good", 80.0, 500..1000);
    outbox_is_empty(&site).await;
    let stats = cloud.wait_for(|stats| stats.distinct == 1000, LIMIT).await;
    let stats = stats.unwrap();
    assert_eq!((stats.duplicates, stats.key_conflicts), (0, 0));
    // The whole, and two for each time that it is halved; those of a restart and of what came first aside.
    assert!(stats.by_status[&422] <= 11, "{stats:?}");
    let letters = letters(&site);
    let [(reading, 422, answer)] = &*letters else {
        panic!("{letters:?}");
    };
    let bad: i64 = site.sql("SELECT id FROM readings WHERE sensor_id = 'bad'");
    assert_eq!(*reading, bad);
    assert!(answer.contains("refused by the script"), "{answer}");
    assert_eq!(metric(&gateway, "gateway_dead_letters"), 1.0);
    let delivered = metric(&gateway, "gateway_uplink_readings_total");
    assert_eq!(delivered, 1000.0);
    assert_eq!(get(&gateway, "/readyz").status, 200);
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_refuses_everything_gets_no_backlog_of_dead_letters() {
    let cloud = Cloud::default().start().await.unwrap();
    cloud
        .script()
        .set_default(Step::status(422).body("{\"error\":\"schema\"}"));
    let site = Site::delivering_to(&cloud).allow(&[REFUSED, HELD]);
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..1000);
    let words = eventually("readyz says why", || {
        let answer = get(&gateway, "/readyz");
        (answer.status == 503).then_some(answer.body)
    })
    .await;
    assert!(words.contains("20 readings in a row"), "{words}");
    eventually("20 are given up", || {
        (letters(&site).len() == 20).then_some(())
    })
    .await;
    // It goes on being tried, and nothing more is given up, also after a restart.
    gateway.kill();
    let gateway = site.start();
    let before = cloud.stats().requests;
    let more = |stats: &Stats| before + 5 <= stats.requests;
    cloud.wait_for(more, LIMIT).await.unwrap();
    assert_eq!(letters(&site).len(), 20);
    // The schema is put right: all that was not given up is delivered. An answer of before can still be on its way behind the first
    // that is good; what it refuses stands alone then.
    cloud.script().clear();
    outbox_is_empty(&site).await;
    let given_up = letters(&site).len() as u64;
    assert!((20..25).contains(&given_up), "{given_up}");
    let all = |stats: &Stats| stats.distinct + given_up == 1000;
    let stats = cloud.wait_for(all, LIMIT).await;
    assert_eq!(stats.unwrap().duplicates, 0);
    eventually("readyz is 200", || {
        (get(&gateway, "/readyz").status == 200).then_some(())
    })
    .await;
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_too_large_is_halved() {
    let cloud = Cloud::default().start().await.unwrap();
    cloud.script().set_max_readings(Some(100));
    let site = Site::delivering_to(&cloud);
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..1000);
    assert_all_delivered_once(&site, &cloud).await;
    let stats = cloud.stats();
    assert_eq!((stats.distinct, stats.duplicates), (1000, 0));
    // What comes later is cut to fit at once.
    let before = stats.by_status[&413];
    post_readings(&gateway, "s1", 80.0, 1000..2000);
    assert_all_delivered_once(&site, &cloud).await;
    let after = cloud.stats().by_status[&413];
    assert!(after - before <= before, "{before}, then {after}");
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_reading_that_is_too_large_becomes_a_dead_letter() {
    let cloud = Cloud::default().start().await.unwrap();
    cloud.script().set_default(Step::status(413));
    let site = Site::delivering_to(&cloud).allow(&[REFUSED]);
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..3);
    outbox_is_empty(&site).await;
    let statuses: Vec<i64> = letters(&site).into_iter().map(|letter| letter.1).collect();
    assert_eq!(statuses, [413; 3]);
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_that_an_answer_names_as_rejected_become_dead_letters() {
    let cloud = Cloud::default().start().await.unwrap();
    let rejects = Step::status(207).body("{\"rejected\":[2,4]}");
    cloud.script().push(rejects);
    let site = Site::with(
        &cloud_section(&cloud, "batch_linger = \"1h\"\nbatch_max_readings = 5\n").replacen(
            "batch_linger = \"0ms\"\n",
            "",
            1,
        ),
    )
    .allow(&[REFUSED]);
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..5);
    outbox_is_empty(&site).await;
    let ids: Vec<i64> = letters(&site).into_iter().map(|letter| letter.0).collect();
    assert_eq!(ids, [2, 4]);
    eventually("the delivered ones are counted", || {
        let delivered = metric(&gateway, "gateway_uplink_readings_total");
        (delivered == 3.0).then_some(())
    })
    .await;
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_names_all_as_rejected_is_one_that_refuses_everything() {
    let is_mended = Arc::new(AtomicBool::new(false));
    let mended = Arc::clone(&is_mended);
    let receiver = Receiver::judging(move |_, request, stream| {
        let batch: Value = serde_json::from_slice(&request.body).unwrap();
        let readings = batch["readings"].as_array().unwrap();
        let ids: Vec<&Value> = readings.iter().map(|reading| &reading["id"]).collect();
        let twice = [ids.clone(), ids].concat();
        let rejected = json!({ "rejected": twice });
        let words = if mended.load(Relaxed) {
            String::new()
        } else {
            rejected.to_string()
        };
        write_answer(stream, "207 Multi-Status", "", &words);
    });
    let site = Site::with(&receiver.section("")).allow(&[REFUSED, HELD]);
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..60);
    assert_twenty_are_given_up(&site, &gateway).await;
    is_mended.store(true, Relaxed);
    outbox_is_empty(&site).await;
    assert_eq!(letters(&site).len(), 20);
    gateway.stop();
}

async fn assert_twenty_are_given_up(site: &Site, gateway: &Gateway<'_>) {
    eventually("readyz says why", || {
        let words = get(gateway, "/readyz").body;
        words.contains("20 readings in a row").then_some(())
    })
    .await;
    eventually("20 are given up", || {
        (letters(site).len() == 20).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_by_one_no_more_than_twenty_are_given_up_in_a_row_either() {
    let cloud = Cloud::default().start().await.unwrap();
    cloud.script().set_default(Step::status(422));
    let site = Site::with(&cloud_section(&cloud, "format = \"single\"\n")).allow(&[REFUSED, HELD]);
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..60);
    assert_twenty_are_given_up(&site, &gateway).await;
    cloud.script().clear();
    outbox_is_empty(&site).await;
    assert_eq!(letters(&site).len(), 20);
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_readings_of_another_batch_hold_the_batch() {
    let cloud = Cloud::default().start().await.unwrap();
    // As of a receiver that counts them from 0.
    let places = Step::status(207).body("{\"rejected\":[0,4]}");
    cloud.script().set_default(places);
    let site = Site::delivering_to(&cloud).allow(&[HELD]);
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..5);
    eventually("readyz says why", || {
        let words = get(&gateway, "/readyz").body;
        words
            .contains("0, which it names as rejected")
            .then_some(())
    })
    .await;
    cloud.script().clear();
    assert_all_delivered_once(&site, &cloud).await;
    assert_eq!(letters(&site), []);
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_readings_that_cannot_be_told_hold_the_batch() {
    let cloud = Cloud::default().start().await.unwrap();
    let unclear = Step::status(207).body("{\"rejected\":[{\"line\":3}]}");
    cloud.script().set_default(unclear);
    let site = Site::delivering_to(&cloud).allow(&[HELD]);
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..5);
    eventually("readyz says why", || {
        let words = get(&gateway, "/readyz").body;
        words.contains("cannot be read").then_some(())
    })
    .await;
    cloud.script().clear();
    assert_all_delivered_once(&site, &cloud).await;
    assert_eq!(letters(&site), []);
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_of_a_format_that_was_wrong_go_in_the_right_one() {
    let is_away = Arc::new(AtomicBool::new(true));
    let away = Arc::clone(&is_away);
    let receiver = Receiver::judging(move |_, request, stream| {
        let status = match request.header("content-type") {
            _ if away.load(Relaxed) => "503 Service Unavailable",
            "application/x-ndjson" => "200 OK",
            _ => "400 Bad Request",
        };
        write_answer(stream, status, "", "");
    });
    let keys = "batch_max_readings = 40\n";
    let mut site = Site::with(&receiver.section(keys)).allow(&["batch not delivered"]);
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..100);
    receiver.next();
    gateway.stop();
    site.configure(&receiver.section(&format!("{keys}format = \"ndjson\"\n")));
    is_away.store(false, Relaxed);
    let gateway = site.start();
    outbox_is_empty(&site).await;
    assert_eq!(letters(&site), []);
    gateway.stop();
}
