//! No room on the disk: nothing is acknowledged until there is, and then everything, without a restart.

use simulator::cloud::Cloud;
use simulator::fleet::Fleet;

use crate::support::accounts::{assert_all_delivered_once, missing, stored};
use crate::support::frames::{self, PUBACK, Publish, V311, reading};
use crate::support::http::{get, post};
use crate::support::process::{command_that_outlives_a_full_disk, limit_file_size};
use crate::support::raw::Raw;
use crate::support::{LIMIT, Site, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_holds_up_acknowledgements_until_there_is_room_again() {
    let cloud = Cloud::default().start().await.unwrap();
    let site = Site::delivering_to(&cloud).allow(&["commit failed"]);
    let gateway = site.start_as(command_that_outlives_a_full_disk());
    let fleet = Fleet {
        broker: gateway.mqtt.to_string(),
        rate: f64::INFINITY,
        sensors_per_connection: 2,
        ..Fleet::default()
    };
    let seed = fleet.seed;
    let fleet = fleet.start().unwrap();
    let mut readings = 0;
    for number in 1..=3 {
        let until = fleet.counts().acked + 500;
        fleet
            .wait_for(|counts| until <= counts.acked, LIMIT)
            .await
            .unwrap();
        // Not at the end of a page: the last write is cut short.
        let log = std::fs::metadata(site.path("gateway.db-wal"))
            .unwrap()
            .len();
        limit_file_size(&gateway, Some(log + 1000 * number));
        let unwell = eventually("healthz is 503", || {
            Some(get(&gateway, "/healthz")).filter(|answer| answer.status == 503)
        });
        let problem = unwell.await.json();
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(detail.contains("disk"), "{problem}");

        let mut sensor = Raw::connect(&gateway, V311, "witness");
        let id = u16::try_from(number).unwrap();
        let publish = Publish::new("sensors/w", reading("w", 80.0, number)).qos(1, id);
        sensor.send(&publish.bytes(V311));
        // The gateway lives and has read the reading, but does not acknowledge it.
        sensor.ping();
        let acked = fleet.acked_of();
        assert!(sensor.is_silent());
        let answer = post(&gateway, "/data", r#"{"id":"w","value":80}"#);
        assert_eq!(answer.status, 503, "{answer:?}");
        let missing = missing(&stored(&site), &acked, seed);
        assert!(missing.is_empty(), "acknowledged without room: {missing:?}");

        limit_file_size(&gateway, None);
        assert_eq!(sensor.receive(), Some(frames::acked(PUBACK, id)));
        eventually("healthz is 200", || {
            (get(&gateway, "/healthz").status == 200).then_some(())
        })
        .await;
        readings += 1;
    }
    let counts = fleet.stop(LIMIT).await;
    assert_eq!((counts.acked, counts.disconnects), (counts.published, 0));
    readings += counts.published;
    let mut stored = stored(&site);
    assert_eq!(stored.len() as u64, readings);
    stored.sort_unstable();
    stored.dedup();
    assert_eq!(stored.len() as u64, readings, "a reading was stored twice");
    assert_all_delivered_once(&site, &cloud).await;

    gateway.kill();
    let _gateway = site.start();
    assert_eq!(site.sql::<String>("PRAGMA integrity_check"), "ok");
    let count: i64 = site.sql("SELECT count(*) FROM readings");
    assert_eq!(count.unsigned_abs(), readings);
}
