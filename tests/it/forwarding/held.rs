//! What people have to put right: the readings wait, readiness says why, and it goes on by itself.

use simulator::cloud::{Cloud, Step};

use crate::support::accounts::assert_all_delivered_once;
use crate::support::http::{Answer, get, get_json, post_readings};
use crate::support::{Gateway, LIMIT, Site, cloud_section, eventually};

const HELD: &str = "batch held";

/// Waits until readiness names the uplink, and gives its words.
async fn not_ready(gateway: &Gateway<'_>) -> String {
    eventually("readyz names the uplink", || {
        let Answer { status, body, .. } = get(gateway, "/readyz");
        (status == 503 && body.contains("uplink")).then_some(body)
    })
    .await
}

async fn ready(gateway: &Gateway<'_>) {
    eventually("readyz is 200", || {
        (get(gateway, "/readyz").status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_url_holds_the_readings_until_it_is_right() {
    let cloud = Cloud::default().start().await.unwrap();
    let site = Site::delivering_to(&cloud).allow(&[HELD]);
    let gateway = site.start();
    for status in [404, 301, 403, 405, 410, 415] {
        cloud.script().set_default(Step::status(status));
        post_readings(&gateway, "s1", 80.0, 0..5);
        let words = not_ready(&gateway).await;
        assert!(words.contains(&status.to_string()), "{words}");
        assert_eq!(
            get(&gateway, "/healthz").status,
            200,
            "the cloud is no matter of liveness"
        );
        cloud.script().clear();
        assert_all_delivered_once(&site, &cloud).await;
        ready(&gateway).await;
    }
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_holds_the_readings_and_is_told_to_nobody() {
    const RIGHT: &str = "right-9f8e7d6c5b4a";
    const WRONG: &str = "wrong-1a2b3c4d5e6f";
    let cloud = Cloud {
        expect_token: Some(RIGHT.to_owned()),
        ..Cloud::default()
    };
    let cloud = cloud.start().await.unwrap();
    let keys = "bearer_token_file = \"token\"\n";
    let site = Site::with(&cloud_section(&cloud, keys))
        .environment("RUST_LOG", "trace")
        .allow(&[HELD]);
    std::fs::write(site.path("token"), format!("{WRONG}\n")).unwrap();
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..5);
    let mut said = not_ready(&gateway).await;
    assert!(said.contains("401"), "{said}");
    std::fs::write(site.path("token"), format!("{RIGHT}\n")).unwrap();
    assert_all_delivered_once(&site, &cloud).await;
    ready(&gateway).await;
    for path in [
        "/readyz",
        "/healthz",
        "/metrics",
        "/api/v1/outbox",
        "/api/v1/rejects",
    ] {
        said.push_str(&get(&gateway, path).body);
    }
    said.push_str(&gateway.log());
    for token in [RIGHT, WRONG] {
        assert!(!said.contains(token), "{token} was told");
    }
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_token_file_holds_the_readings_until_it_is_back() {
    let cloud = Cloud::default().start().await.unwrap();
    let keys = "bearer_token_file = \"token\"\n";
    let site = Site::with(&cloud_section(&cloud, keys)).allow(&[HELD, "batch not delivered"]);
    std::fs::write(site.path("token"), "secret").unwrap();
    let gateway = site.start();
    std::fs::remove_file(site.path("token")).unwrap();
    post_readings(&gateway, "s1", 80.0, 0..5);
    let words = not_ready(&gateway).await;
    assert!(words.contains("bearer_token_file"), "{words}");
    assert_eq!(
        cloud.stats().requests,
        0,
        "nothing is sent without the token"
    );
    std::fs::write(site.path("token"), "secret").unwrap();
    assert_all_delivered_once(&site, &cloud).await;
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_wait_for_a_cloud_that_is_configured_later() {
    let cloud = Cloud::default().start().await.unwrap();
    let mut site = Site::new();
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..300);
    post_readings(&gateway, "s1", 50.0, 300..400);
    let outbox = get_json(&gateway, "/api/v1/outbox");
    assert_eq!(outbox["pending"], 300);
    assert_eq!(outbox["uplinks"], serde_json::json!([]));
    gateway.stop();
    site.configure(&cloud_section(&cloud, ""));
    let gateway = site.start();
    assert_all_delivered_once(&site, &cloud).await;
    let stats = cloud
        .wait_for(|stats| stats.distinct == 300, LIMIT)
        .await
        .unwrap();
    assert_eq!(stats.duplicates, 0);
    gateway.stop();
}
