//! A long outage costs disk, not memory.

use simulator::cloud::{Cloud, Step};

use crate::support::accounts::assert_all_delivered_once;
use crate::support::http::{get_json, post_readings};
use crate::support::process::{peak_mib, resident_mib};
use crate::support::{LIMIT, Site};

const SMALL: u64 = 20_000;
const LARGE: u64 = 200_000;
const MOST_MIB: f64 = 8.0;

#[tokio::test(flavor = "multi_thread")]
async fn memory_does_not_grow_with_the_backlog() {
    let small = memory_with(SMALL).await;
    let large = memory_with(LARGE).await;
    println!("{small:.1?} MiB with {SMALL}, {large:.1?} with {LARGE}");
    for (small, large) in small.into_iter().zip(large) {
        assert!(large - small < MOST_MIB, "{small} MiB, then {large} MiB");
    }
}

/// While so many wait, and at most while a gateway that finds them at its start brings them to the cloud; in MiB.
async fn memory_with(waiting: u64) -> [f64; 2] {
    let cloud = Cloud::default().start().await.unwrap();
    cloud.script().set_default(Step::hang());
    let site = Site::delivering_to(&cloud).allow(&["batch not delivered"]);
    let gateway = site.start();
    for first in (0..waiting).step_by(1000) {
        post_readings(&gateway, "s1", 80.0, first..first + 1000);
    }
    cloud
        .wait_for(|stats| 0 < stats.hanging, LIMIT)
        .await
        .unwrap();
    assert_eq!(get_json(&gateway, "/api/v1/outbox")["pending"], waiting);
    let while_it_waits = resident_mib(&gateway);
    gateway.kill();
    cloud.script().clear();
    let gateway = site.start();
    assert_all_delivered_once(&site, &cloud).await;
    assert_eq!(cloud.stats().distinct, waiting);
    let draining = peak_mib(&gateway);
    gateway.stop();
    [while_it_waits, draining]
}
