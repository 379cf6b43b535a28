//! Stores of older versions: each is taken up with all it holds, or left as it was.

use std::fs;

use serde_json::{Value, json};
use simulator::cloud::Cloud;

use crate::support::http::{get_json, post_readings};
use crate::support::program::finish;
use crate::support::{
    LIMIT, Site, cloud_section, command, command_in, eventually, repository, wait_until,
};

/// Rows as the versions from the first to the last of these have written them.
const ROWS: &[(usize, usize, &str)] = &[
    (
        1,
        99,
        "INSERT INTO counter (one, store_id, commit_group, reading, alert, reject, batch, sensors_saved_upto)
             VALUES (1, 'abc', 9, 6, 2, 1, 2, 2);
         INSERT INTO sensor (key, name, readings, last_reading, last_value) VALUES (1, 's1', 2, 2, 90), (2, 'h1/temp', 0, NULL, NULL);
         INSERT INTO reading (id, sensor, value, ts, delay, tags, attributes) VALUES
             (1, 1, 60.5, 1764000000000, 3, NULL, NULL), (2, 1, 90, 1764000001000, 0, '[\"high\"]', '{\"seq\":7}'),
             (3, 2, -10, 1764000002000, -5, NULL, NULL), (4, 1, 95, 1764000003000, 0, '[\"high\"]', NULL),
             (5, 2, 55, 1764000004000, 0, NULL, '{\"a\":{\"b\":[1]}}'), (6, 2, 1e300, 1764000005000, 0, NULL, NULL);
         INSERT INTO alert (id, episode, rule, state, sensor, value, ts, reading) VALUES
             (1, 1, 'high', 'raised', 1, 90, 1764000001000, 2), (2, 2, 'high', 'raised', 1, 95, 1764000003000, 4);
         INSERT INTO reject (id, topic, payload, reason, received_at) VALUES (1, 'sensors/x', x'7b', 'broken', 1764000000000);
         INSERT INTO device_status (device_id, status, ts) VALUES ('d1', 'online', 1764000000000);",
    ),
    (
        1,
        4,
        "INSERT INTO outbox_entry (reading) VALUES (1), (2), (4), (5);
         INSERT INTO batch (id, gateway_id, format, compression, readings) VALUES (2, 'test', 'batch', 'gzip', x'0101');
         INSERT INTO dead_letter (id, reading, status, answer, at) VALUES (1, 6, 400, 'too large', 1764000009000);",
    ),
    (
        5,
        99,
        "INSERT INTO outbox_entry (uplink, reading) VALUES (1, 4), (1, 5);
         INSERT INTO batch (id, uplink, gateway_id, format, compression, tries, count, first, readings)
             VALUES (2, 1, 'test', 'batch', 'gzip', 0, 2, 1, '[1,1]');
         INSERT INTO dead_letter (id, reading, status, answer, at, uplink, tries) VALUES (1, 6, 400, 'too large', 1764000009000, 1, 2);",
    ),
    (
        2,
        99,
        "INSERT INTO session (key, client_id, user, expiry, left_at, sent_upto) VALUES (1, 'away', NULL, 4294967295, 1764000000000, 0);
         INSERT INTO subscription (session, filter, qos, no_local, retain_as_published, id) VALUES (1, 'x/#', 1, 0, 0, NULL);
         INSERT INTO queued (session, seq, received, topic, payload, qos, publish_qos, retain, received_at, publisher)
             VALUES (1, 1, 0, 'x/1', x'61', 1, 1, 0, 1764000000000, 'p');
         INSERT INTO exchange (session, packet_id) VALUES (1, 9);
         INSERT INTO retained (topic, payload, qos, received_at, publisher, properties) VALUES ('kept', x'62', 1, 1764000000000, 'p', NULL);",
    ),
    (
        2,
        2,
        "INSERT INTO retained (topic, payload, qos, received_at, publisher, properties)
             VALUES ('alerts/s1', x'63', 1, 1764000000000, '', NULL);",
    ),
    (
        3,
        99,
        "UPDATE counter SET alerts_saved_upto = 1; UPDATE sensor SET last_alert = 1 WHERE key = 1;",
    ),
    (
        7,
        99,
        "INSERT INTO rule (name, fingerprint) VALUES ('gone', 'x');
         INSERT INTO rule_state (rule, subject, state) VALUES ('gone', 's1', x'00');
         UPDATE counter SET rules_clock = 5000;
         UPDATE alert SET severity = 'warning', message = 'hot' WHERE id = 2;",
    ),
    (8, 99, "UPDATE counter SET rules_saved_upto = 2;"),
    (9, 99, "INSERT INTO open_alert (episode, newest) VALUES (1, 1);"),
];

/// The migrations, in their order.
fn migrations() -> Vec<String> {
    let folder = repository().join("gateway/src/store/migrations");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect()
}

/// An empty store as this version made it.
fn of_version(version: usize) -> Site {
    // What is in it is old.
    let site = Site::new().environment("EDGE_GATEWAY_STORE__KEEP", "3650d");
    site.change("PRAGMA journal_mode = wal");
    for migration in &migrations()[..version] {
        site.change(migration);
    }
    site.change(&format!("PRAGMA user_version = {version}"));
    site
}

fn version(site: &Site) -> i64 {
    site.sql("PRAGMA user_version")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_each_version_is_taken_up_with_all_it_holds() {
    let newest = migrations().len();
    assert!(10 <= newest);
    for from in 1..=newest {
        let mut site = of_version(from);
        for (first, last, rows) in ROWS {
            if (*first..=*last).contains(&from) {
                site.change(rows);
            }
        }
        let gateway = site.start();
        assert_eq!(version(&site), newest as i64, "from {from}");
        let of = |path: &str| -> Value { get_json(&gateway, path) };
        let ids = |list: &Value, key: &str| -> Vec<i64> {
            let items = list["items"].as_array().unwrap();
            items
                .iter()
                .map(|item| item[key].as_i64().unwrap())
                .collect()
        };
        let readings = of("/api/v1/readings");
        assert_eq!(ids(&readings, "id"), [6, 5, 4, 3, 2, 1], "from {from}");
        assert_eq!(
            readings["items"][4],
            json!({"id": 2, "sensor_id": "s1", "value": 90.0, "ts": 1_764_000_001_000_i64,
                   "received_at": 1_764_000_001_000_i64, "tags": ["high"], "attributes": {"seq": 7}}),
            "from {from}"
        );
        assert_eq!(readings["items"][3]["received_at"], 1_764_000_001_995_i64);
        assert_eq!(ids(&of("/api/v1/readings?sensor=h1/temp"), "id"), [6, 5, 3]);
        assert_eq!(
            of("/data"),
            json!({"s1": 95.0, "h1/temp": 1e300}),
            "from {from}"
        );
        assert_eq!(of("/status"), json!({"d1": "online"}));
        let sensors = of("/api/v1/sensors");
        assert_eq!(ids(&sensors, "count"), [3, 3], "from {from}");
        assert_eq!(
            ids(&of("/api/v1/alerts"), "alert_id"),
            [2, 1],
            "from {from}"
        );
        let series = of("/api/v1/series?sensor=s1&from=1764000000000&to=1764000004000&points=1");
        assert_eq!(series["items"][0]["count"], 3, "from {from}");
        assert_eq!(of("/api/v1/outbox")["pending"], 4, "from {from}");
        let letters = of("/api/v1/dead-letters");
        assert_eq!(letters["items"][0]["reading"]["id"], 6, "from {from}");
        assert_eq!(letters["items"][0]["answer"], "too large");
        assert_eq!(of("/api/v1/rejects")["items"][0]["reason"], "broken");
        if 2 <= from {
            assert_eq!(
                site.sql_all::<String>("SELECT topic FROM retained"),
                ["kept"],
                "from {from}"
            );
            for table in ["session", "subscription", "queued", "exchange"] {
                assert_eq!(
                    site.sql::<i64>(&format!("SELECT count(*) FROM {table}")),
                    1,
                    "{table} from {from}"
                );
            }
        }
        post_readings(&gateway, "s1", 1.0, 0..1);
        assert_eq!(site.sql::<i64>("SELECT max(id) FROM readings"), 7);
        assert_eq!(gateway.stop().code(), Some(0));
        let checked = site.succeed(&["store", "check"]);
        assert!(
            checked.contains("sound: 7 readings"),
            "from {from}: {checked}"
        );

        let cloud = Cloud::default().start().await.unwrap();
        site.configure(&cloud_section(&cloud, ""));
        let gateway = site.start();
        eventually("all that waited is delivered", || {
            (site.sql::<i64>("SELECT count(*) FROM outbox") == 0).then_some(())
        })
        .await;
        cloud
            .wait_for(|stats| stats.distinct == 4, LIMIT)
            .await
            .unwrap();
        assert_eq!(cloud.delivered_ids(), [1, 2, 4, 5], "from {from}");
        assert_eq!(gateway.stop().code(), Some(0));
    }
}

/// A store of version 4 with more in its outbox than a transaction keeps in memory.
fn large() -> Site {
    let site = of_version(4);
    site.change(ROWS[0].2);
    site.change(
        "DELETE FROM reading; UPDATE counter SET reading = 400000, sensors_saved_upto = 400000;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000)
             INSERT INTO reading SELECT i, 1, 60, 1764000000000 + i, 0, NULL, NULL FROM n;
         INSERT INTO outbox_entry SELECT id FROM reading;
         PRAGMA wal_checkpoint(TRUNCATE);",
    );
    site
}

/// As version 4 left it.
fn assert_is_untouched(site: &Site) {
    assert_eq!(version(site), 4);
    let columns: Vec<String> = site.sql_all("SELECT name FROM pragma_table_info('outbox_entry')");
    assert_eq!(columns, ["reading"]);
    assert_eq!(
        site.sql::<i64>("SELECT count(*) FROM outbox_entry"),
        400_000
    );
    assert_eq!(site.sql::<String>("PRAGMA quick_check"), "ok");
}

fn assert_is_taken_up(site: &Site) {
    let gateway = site.start();
    assert_eq!(version(site), migrations().len() as i64);
    assert_eq!(get_json(&gateway, "/api/v1/outbox")["pending"], 400_000);
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn a_start_that_is_killed_in_the_middle_leaves_the_older_store() {
    let site = large();
    // So that there is a configuration.
    site.run(&["check"]);
    let log = site.path("gateway.db-wal");
    let written = || log.metadata().map_or(0, |log| log.len());
    for bytes in [1, 500_000, 1_500_000] {
        let mut child = command()
            .args(["--config", &site.name("gateway.toml")])
            .spawn()
            .unwrap();
        wait_until("it writes", || bytes <= written());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_is_untouched(&site);
        fs::remove_file(&log).unwrap();
    }
    assert_is_taken_up(&site);
}

#[test]
fn a_disk_that_is_full_meanwhile_leaves_the_older_store() {
    let site = large();
    site.run(&["check"]);
    // A megabyte for each file, in blocks of 512 bytes; what is there is larger and is not written to.
    let mut limited = command_in(r#"trap "" XFSZ; ulimit -f 2048; exec "$0" "$@""#);
    limited.args(["--config", &site.name("gateway.toml")]);
    let ended = finish(limited);
    ended.is_refused(74, &["the gateway does not start", "cannot be opened"]);
    assert_is_untouched(&site);
    assert_is_taken_up(&site);
}

#[test]
fn a_newer_store_is_refused_and_stays() {
    let site = Site::new();
    let gateway = site.start();
    post_readings(&gateway, "s1", 1.0, 0..1);
    assert_eq!(gateway.stop().code(), Some(0));
    site.change("PRAGMA user_version = 99");
    for words in [
        &["run"][..],
        &["export"],
        &["store", "check"],
        &["store", "compact"],
        &["backup", &site.name("b.db")],
    ] {
        site.run(words)
            .is_refused(74, &["newer gateway", "schema 99"]);
    }
    assert_eq!(version(&site), 99);
    assert_eq!(site.sql::<i64>("SELECT count(*) FROM readings"), 1);
}
