//! Formats and compression, as the cloud sees them.

use simulator::cloud::Cloud;

use crate::support::accounts::assert_all_delivered_once;
use crate::support::http::post_readings;
use crate::support::receiver::{Receiver, write_answer};
use crate::support::{LIMIT, Site, cloud_section, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn single_sends_each_reading_alone_and_in_order() {
    let cloud = Cloud::default().start().await.unwrap();
    let site = Site::with(&cloud_section(&cloud, "format = \"single\"\n"));
    let gateway = site.start();
    for number in 0..20_u32 {
        post_readings(
            &gateway,
            &format!("s{number}"),
            60.0 + f64::from(number),
            0..1,
        );
    }
    post_readings(&gateway, "low", 50.0, 0..1);
    cloud
        .wait_for(|stats| stats.distinct == 20, LIMIT)
        .await
        .unwrap();
    eventually("the outbox is empty", || {
        (site.sql::<i64>("SELECT count(*) FROM outbox") == 0).then_some(())
    })
    .await;
    let delivered = cloud.delivered();
    for (number, reading) in (0..20_u32).zip(&delivered) {
        assert_eq!(*reading.sensor_id, format!("s{number}"));
        assert_eq!(reading.value, 60.0 + f64::from(number));
    }
    let stats = cloud.stats();
    assert_eq!(
        (stats.requests, stats.duplicates, stats.key_conflicts),
        (20, 0, 0)
    );
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_compressed_unless_told_otherwise() {
    for (settings, is_compressed) in [("", true), ("compression = \"none\"\n", false)] {
        let cloud = Cloud::default().start().await.unwrap();
        let site = Site::with(&cloud_section(&cloud, settings));
        let gateway = site.start();
        post_readings(&gateway, "s1", 80.0, 0..200);
        assert_all_delivered_once(&site, &cloud).await;
        let stats = cloud.stats();
        assert_eq!(
            stats.bytes < stats.decoded_bytes,
            is_compressed,
            "{stats:?}"
        );
        gateway.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_keep_to_their_limits() {
    let cloud = Cloud::default().start().await.unwrap();
    let site = Site::with(&cloud_section(&cloud, "batch_max_readings = 7\n"));
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..70);
    assert_all_delivered_once(&site, &cloud).await;
    assert_eq!(cloud.stats().accepted_batches, 10);
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_format_says_what_it_is() {
    for (format, content_type, start) in [
        ("batch", "application/json", "{\"gateway_id\":\"test\","),
        (
            "single",
            "application/json",
            "{\"sensor_id\":\"s1\",\"value\":80.0}",
        ),
        (
            "ndjson",
            "application/x-ndjson",
            "{\"gateway_id\":\"test\",",
        ),
        (
            "influx",
            "text/plain; charset=utf-8",
            "reading,gateway_id=test,sensor_id=s1 value=80,reading_id=1i,tags=\"high\",seq=0 ",
        ),
        ("thingsboard", "application/json", "{\"s1\":[{\"ts\":"),
    ] {
        let receiver = Receiver::start(|_, stream| write_answer(stream, "200 OK", "", ""));
        let site = Site::with(&receiver.section(&format!("format = {format:?}\n")));
        let gateway = site.start();
        post_readings(&gateway, "s1", 80.0, 0..1);
        let request = receiver.next();
        assert_eq!(request.header("content-type"), content_type);
        assert_eq!(request.header("content-encoding"), "");
        let body = String::from_utf8(request.body).unwrap();
        assert!(body.starts_with(start), "{format}: {body}");
        gateway.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn zstd_is_said_and_can_be_unpacked() {
    let receiver = Receiver::start(|_, stream| write_answer(stream, "200 OK", "", ""));
    let section = receiver.section("");
    let site = Site::with(&section.replace("\"none\"", "\"zstd\""));
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..50);
    let request = receiver.next();
    assert_eq!(request.header("content-encoding"), "zstd");
    let text = zstd::decode_all(&*request.body).unwrap();
    let batch: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(batch["readings"].as_array().unwrap().len(), 50);
    assert!(request.body.len() < text.len());
    gateway.stop();
}
