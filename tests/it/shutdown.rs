//! SIGTERM: what is in flight is finished, and the exit code is 0.

use simulator::fleet::Fleet;

use crate::support::{LIMIT, Site};

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_finishes_what_is_in_flight_and_exits_with_0() {
    let site = Site::new();
    let gateway = site.start();
    let fleet = Fleet {
        broker: gateway.mqtt.to_string(),
        rate: f64::INFINITY,
        ..Fleet::default()
    };
    let fleet = fleet.start().unwrap();
    fleet
        .wait_for(|counts| 1000 <= counts.acked, LIMIT)
        .await
        .unwrap();
    assert_eq!(gateway.stop().code(), Some(0));
    let left = std::fs::metadata(site.path("gateway.db-wal")).map_or(0, |file| file.len());
    assert_eq!(left, 0, "a clean stop leaves nothing in the log");
    let acked: u64 = fleet.acked_of().iter().sum();
    let stored: i64 = site.sql("SELECT count(*) FROM readings");
    assert!(
        acked <= stored.unsigned_abs(),
        "{acked} acknowledged, {stored} stored"
    );
}
