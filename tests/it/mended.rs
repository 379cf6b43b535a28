//! What reviews found and must not come back.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use simulator::cloud::{Cloud, Step};

use crate::support::{Gateway, LIMIT, Site, cloud_section, command, eventually, repository};

/// Sends a reading by HTTP and gives the answer.
fn post(gateway: &Gateway<'_>, body: &str) -> String {
    let mut socket = TcpStream::connect(gateway.http).unwrap();
    let (host, length) = (gateway.http, body.len());
    write!(
        socket,
        "POST /data HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn half_a_head_does_not_delay_a_stop() {
    let site = Site::new();
    let gateway = site.start();
    let mut socket = TcpStream::connect(gateway.http).unwrap();
    socket.write_all(b"GET /data HTTP/1.1\r\nHost").unwrap();
    assert!(post(&gateway, r#"{"id":"s1","value":1}"#).starts_with("HTTP/1.1 201"));
    let started = Instant::now();
    assert_eq!(gateway.stop().code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(5));
    let left = std::fs::metadata(site.path("gateway.db-wal")).map_or(0, |file| file.len());
    assert_eq!(left, 0, "the committer closed the store");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_delivered_is_confirmed_while_the_next_batch_hangs() {
    let cloud = Cloud::default().start().await.unwrap();
    let site = Site::with(&cloud_section(&cloud, "format = \"single\"\n"));
    cloud
        .script()
        .push(Step::status(200).times(NonZeroU32::new(3).unwrap()));
    cloud.script().set_default(Step::hang());
    let gateway = site.start();
    let readings: Vec<String> = (0..5)
        .map(|n| format!(r#"{{"id":"s{n}","value":80}}"#))
        .collect();
    assert!(post(&gateway, &format!("[{}]", readings.join(","))).starts_with("HTTP/1.1 201"));
    eventually("three of five are out of the outbox", || {
        (site.sql::<i64>("SELECT count(*) FROM outbox") == 2).then_some(())
    })
    .await;
    let left: Vec<i64> = site.sql_all("SELECT reading_id FROM outbox ORDER BY reading_id");
    assert_eq!(left, [4, 5]);
    assert_eq!(gateway.stop().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_name_does_not_change_a_recorded_batch() {
    let cloud = Cloud::default().start().await.unwrap();
    let site = Site::delivering_to(&cloud).allow(&["batch not delivered"]);
    cloud.script().set_default(Step::store_then_fail());
    let gateway = site.start();
    assert!(post(&gateway, r#"{"id":"s1","value":80}"#).starts_with("HTTP/1.1 201"));
    cloud
        .wait_for(|stats| 1 <= stats.requests, LIMIT)
        .await
        .unwrap();
    gateway.kill();
    let renamed = site.renamed("another");
    cloud.script().clear();
    let gateway = renamed.start();
    eventually("the batch is confirmed", || {
        (renamed.sql::<i64>("SELECT count(*) FROM outbox") == 0).then_some(())
    })
    .await;
    assert_eq!(gateway.stop().code(), Some(0));
    let stats = cloud.stats();
    assert_eq!((stats.distinct, stats.key_conflicts), (1, 0));
    assert_eq!(&*cloud.delivered()[0].gateway_id, "test");
}

#[test]
fn an_occupied_port_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let path = folder.path().join("gateway.db");
    let status = command()
        .current_dir(folder.path())
        .env(
            "EDGE_GATEWAY_MQTT__LISTEN",
            taken.local_addr().unwrap().to_string(),
        )
        .env("EDGE_GATEWAY_STORE__PATH", &path)
        .output()
        .unwrap()
        .status;
    assert_eq!(status.code(), Some(70));
    assert!(!path.exists());
}

#[test]
fn all_faults_are_told_together() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), "no certificate").unwrap();
    let text = "[cloud]\nurl = \"https://c.example/\"\nca_file = \"ca.pem\"\n[[rule]]\nname = \"a\"\nwhen = \"value >\"\nactions = [\"alert\"]\n";
    let check = |text: &str| {
        let file = folder.path().join("gateway.toml");
        std::fs::write(&file, text).unwrap();
        let output = command()
            .arg("check")
            .arg("--config")
            .arg(&file)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(64));
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(
            told.contains("gateway.toml:3:11: cloud.ca_file: "),
            "{told}"
        );
        assert!(told.contains("gateway.toml:6"), "{told}");
        told
    };
    check(text);
    let told = check(&format!("{text}unknown = 1\n"));
    assert!(told.contains("unknown"), "{told}");
}

#[test]
fn the_shipped_configuration_is_fine_beside_a_kubernetes_service() {
    let status = command()
        .arg("check")
        .arg("--config")
        .arg(repository().join("broker-config/gateway.toml"))
        .env("EDGE_GATEWAY_SERVICE_HOST", "10.0.0.1")
        .env("EDGE_GATEWAY_PORT_1883_TCP", "tcp://10.0.0.1:1883")
        .output()
        .unwrap()
        .status;
    assert_eq!(status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_not_asked_for_what_is_on_this_machine() {
    let cloud = Cloud {
        plain: true,
        ..Cloud::default()
    };
    let cloud = cloud.start().await.unwrap();
    let site = Site::delivering_to(&cloud).environment("HTTP_PROXY", "http://127.0.0.1:9");
    let gateway = site.start();
    assert!(gateway.url("/data").starts_with("http://127.0.0.1:"));
    assert!(post(&gateway, r#"{"id":"s1","value":80}"#).starts_with("HTTP/1.1 201"));
    cloud
        .wait_for(|stats| 1 <= stats.distinct, LIMIT)
        .await
        .unwrap();
    assert!(!gateway.log().contains("batch not delivered"));
    assert_eq!(gateway.stop().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_fill_a_batch_end_its_wait() {
    let cloud = Cloud::default().start().await.unwrap();
    let section = cloud_section(&cloud, "batch_max_bytes = \"1KiB\"\n");
    let site = Site::with(&section.replace("\"0ms\"", "\"1h\""));
    let gateway = site.start();
    for n in 0..20 {
        let reading = format!(r#"{{"id":"s{n}","value":80}}"#);
        assert!(post(&gateway, &reading).starts_with("HTTP/1.1 201"));
    }
    cloud
        .wait_for(|stats| 6 <= stats.distinct, LIMIT)
        .await
        .unwrap();
    assert_eq!(gateway.stop().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_put_back_stops_nothing() {
    let cloud = Cloud::default().start().await.unwrap();
    let site = Site::new();
    let gateway = site.start();
    assert!(post(&gateway, r#"{"id":"s1","value":80}"#).starts_with("HTTP/1.1 201"));
    assert_eq!(gateway.stop().code(), Some(0));
    site.change("UPDATE reading SET delay = delay + 3600000");
    let site = site.and(&cloud_section(&cloud, "").replace("\"0ms\"", "\"1s\""));
    let gateway = site.start();
    cloud
        .wait_for(|stats| 1 <= stats.distinct, LIMIT)
        .await
        .unwrap();
    assert_eq!(gateway.stop().code(), Some(0));
}
