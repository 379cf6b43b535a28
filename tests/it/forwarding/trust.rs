//! Whom the gateway speaks to: nobody whose certificate it does not trust, nobody in plain text over the network.

use std::process::Stdio;

use simulator::cloud::Cloud;

use crate::support::http::{get_json, post_readings};
use crate::support::{Site, cloud_section, command, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_trusted_is_refused() {
    let cloud = Cloud::default().start().await.unwrap();
    let section = cloud_section(&cloud, "");
    let without_ca: String = section
        .lines()
        .filter(|line| !line.starts_with("ca_file"))
        .map(|line| format!("{line}\n"))
        .collect();
    let site = Site::with(&without_ca).allow(&["batch not delivered"]);
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..5);
    let verdict = eventually("the outbox says what is wrong", || {
        let outbox = get_json(&gateway, "/api/v1/outbox");
        assert_eq!(outbox["pending"], 5);
        outbox["last_verdict"].as_str().map(str::to_owned)
    })
    .await;
    assert!(verdict.to_lowercase().contains("certificate"), "{verdict}");
    // Several tries: the verdict stands before the next one begins.
    eventually("it was tried again", || {
        let tries = gateway.log().matches("batch not delivered").count();
        (3 <= tries).then_some(())
    })
    .await;
    let stats = cloud.stats();
    assert_eq!((stats.requests, stats.bytes), (0, 0));
    gateway.stop();
}

#[test]
fn plain_http_beyond_this_machine_is_refused_at_the_start() {
    let site = Site::new();
    let config = site.path("gateway.toml");
    std::fs::write(
        &config,
        "[cloud]\nurl = \"http://cloud.example.com/api/sync\"\n",
    )
    .unwrap();
    let output = command()
        .args(["--config", config.to_str().unwrap()])
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("allow_plain_http"), "{words}");
}
