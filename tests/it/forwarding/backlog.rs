//! A long outage costs disk, not memory.

use simulator::cloud::{Cloud, Step};

use crate::support::accounts::assert_all_delivered_once;
use crate::support::http::{get_json, post_readings};
use crate::support::process::{peak_mib, resident_mib};
use crate::support::{LIMIT, Site};

const SMALL: u64 = 2_000;
const LARGE: u64 = 200_000;
const MOST_MIB: f64 = 10.0;

#[tokio::test(flavor = "multi_thread")]
async fn memory_does_not_grow_with_the_backlog() {
    let cloud = Cloud::default().start().await.unwrap();
    cloud.script().set_default(Step::hang());
    let site = Site::delivering_to(&cloud).allow(&["batch not delivered"]);
    let gateway = site.start();
    let post = |numbers: std::ops::Range<u64>| {
        numbers
            .step_by(1000)
            .for_each(|first| post_readings(&gateway, "s1", 80.0, first..first + 1000));
    };
    post(0..SMALL);
    cloud
        .wait_for(|stats| stats.hanging == 1, LIMIT)
        .await
        .unwrap();
    let small = resident_mib(&gateway);
    post(SMALL..LARGE);
    assert_eq!(get_json(&gateway, "/api/v1/outbox")["pending"], LARGE);
    let large = resident_mib(&gateway);
    println!("{small:.1} MiB with {SMALL} waiting, {large:.1} MiB with {LARGE}");
    assert!(large - small < MOST_MIB, "{small} MiB, then {large} MiB");
    gateway.kill();

    // A gateway that finds the backlog at its start and brings it to the cloud.
    cloud.script().clear();
    let gateway = site.start();
    assert_all_delivered_once(&site, &cloud).await;
    assert_eq!(cloud.stats().distinct, LARGE);
    let draining = peak_mib(&gateway);
    println!("{draining:.1} MiB at most while draining");
    assert!(
        draining - small < MOST_MIB,
        "{small} MiB, then {draining} MiB"
    );
    gateway.stop();
}
