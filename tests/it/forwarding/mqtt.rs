//! A broker as the receiver: Mosquitto, as it is.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use rcgen::ExtendedKeyUsagePurpose;
use simulator::fleet::Fleet;

use crate::support::authority::Authority;
use crate::support::http::{get, get_json, metric, post_readings};
use crate::support::mosquitto::{Collector, Mosquitto, section, users};
use crate::support::{Gateway, LIMIT, Site, eventually};

const NO_CONNECTION: &str = "no connection to the broker";
const SENT_AGAIN: &str = "batch not delivered";
const HELD: &str = "batch held";

async fn outbox_is_empty(site: &Site) {
    eventually("the outbox is empty", || {
        (site.sql::<i64>("SELECT count(*) FROM outbox") == 0).then_some(())
    })
    .await;
}

/// Waits until the collector has all that the store has over 50, and nothing else.
async fn all_arrived(site: &Site, collector: &Collector) {
    outbox_is_empty(site).await;
    let wanted = site.sql_all("SELECT id FROM readings WHERE value > 50");
    let wanted: BTreeSet<i64> = wanted.into_iter().collect();
    eventually("all has arrived", || {
        (wanted.len() <= collector.ids().len()).then_some(())
    })
    .await;
    assert!(
        collector.ids() == wanted,
        "other readings than those over 50 arrived"
    );
}

async fn verdict(gateway: &Gateway<'_>, part: &str) {
    eventually(part, || {
        let outbox = get_json(gateway, "/api/v1/outbox");
        let verdict = outbox["last_verdict"].as_str().unwrap_or_default();
        verdict.contains(part).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_arrive_as_batches_and_the_outbox_empties() {
    let broker = Mosquitto::start();
    let collector = Collector::subscribe(&broker, "gateways/test/readings").await;
    let site = Site::with(&broker.section("batch_max_readings = 100\n"));
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..500);
    post_readings(&gateway, "s1", 50.0, 0..100);
    all_arrived(&site, &collector).await;
    assert!(collector.batches() < 500, "{}", collector.batches());
    assert_eq!(metric(&gateway, "gateway_uplink_readings_total"), 500.0);
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_under_load_gets_everything() {
    let mut broker = Mosquitto::start();
    let collector = Collector::subscribe(&broker, "gateways/#").await;
    let keys = "batch_max_readings = 100\n";
    let site = Site::with(&broker.section(keys)).allow(&[NO_CONNECTION, SENT_AGAIN]);
    let gateway = site.start();
    let fleet = Fleet {
        broker: gateway.mqtt.to_string(),
        rate: 2000.0,
        ..Fleet::default()
    };
    let fleet = fleet.start().unwrap();
    for _ in 0..3 {
        let before = collector.batches();
        eventually("more arrives", || {
            (before + 5 <= collector.batches()).then_some(())
        })
        .await;
        broker.kill();
        let acked = fleet.counts().acked;
        let goes_on = |counts: &simulator::fleet::Counts| acked + 500 <= counts.acked;
        fleet.wait_for(goes_on, LIMIT).await.unwrap();
        broker.restart();
    }
    let counts = fleet.stop(LIMIT).await;
    assert_eq!(counts.published, counts.acked);
    all_arrived(&site, &collector).await;
    assert_eq!(collector.ids().len() as u64, counts.acked_over_50);
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_holds_the_readings_until_it_is_right() {
    const RIGHT: &str = "right-9f8e7d6c5b4a";
    const WRONG: &str = "wrong-1a2b3c4d5e6f";
    let broker = Mosquitto::with(|folder, _| users(folder, &[("edge", RIGHT)]));
    let keys = "user = \"edge\"\npassword_file = \"password\"\n";
    let site = Site::with(&broker.section(keys))
        .environment("RUST_LOG", "trace")
        .allow(&[NO_CONNECTION, HELD]);
    fs::write(site.path("password"), format!("{WRONG}\n")).unwrap();
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..5);
    let mut said = eventually("readyz says why", || {
        let answer = get(&gateway, "/readyz");
        (answer.status == 503 && answer.body.contains("uplink")).then_some(answer.body)
    })
    .await;
    assert!(said.contains("password_file"), "{said}");
    fs::write(site.path("password"), format!("{RIGHT}\n")).unwrap();
    outbox_is_empty(&site).await;
    eventually("readyz is 200", || {
        (get(&gateway, "/readyz").status == 200).then_some(())
    })
    .await;
    said.push_str(&gateway.log());
    for password in [RIGHT, WRONG] {
        assert!(!said.contains(password), "{password} was told");
    }
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_count_on_both_sides() {
    let (ours, theirs, strange) = (Authority::new(), Authority::new(), Authority::new());
    let mut host = String::new();
    let broker = Mosquitto::with(|folder, address| {
        host = address.ip().to_string();
        theirs.issue(folder, "server", &host, ExtendedKeyUsagePurpose::ServerAuth);
        let at = |name: &str| folder.join(name).display().to_string();
        let (certificate, key) = (at("server.crt"), at("server.key"));
        let clients = folder.join("clients");
        fs::create_dir(&clients).unwrap();
        ours.issue(&clients, "any", &host, ExtendedKeyUsagePurpose::ClientAuth);
        let authority = at("clients/ca.pem");
        format!(
            "allow_anonymous true\ncertfile {certificate}\nkeyfile {key}\ncafile {authority}\nrequire_certificate true\n"
        )
    });
    let keys =
        "ca_file = \"trusted.pem\"\nclient_certificate = \"edge.crt\"\nclient_key = \"edge.key\"\n";
    let url = format!("mqtts://{}", broker.address);
    let site = Site::with(&section(&url, keys)).allow(&[NO_CONNECTION, SENT_AGAIN]);
    let show = |authority: &Authority| {
        authority.issue(
            &site.path(""),
            "edge",
            &host,
            ExtendedKeyUsagePurpose::ClientAuth,
        );
    };
    let trust = |authority: &Authority| {
        let folder = tempfile::tempdir().unwrap();
        authority.issue(
            folder.path(),
            "x",
            &host,
            ExtendedKeyUsagePurpose::ServerAuth,
        );
        fs::copy(folder.path().join("ca.pem"), site.path("trusted.pem")).unwrap();
    };
    trust(&strange);
    show(&ours);
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..5);
    verdict(&gateway, "name its certificate in ca_file").await;
    // Both are read again for each connection.
    show(&strange);
    trust(&theirs);
    verdict(&gateway, "alert").await;
    assert_eq!(site.sql::<i64>("SELECT count(*) FROM outbox"), 5);
    show(&ours);
    outbox_is_empty(&site).await;
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_may_have_the_sensor() {
    let broker = Mosquitto::start();
    let mut reader = broker.client("reader");
    assert_eq!(reader.subscribe("site/#", 1), 1);
    let nobody = section("mqtt://127.0.0.1:1", "");
    let mut site = Site::with(&nobody).allow(&[NO_CONNECTION, SENT_AGAIN]);
    // A batch of several sensors that was recorded when the topic had none is cut until it has one reading.
    let gateway = site.start();
    post_readings(&gateway, "hall/s1", 80.0, 0..1);
    post_readings(&gateway, "s2", 81.0, 0..3);
    verdict(&gateway, "nobody listens there").await;
    gateway.stop();
    let keys = "format = \"single\"\ntopic = \"site/%{gateway_id}/%{sensor_id}\"\n";
    site.configure(&broker.section(keys));
    let gateway = site.start();
    post_readings(&gateway, "s3", 82.0, 0..1);
    let mut topics: Vec<String> = (0..5).map(|_| reader.message().topic).collect();
    topics.sort_unstable();
    let expected = ["hall/s1", "s2", "s2", "s2", "s3"].map(|name| format!("site/test/{name}"));
    assert_eq!(topics, expected);
    outbox_is_empty(&site).await;
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_kept_and_what_goes_out_is_counted() {
    let broker = Mosquitto::start();
    let mut reader = broker.client("reader");
    assert_eq!(reader.subscribe("gateways/#", 1), 1);
    let keys = "max_rate = \"20KiB/s\"\nbatch_max_readings = 100\n";
    let site = Site::with(&broker.section(keys));
    let gateway = site.start();
    let started = Instant::now();
    post_readings(&gateway, "s1", 80.0, 0..500);
    let (mut bytes, mut last) = (0, 0);
    for _ in 0..5 {
        let message = reader.message();
        last = message.bytes(4).len();
        bytes += last;
    }
    let took = started.elapsed();
    // The last one is paid for when it has gone, and a burst of a tenth of a second may go at once.
    let most = 20.0 * 1024.0 * (took.as_secs_f64() + 0.1);
    assert!((bytes - last) as f64 <= most * 1.02, "{bytes} of {most}");
    assert!(Duration::from_secs(1) < took, "{took:?}");
    outbox_is_empty(&site).await;
    assert_eq!(metric(&gateway, "gateway_uplink_bytes_total"), bytes as f64);
    gateway.stop();
}
