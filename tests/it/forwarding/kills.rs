//! Exactly once, over many ends of the gateway and all that may happen to a request.
//!
//! Moments and answers are drawn from a seed that is printed; `IT_SEED` repeats them.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use simulator::cloud::{Cloud, RunningCloud, Step};
use simulator::fleet::{Fleet, sensor_id, wave};

use crate::support::accounts::{assert_all_delivered_once, seeded};
use crate::support::{LIMIT, Site, cloud_section};

const KILLS: usize = 20;
const FLEET_SEED: u64 = 7;

/// Some answers for the requests to come.
fn trouble(cloud: &RunningCloud, rng: &mut fastrand::Rng) {
    for _ in 0..rng.usize(2..8) {
        let step = match rng.u8(0..6) {
            0 => Step::status(503),
            1 => Step::status(429).retry_after("0"),
            2 => Step::close(),
            3 => Step::store_then_fail(),
            4 => Step::status(200).delay(Duration::from_millis(rng.u64(1..80))),
            _ => Step::status(200).times(NonZeroU32::new(rng.u32(1..10)).unwrap()),
        };
        cloud.script().push(step);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_under_load_lose_nothing_and_deliver_it_once() {
    let started = Instant::now();
    let mut rng = seeded();
    let cloud = Cloud::default().start().await.unwrap();
    let keys = |size: usize| cloud_section(&cloud, &format!("batch_max_readings = {size}\n"));
    let mut site = Site::with(&keys(100))
        .at_a_lasting_address()
        .allow(&["batch not delivered"]);
    let fleet = {
        let gateway = site.start();
        let fleet = Fleet {
            broker: gateway.mqtt.to_string(),
            rate: 3000.0,
            seed: FLEET_SEED,
            ..Fleet::default()
        };
        let fleet = fleet.start().unwrap();
        fleet
            .wait_for(|counts| 100 <= counts.acked, LIMIT)
            .await
            .unwrap();
        gateway.kill();
        fleet
    };
    for _ in 1..KILLS {
        trouble(&cloud, &mut rng);
        if rng.u8(0..4) == 0 {
            site.configure(&keys(rng.usize(1..400)));
        }
        let gateway = site.start();
        let requests = cloud.stats().requests + rng.u64(1..30);
        cloud
            .wait_for(|stats| requests <= stats.requests, LIMIT)
            .await
            .unwrap();
        gateway.kill();
    }
    cloud.script().clear();
    site.configure(&keys(1000));
    let gateway = site.start();
    let (counts, acked) = fleet.stop_with_acked(LIMIT).await;
    assert_eq!(counts.published, counts.acked);
    assert_all_delivered_once(&site, &cloud).await;
    // What was published over 50 is there, and nothing else. A sensor whose acknowledgement was lost has sent again, so that
    // the store may have a reading twice, under two ids.
    let published = (1..).zip(acked).flat_map(|(sensor, upto)| {
        let over = move |seq: &u64| 50.0 < wave(FLEET_SEED, sensor, *seq);
        let name = move |seq| (sensor_id(sensor), seq);
        (1..=upto).filter(over).map(name)
    });
    let published: HashSet<(String, u64)> = published.collect();
    let delivered = cloud.delivered();
    let delivered: HashSet<(String, u64)> = delivered
        .iter()
        .map(|reading| (reading.sensor_id.to_string(), reading.seq.unwrap()))
        .collect();
    assert_eq!(delivered.len() as u64, counts.acked_over_50);
    assert!(delivered == published);
    let stats = cloud.stats();
    println!(
        "{KILLS} kills in {:.1?}: {} readings published, {} of them over 50, {} sent again by sensors; the cloud has {} \
         readings and was sent {} of them once more, in {} requests, {} of them dropped",
        started.elapsed(),
        counts.published,
        counts.acked_over_50,
        counts.resent,
        stats.distinct,
        stats.duplicates,
        stats.requests,
        stats.dropped
    );
    assert!(0 < stats.duplicates, "no answer was lost: {stats:?}");
    gateway.stop();
}
