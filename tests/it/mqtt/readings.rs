//! Readings and the gateway's own topics: what is taken, what is rejected, who hears of it.

use super::serve_at;
use crate::support::Site;
use crate::support::frames::{BOTH, Publish, V5, V311};
use crate::support::raw::Raw;

#[test]
fn topics_in_any_language_are_topics_of_readings() {
    let site = Site::with("[ingest]\nreadings = [\"étage/+\", \"传感器/#\"]\n");
    serve_at(&site, |gateway| {
        let mut subscriber = Raw::connect(gateway, V311, "subscriber");
        subscriber.subscribe("+/+", 1);
        for version in BOTH {
            let mut sensor = Raw::connect(gateway, version, "sensor");
            for (topic, name) in [("étage/1", "étage"), ("传感器/1", "传感器")] {
                let payload = format!(r#"{{"sensor_id":"{name}/{version}","value":80.5}}"#);
                assert_eq!(sensor.publish(Publish::new(topic, &payload).qos(1, 0)), 0);
                let found = subscriber.message();
                assert_eq!((&*found.topic, found.text()), (topic, &*payload));
            }
            assert_eq!(
                sensor.publish(Publish::new("传感器/温度", "1").qos(2, 0)),
                0
            );
            subscriber.message();
        }
        let found: Vec<String> = site.sql_all("SELECT sensor_id FROM readings ORDER BY id");
        let expected = ["étage/4", "传感器/4", "温度", "étage/5", "传感器/5", "温度"];
        assert_eq!(found, expected);
    });
}

#[test]
fn the_topics_of_the_gateway_are_not_for_clients() {
    let site = Site::new().allow(&["publish refused"]);
    serve_at(&site, |gateway| {
        let mut watcher = Raw::connect(gateway, V5, "watcher");
        for filter in ["#", "alerts/#", "$SYS/#"] {
            watcher.subscribe(filter, 2);
        }
        watcher.messages();
        for version in BOTH {
            let refused = if version == V5 { 0x87 } else { 0 };
            let mut client = Raw::connect(gateway, version, "client");
            for topic in [
                "alerts/x",
                "alerts/a/b",
                "alerts",
                "$SYS/x",
                "$SYS/broker/uptime",
            ] {
                for qos in [0, 1, 2] {
                    let publish = Publish::new(topic, "fake").qos(qos, 0).retained();
                    let reason = client.publish(publish);
                    let expected = if qos == 0 { 0 } else { refused };
                    assert_eq!(reason, expected, "{topic} at {qos}");
                }
            }
            client.publish(Publish::new("end", "end").qos(1, 0));
            let found = watcher.message();
            assert_eq!((&*found.topic, found.text()), ("end", "end"));
        }
        let mut newcomer = Raw::connect(gateway, V311, "newcomer");
        newcomer.subscribe("alerts/#", 0);
        newcomer.subscribe("$SYS/x", 0);
        assert_eq!(newcomer.messages(), [], "nothing of it was retained");
    });
}

#[test]
fn a_reading_that_cannot_be_read_is_acknowledged_and_kept_among_the_rejects() {
    let site = Site::new();
    serve_at(&site, |gateway| {
        let mut watcher = Raw::connect(gateway, V311, "watcher");
        watcher.subscribe("sensors/#", 2);
        let bad: &[&[u8]] = &[
            b"",
            b"\xff\xfe",
            b"hello",
            b"{",
            b"{}",
            b"[]",
            b"NaN",
            b"1e999",
            b"null",
            br#"{"value":"80"}"#,
            br#"{"value":true}"#,
            br#"{"sensor_id":"a+b","value":1}"#,
            br#"{"sensor_id":"","value":1}"#,
            br#"{"value":1,"ts":"yesterday"}"#,
            br#"{"value":1,"value":2}"#,
        ];
        for version in BOTH {
            let refused = if version == V5 { 0x99 } else { 0 };
            let mut sensor = Raw::connect(gateway, version, "sensor");
            for payload in bad {
                for qos in [1, 2] {
                    let reason = sensor.publish(Publish::new("sensors/bad", payload).qos(qos, 0));
                    assert_eq!(reason, refused, "{:?}", String::from_utf8_lossy(payload));
                }
                sensor.publish(Publish::new("sensors/bad", payload));
            }
            sensor.publish(Publish::new("sensors/good", "1").qos(1, 0));
            assert_eq!(watcher.message().topic, "sensors/good");
        }
        let rejected: Vec<Vec<u8>> =
            site.sql_all("SELECT CAST(payload AS BLOB) FROM rejects ORDER BY id");
        let expected: Vec<&[u8]> = BOTH
            .iter()
            .flat_map(|_| bad.iter().flat_map(|payload| [*payload; 3]))
            .collect();
        assert_eq!(rejected, expected);
        let plain = "SELECT count(*) FROM rejects WHERE topic = 'sensors/bad' AND length(reason) > 9 \
                     AND received_at > 1700000000000";
        assert_eq!(site.sql::<i64>(plain), expected.len() as i64);
        assert_eq!(site.sql::<i64>("SELECT count(*) FROM readings"), 2);
    });
}

#[test]
fn of_an_array_the_bad_elements_are_rejected_alone() {
    let site = Site::new();
    serve_at(&site, |gateway| {
        for version in BOTH {
            let payload =
                r#"[{"id":"s1","value":1},{"id":"s2","value":"x"},{"id":"s3","value":3},4]"#;
            let mut sensor = Raw::connect(gateway, version, "sensor");
            for qos in [1, 2] {
                let reason = sensor.publish(Publish::new("sensors/many", payload).qos(qos, 0));
                assert_eq!(reason, 0);
            }
        }
        let stored: Vec<String> = site.sql_all("SELECT sensor_id FROM readings ORDER BY id");
        assert_eq!(stored, ["s1", "s3"].repeat(4));
        let rejected: Vec<String> =
            site.sql_all("SELECT topic || ' ' || CAST(payload AS TEXT) FROM rejects ORDER BY id");
        let expected = [r#"sensors/many {"id":"s2","value":"x"}"#, "sensors/many 4"];
        assert_eq!(rejected, expected.repeat(4));
    });
}

#[test]
fn an_empty_retained_message_is_no_reading() {
    let site = Site::new();
    serve_at(&site, |gateway| {
        for version in BOTH {
            let mut sensor = Raw::connect(gateway, version, "sensor");
            for topic in ["sensors/s1", "status/d1"] {
                let reason = sensor.publish(Publish::new(topic, "").qos(1, 0).retained());
                assert_eq!(reason, 0);
            }
        }
        for view in ["readings", "rejects", "statuses"] {
            let count = format!("SELECT count(*) FROM {view}");
            assert_eq!(site.sql::<i64>(&count), 0, "{view}");
        }
    });
}
