//! `store.max_size` holds while readings come in, and nothing that was acknowledged goes uncounted.

use crate::support::frames::{Publish, V311, reading};
use crate::support::http::{get, get_json, metric, post};
use crate::support::raw::Raw;
use crate::support::{Site, eventually};

const MAX: u64 = 16 << 20;
const PER_REQUEST: usize = 500;

/// Readings of ten sensors with a text that cannot be made shorter; one in a hundred is forwarded.
fn request(random: &mut fastrand::Rng, from: usize) -> String {
    let one = |number: usize| {
        let value = if number.is_multiple_of(100) { 60 } else { 20 };
        let text: String = (0..100).map(|_| random.alphanumeric()).collect();
        let sensor = number % 10;
        format!(r#"{{"id":"s{sensor}","value":{value},"text":"{text}"}}"#)
    };
    let all: Vec<String> = (from..from + PER_REQUEST).map(one).collect();
    format!("[{}]", all.join(","))
}

fn bytes_on_disk(site: &Site) -> u64 {
    let files = std::fs::read_dir(site.path("gateway.db").parent().unwrap()).unwrap();
    let of_store = files
        .map(Result::unwrap)
        .filter(|file| file.file_name().to_string_lossy().starts_with("gateway.db"));
    of_store.map(|file| file.metadata().unwrap().len()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_thins_stays_within_its_budget_under_load() {
    let site = Site::new()
        .environment("EDGE_GATEWAY_STORE__MAX_SIZE", "16MiB")
        .allow(&["budget is spent"]);
    let gateway = site.start();
    let mut random = fastrand::Rng::with_seed(7);
    let mut acked = 0;
    for _ in 0..400 {
        let answer = post(&gateway, "/data", &request(&mut random, acked));
        assert_eq!(answer.status, 201, "{answer:?}");
        acked += PER_REQUEST;
        let bytes = bytes_on_disk(&site);
        assert!(bytes <= MAX, "{bytes} bytes after {acked} readings");
    }
    let removed: f64 = ["aged", "dropped", "thinned", "undelivered"]
        .map(|reason| {
            let name = format!("gateway_readings_removed_total{{reason=\"{reason}\"}}");
            metric(&gateway, &name)
        })
        .iter()
        .sum();
    assert!(0.0 < removed);
    let waiting: i64 = site.sql("SELECT count(*) FROM outbox");
    assert_eq!(
        waiting as usize,
        acked / 100,
        "what is not delivered goes last"
    );
    assert_eq!(
        metric(&gateway, "gateway_outbox_pending") as usize,
        acked / 100
    );
    let glance = get_json(&gateway, "/api/v1/gateway");
    assert_eq!(glance["store"]["max_bytes"], MAX);
    gateway.kill();
    let gateway = site.start();
    let csv = get(&gateway, "/api/v1/readings?format=csv").body;
    let there = csv.lines().count() - 1;
    assert_eq!(there + removed as usize, acked);
    assert_eq!(site.sql::<String>("PRAGMA integrity_check"), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_refuses_says_so_and_loses_nothing() {
    let site = Site::new()
        .environment("EDGE_GATEWAY_STORE__MAX_SIZE", "16MiB")
        .environment("EDGE_GATEWAY_STORE__WHEN_FULL", "refuse")
        .allow(&["budget is spent"]);
    let gateway = site.start();
    let mut random = fastrand::Rng::with_seed(7);
    let mut acked = 0;
    // The first that finds no room waits for some until it is clear that there will be none.
    let refused = loop {
        let answer = post(&gateway, "/data", &request(&mut random, acked));
        if answer.status != 201 {
            break answer;
        }
        acked += PER_REQUEST;
    };
    assert!(matches!(refused.status, 503 | 507), "{refused:?}");
    eventually("it says so at once", || {
        let answer = post(&gateway, "/data", r#"{"id":"s1","value":1}"#);
        (answer.status == 507).then_some(())
    })
    .await;
    assert!(bytes_on_disk(&site) <= MAX);
    let unwell = get(&gateway, "/healthz");
    assert_eq!(unwell.status, 503);
    assert!(unwell.body.contains("store.max_size"), "{unwell:?}");
    let mut sensor = Raw::connect(&gateway, V311, "witness");
    let publish = Publish::new("sensors/w", reading("w", 80.0, 1)).qos(1, 1);
    sensor.send(&publish.bytes(V311));
    sensor.ping();
    assert!(sensor.is_silent(), "not acknowledged");
    gateway.kill();
    let site = site.environment("EDGE_GATEWAY_STORE__MAX_SIZE", "64MiB");
    let gateway = site.start();
    let answer = post(&gateway, "/data", r#"{"id":"s1","value":1}"#);
    assert_eq!(answer.status, 201);
    let stored: i64 = site.sql("SELECT count(*) FROM readings WHERE sensor_id <> 'w'");
    assert_eq!(stored as usize, acked + 1);
    drop(gateway);
}
