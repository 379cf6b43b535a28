//! SIGKILL: what was acknowledged before it is stored after it, and delivered once.
//!
//! The moments are drawn from a seed that is printed; `IT_SEED` repeats them.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use simulator::cloud::Cloud;
use simulator::fleet::{Fleet, QoS};

use crate::support::accounts::{assert_all_delivered_once, missing, seeded, stored};
use crate::support::frames::{self, PUBACK, Publish, V311};
use crate::support::http::{Answer, get_json, paged, post_readings, try_post};
use crate::support::raw::Raw;
use crate::support::{Gateway, LIMIT, Site, cloud_section};

const ROUNDS: usize = 12;
/// They stand or fall together.
const READINGS_OF_A_REQUEST: usize = 200;

fn fleet(gateway: &Gateway<'_>, qos: QoS, seed: u64) -> Fleet {
    Fleet {
        broker: gateway.mqtt.to_string(),
        count: 8,
        sensors_per_connection: 2,
        rate: f64::INFINITY,
        window: 50,
        qos,
        seed,
        ..Fleet::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acked_readings_survive_kill_nine_and_reach_the_cloud_once() {
    const SEEDS: [u64; 2] = [1, 2];
    let mut rng = seeded();
    let cloud = Cloud::default().start().await.unwrap();
    let site = Site::with(&cloud_section(&cloud, "batch_max_readings = 200\n"))
        .at_a_lasting_address()
        .allow(&["batch not delivered"]);
    let mut gateway = site.start();
    let fleets = [QoS::AtLeastOnce, QoS::ExactlyOnce];
    let fleets = [0, 1].map(|i| fleet(&gateway, fleets[i], SEEDS[i]).start().unwrap());
    let mut newest_before = 0;
    for round in 1..=ROUNDS {
        let watched = &fleets[rng.usize(..2)];
        let until = watched.counts().acked + rng.u64(1..=1000);
        watched
            .wait_for(|counts| until <= counts.acked, LIMIT)
            .await
            .unwrap();
        gateway.kill();
        let acked = fleets.each_ref().map(|fleet| fleet.acked_of());
        // Before the next start: what is there now was committed by the one that was killed.
        let newest: i64 = site.sql("SELECT max(id) FROM readings");
        gateway = site.start();
        let integrity: String = site.sql("PRAGMA integrity_check");
        assert_eq!(integrity, "ok", "round {round}");
        let stored = stored(&site);
        for (acked, seed) in acked.iter().zip(SEEDS) {
            let missing = missing(&stored, acked, seed);
            assert!(
                missing.is_empty(),
                "round {round}: acknowledged and lost: {missing:?}"
            );
        }
        let appended: i64 = site.sql(&format!(
            "SELECT count(*) FROM readings WHERE id <= {newest_before}"
        ));
        assert!(newest_before < newest, "round {round}: ids must grow");
        assert!(
            appended <= newest_before,
            "round {round}: an id was given twice"
        );
        newest_before = newest;
    }
    for (fleet, seed) in fleets.into_iter().zip(SEEDS) {
        let (counts, acked) = fleet.stop_with_acked(LIMIT).await;
        assert_eq!(counts.published, counts.acked);
        let missing = missing(&stored(&site), &acked, seed);
        assert!(missing.is_empty(), "acknowledged and lost: {missing:?}");
    }
    assert_all_delivered_once(&site, &cloud).await;
    let alerts: Vec<i64> =
        site.sql_all("SELECT reading_id FROM alerts WHERE state = 'raised' ORDER BY reading_id");
    let alarming: Vec<i64> = site.sql_all("SELECT id FROM readings WHERE value > 75 ORDER BY id");
    assert!(alerts == alarming, "each reading over 75 has one alert");
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_sensor_are_whole_after_kill_nine() {
    let mut rng = seeded();
    let site = Site::new().at_a_lasting_address();
    let mut gateway = site.start();
    // A block of the index has 32,768: the fleet comes to its end.
    for part in 0..16_u64 {
        let sensor = format!("s{}", 1 + part % 8);
        post_readings(&gateway, &sensor, 1.0, part * 2000..(part + 1) * 2000);
    }
    let fleet = fleet(&gateway, QoS::AtLeastOnce, 1).start().unwrap();
    for round in 1..=4 {
        let until = fleet.counts().acked + rng.u64(100..1000);
        fleet
            .wait_for(|counts| until <= counts.acked, LIMIT)
            .await
            .unwrap();
        gateway.kill();
        gateway = site.start();
        let newest: i64 = site.sql("SELECT max(id) FROM readings");
        for sensor in [1, 8] {
            let filter = format!("&sensor=s{sensor}");
            let (mut found, _) = paged(&gateway, &filter, 5000);
            found.retain(|id| *id <= newest);
            let expected: Vec<i64> = site.sql_all(&format!(
                "SELECT id FROM readings WHERE sensor_id = 's{sensor}' AND id <= {newest} ORDER BY id DESC"
            ));
            assert!(found == expected, "round {round}, s{sensor}");
        }
        let all = "SELECT count(*) FROM readings WHERE sensor_id = 's1'";
        let path = "/api/v1/series?sensor=s1&from=0&to=2199-01-01T00:00:00Z&points=1";
        let before: i64 = site.sql(all);
        let count = get_json(&gateway, path)["items"][0]["count"]
            .as_i64()
            .unwrap();
        assert!(before <= count && count <= site.sql(all), "round {round}");
    }
    fleet.stop_with_acked(LIMIT).await;
    gateway.stop();
}

#[test]
fn readings_answered_with_201_survive_kill_nine() {
    const CLIENTS: usize = 4;
    let mut rng = seeded();
    let site = Site::new();
    let mut answered = [0; CLIENTS];
    for _ in 0..4 {
        let gateway = site.start();
        let (sender, answers) = sync_channel(1 << 16);
        thread::scope(|scope| {
            for (client, last) in answered.iter().copied().enumerate() {
                let (gateway, sender) = (&gateway, sender.clone());
                scope.spawn(move || post_until_killed(gateway, client, last, &sender));
            }
            drop(sender);
            for _ in 0..rng.usize(1..=60) {
                let (client, number): (usize, u64) = answers.recv_timeout(LIMIT).unwrap();
                answered[client] = number;
            }
            crate::support::signal(gateway.pid(), "KILL");
            // Answers that were on their way when the kill came count as well.
            for (client, number) in answers {
                answered[client] = number;
            }
        });
        gateway.kill();
        let _gateway = site.start();
        for (client, last) in answered.iter().enumerate() {
            let counts: Vec<i64> = site.sql_all(&format!(
                "SELECT count(*) FROM readings WHERE sensor_id = 'h{client}' \
                 GROUP BY json_extract(attributes, '$.seq')"
            ));
            assert!(
                *last <= counts.len() as u64,
                "client {client}: answered and lost"
            );
            let is_whole = |count: &i64| count % READINGS_OF_A_REQUEST as i64 == 0;
            assert!(counts.iter().all(is_whole), "half a request was stored");
        }
    }
}

/// Numbers go on where the last round was answered: a request without an answer is made again.
fn post_until_killed(
    gateway: &Gateway<'_>,
    client: usize,
    last: u64,
    answers: &SyncSender<(usize, u64)>,
) {
    let post = |number: u64| {
        let reading = format!(r#"{{"id":"h{client}","value":80,"seq":{number}}}"#);
        let readings = vec![reading; READINGS_OF_A_REQUEST].join(",");
        match try_post(gateway, "/data", &format!("[{readings}]")) {
            Ok(Answer { status: 201, .. }) if answers.send((client, number)).is_ok() => {
                ControlFlow::Continue(())
            }
            Ok(Answer { status: 201, .. }) | Err(_) => ControlFlow::Break(()),
            Ok(other) => panic!("unexpected answer {other:?}"),
        }
    };
    let _killed = (last + 1..).try_for_each(post);
}

#[test]
fn acked_statuses_survive_kill_nine() {
    let mut rng = seeded();
    let site = Site::new();
    for round in 0..5 {
        let gateway = site.start();
        let mut devices = Raw::connect(&gateway, V311, "devices");
        let status = |n: u16| {
            let status = Publish::new(&format!("status/d{round}-{n}"), "online").qos(1, n);
            status.bytes(V311)
        };
        devices.send(&(1..=2000).flat_map(status).collect::<Vec<u8>>());
        let mut acked: Vec<u16> = Vec::new();
        let killed_at = rng.usize(1..=1000);
        let mut gateway = Some(gateway);
        while let Some(packet) = devices.receive() {
            let (number, _) = packet.acknowledged(V311);
            assert_eq!(packet, frames::acked(PUBACK, number));
            acked.push(number);
            if acked.len() == killed_at {
                gateway.take().unwrap().kill();
            }
        }
        let _gateway = site.start();
        let stored: Vec<String> = site.sql_all("SELECT device_id FROM statuses");
        let stored: HashSet<String> = stored.into_iter().collect();
        acked.retain(|number| !stored.contains(&format!("d{round}-{number}")));
        assert!(acked.is_empty(), "acknowledged and lost: {acked:?}");
    }
}
