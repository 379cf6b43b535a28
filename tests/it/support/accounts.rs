//! Who has what: the sensors their acknowledgements, the store its readings, the cloud what is to be forwarded.

use std::collections::HashSet;

use simulator::cloud::RunningCloud;
use simulator::fleet::{sensor_id, wave};

use crate::support::{LIMIT, Site, eventually};

/// Chance from a seed that is printed; `IT_SEED` repeats it.
pub(crate) fn seeded() -> fastrand::Rng {
    let seed =
        std::env::var("IT_SEED").map_or_else(|_| fastrand::u64(..), |text| text.parse().unwrap());
    println!("IT_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// Waits until the cloud has all that the store has over 50, and holds it to have it once.
pub(crate) async fn assert_all_delivered_once(site: &Site, cloud: &RunningCloud) {
    eventually("the outbox is empty", || {
        (site.sql::<i64>("SELECT count(*) FROM outbox") == 0).then_some(())
    })
    .await;
    let wanted: Vec<i64> = site.sql_all("SELECT id FROM readings WHERE value > 50 ORDER BY id");
    let stats = cloud
        .wait_for(|stats| wanted.len() as u64 <= stats.distinct, LIMIT)
        .await
        .unwrap();
    assert!(
        cloud.delivered_ids() == wanted,
        "other readings than those over 50 were delivered"
    );
    assert_eq!((stats.key_conflicts, stats.id_conflicts), (0, 0));
}

/// Each stored reading of a simulated sensor, by what tells it from all others.
pub(crate) fn stored(site: &Site) -> Vec<String> {
    stored_in(site, "gateway.db")
}

/// As [`stored`], in another file of the site.
pub(crate) fn stored_in(site: &Site, file: &str) -> Vec<String> {
    site.sql_all_in(
        file,
        "SELECT sensor_id || ' ' || json_extract(attributes, '$.seq') || ' ' || printf('%.2f', value) FROM readings",
    )
}

/// The acknowledged readings of a fleet that the store lacks.
pub(crate) fn missing(stored: &[String], acked_of: &[u64], seed: u64) -> Vec<String> {
    let stored: HashSet<&str> = stored.iter().map(String::as_str).collect();
    let acked = (1..).zip(acked_of).flat_map(|(sensor, acked)| {
        (1..=*acked).map(move |seq| {
            let value = wave(seed, sensor, seq);
            format!("{} {seq} {value:.2}", sensor_id(sensor))
        })
    });
    acked
        .filter(|reading| !stored.contains(reading.as_str()))
        .collect()
}
