//! What watches the gateway: health, metrics, the outbox, and SQL beside it.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::{Value, json};

use super::{keys, serve_at};
use crate::support::frames::{Publish, V5};
use crate::support::http::{get, get_json, post};
use crate::support::program::finish;
use crate::support::raw::Raw;
use crate::support::{LIMIT, Site, command};

#[test]
fn health_and_readiness_are_told_to_machines() {
    let site = Site::new();
    let gateway = site.start();
    let health = |address: std::net::SocketAddr| {
        let mut command = command();
        command
            .arg("health")
            .env("EDGE_GATEWAY_HTTP__LISTEN", address.to_string());
        finish(command).code
    };
    assert_eq!(get(&gateway, "/healthz").status, 200);
    let ready = get_json(&gateway, "/readyz");
    let names: Vec<&str> = ready["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    assert!(
        names.contains(&"store") && names.contains(&"committer"),
        "{names:?}"
    );
    let address = gateway.http;
    assert_eq!(health(address), Some(0));
    assert_eq!(gateway.stop().code(), Some(0));
    assert_eq!(health(address), Some(1));
}

#[test]
fn all_metrics_of_the_contract_are_there_from_the_start_and_count() {
    const NAMES: &[(&str, &str)] = &[
        ("gateway_readings_received_total", "counter"),
        ("gateway_readings_committed_total", "counter"),
        ("gateway_readings_rejected_total", "counter"),
        ("gateway_readings_lost_total", "counter"),
        ("gateway_alerts_total", "counter"),
        ("gateway_commit_seconds", "histogram"),
        ("gateway_commit_readings", "histogram"),
        ("gateway_store_bytes", "gauge"),
        ("gateway_store_written_bytes_total", "counter"),
        ("gateway_outbox_pending", "gauge"),
        ("gateway_outbox_oldest_seconds", "gauge"),
        ("gateway_uplink_requests_total", "counter"),
        ("gateway_uplink_readings_total", "counter"),
        ("gateway_mqtt_connections", "gauge"),
        ("gateway_mqtt_messages_total", "counter"),
        ("gateway_queue_depth", "gauge"),
        ("gateway_dead_letters", "gauge"),
    ];
    let site = Site::new();
    serve_at(&site, |gateway| {
        let answer = get(gateway, "/metrics");
        assert_eq!(answer.status, 200);
        assert!(
            answer
                .content_type()
                .starts_with("text/plain; version=0.0.4")
        );
        for (name, kind) in NAMES {
            let line = format!("# TYPE {name} {kind}");
            assert!(answer.body.lines().any(|found| found == line), "no {line}");
        }
        let mut sensor = Raw::connect(gateway, V5, "sensor");
        for payload in ["80", "60", "50", "nonsense"] {
            sensor.publish(Publish::new("sensors/s1", payload).qos(1, 0));
        }
        post(gateway, "/data", r#"{"id":"s2","value":81}"#);
        // What a commit brought is counted just after it is acknowledged.
        let started = Instant::now();
        let mut body = String::new();
        while !body.contains(r#"gateway_alerts_total{rule="high",state="raised"} 2"#) {
            assert!(started.elapsed() < LIMIT, "{body}");
            body = get(gateway, "/metrics").body;
        }
        let value = |series: &str| -> f64 {
            let line = body
                .lines()
                .find(|line| line.starts_with(&format!("{series} ")));
            let line = line.unwrap_or_else(|| panic!("no {series} in {body}"));
            line.rsplit(' ').next().unwrap().parse().unwrap()
        };
        assert_eq!(
            value(r#"gateway_readings_received_total{transport="mqtt"}"#),
            4.0
        );
        assert_eq!(
            value(r#"gateway_readings_received_total{transport="http"}"#),
            1.0
        );
        assert_eq!(value("gateway_readings_committed_total"), 4.0);
        assert_eq!(
            value(r#"gateway_alerts_total{rule="high",state="raised"}"#),
            2.0
        );
        assert_eq!(value("gateway_commit_readings_sum"), 4.0);
        assert_eq!(value("gateway_outbox_pending"), 3.0);
        assert_eq!(value("gateway_mqtt_connections"), 1.0);
        assert_eq!(
            value(r#"gateway_mqtt_messages_total{direction="in",qos="1"}"#),
            4.0
        );
        assert_eq!(value("gateway_dead_letters"), 0.0);
        assert!(0.0 < value("gateway_store_bytes"));
        assert!(body.contains("gateway_readings_rejected_total{reason="));
    });
}

#[test]
fn the_views_of_the_contract_can_be_read_while_the_gateway_runs() {
    const VIEWS: &[(&str, &str)] = &[
        (
            "readings",
            "id sensor_id value ts received_at tags attributes",
        ),
        ("alerts", "id rule state sensor_id value ts reading_id"),
        ("rejects", "id topic payload reason received_at"),
        ("dead_letters", "id reading_id status answer at"),
        ("outbox", "reading_id"),
        ("statuses", "device_id status ts"),
    ];
    let site = Site::new();
    serve_at(&site, |gateway| {
        for (view, columns) in VIEWS {
            let names = format!("SELECT name FROM pragma_table_info('{view}') ORDER BY cid");
            assert_eq!(site.sql_all::<String>(&names).join(" "), *columns, "{view}");
            let kind = format!("SELECT type FROM sqlite_schema WHERE name = '{view}'");
            assert_eq!(site.sql::<String>(&kind), "view");
        }
        post(
            gateway,
            "/data",
            r#"{"id":"s1","value":80,"ts":1764000000000,"a":1}"#,
        );
        post(gateway, "/status?device_id=d1&status=online", "");
        let check = |query: &str, expected: &str| assert_eq!(site.sql::<String>(query), expected);
        let reading = "SELECT sensor_id || '|' || value || '|' || ts || '|' || tags || '|' || attributes FROM readings";
        check(reading, r#"s1|80.0|1764000000000|["high"]|{"a":1}"#);
        check(
            "SELECT rule || '|' || state || '|' || sensor_id || '|' || value || '|' || ts FROM alerts",
            "high|raised|s1|80.0|1764000000000",
        );
        let joined = "SELECT count(*) FROM readings r JOIN outbox o ON o.reading_id = r.id \
                      JOIN alerts a ON a.reading_id = r.id";
        assert_eq!(site.sql::<i64>(joined), 1);
        check(
            "SELECT device_id || '|' || status FROM statuses",
            "d1|online",
        );
        assert_eq!(
            site.sql::<String>("SELECT typeof(ts) FROM statuses"),
            "integer"
        );
    });
}

#[test]
fn the_outbox_tells_what_waits() {
    let site = Site::new();
    serve_at(&site, |gateway| {
        let empty = get_json(gateway, "/api/v1/outbox");
        let expected = [
            "pending",
            "oldest_seconds",
            "last_verdict",
            "next_attempt_seconds",
            "drain_seconds",
            "uplinks",
        ];
        assert_eq!(keys(&empty), BTreeSet::from(expected));
        assert_eq!(
            (&empty["pending"], &empty["oldest_seconds"]),
            (&json!(0), &Value::Null)
        );
        let body = r#"[{"id":"s1","value":60},{"id":"s1","value":80},{"id":"s1","value":50}]"#;
        post(gateway, "/data", body);
        let outbox = get_json(gateway, "/api/v1/outbox");
        assert_eq!(outbox["pending"], 2);
        assert!((0.0..60.0).contains(&outbox["oldest_seconds"].as_f64().unwrap()));
        assert_eq!(outbox["uplinks"], json!([]));
    });
}
