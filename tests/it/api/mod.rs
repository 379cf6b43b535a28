//! The API: shapes, codes and content types of the contract.

mod alerts;
mod history;
mod life;
mod rejects;
mod watching;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::frames::{Publish, V5};
use crate::support::http::{Answer, get, get_json, post, send};
use crate::support::raw::Raw;
use crate::support::{Gateway, Site};

fn serve_at(site: &Site, test: impl FnOnce(&Gateway<'_>)) {
    let gateway = site.start();
    test(&gateway);
    assert_eq!(gateway.stop().code(), Some(0));
}

#[track_caller]
fn keys(value: &Value) -> BTreeSet<&str> {
    let object = value.as_object().expect("an object");
    object.keys().map(String::as_str).collect()
}

#[track_caller]
fn check_problem(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.content_type(), "application/problem+json");
    let problem = answer.json();
    assert_eq!(problem["status"], status, "{answer:?}");
    for key in ["type", "title", "detail"] {
        assert!(problem[key].is_string(), "{key}: {answer:?}");
    }
}

#[test]
fn posted_readings_are_stored_before_the_answer() {
    let site = Site::new();
    serve_at(&site, |gateway| {
        let stored = || site.sql::<i64>("SELECT count(*) FROM readings");
        for (body, count) in [
            (r#"{"id":"s1","value":80}"#, 1),
            (r#"{"sensor_id":"s2","value":-1.5,"unit":"°C"}"#, 2),
            (r#"[{"id":"s1","value":81},{"id":"s3","value":0}]"#, 4),
            (r#"{"id":7,"value":1}"#, 5),
        ] {
            let answer = post(gateway, "/data", body);
            assert_eq!(answer.status, 201, "{answer:?}");
            assert_eq!(answer.content_type(), "application/json");
            let expected = json!({"status": "success", "message": "Data received!"});
            assert_eq!(answer.json(), expected);
            assert_eq!(stored(), count);
        }
        let answer = get(gateway, "/data");
        assert_eq!(answer.content_type(), "application/json");
        let expected = json!({"s1": 81.0, "s2": -1.5, "s3": 0.0, "7": 1.0});
        assert_eq!(answer.json(), expected);
        // A body that does not say what it is counts as JSON, as `curl -d` users find out otherwise.
        let unlabelled = send(gateway, "POST /data", None, r#"{"id":"s4","value":4}"#);
        assert_eq!(unlabelled.unwrap().status, 201);
    });
}

#[test]
fn a_post_with_a_fault_stores_nothing_at_all() {
    let site = Site::new();
    serve_at(&site, |gateway| {
        let broken = ["{", "", "[1", "{\"id\":\"s1\" \"value\":1}", "hello"];
        for body in broken {
            check_problem(&post(gateway, "/data", body), 400);
        }
        for (body, index) in [
            (r#"{"id":"s1","value":"80"}"#, 0),
            (r#"{"id":"s1"}"#, 0),
            (r#"{"value":80}"#, 0),
            (r#"{"id":"a+b","value":80}"#, 0),
            (r#"{"id":"s1","value":1,"ts":"yesterday"}"#, 0),
            (r#"[{"id":"s1","value":80},{"id":"s2","value":null}]"#, 1),
            (r#"[{"id":"s1","value":80},{"id":"s2","value":1},7]"#, 2),
            ("[]", 0),
            ("80", 0),
        ] {
            let answer = post(gateway, "/data", body);
            check_problem(&answer, 422);
            assert_eq!(answer.json()["index"], index, "{body}");
        }
        let wrong_type = send(gateway, "POST /data", Some("text/plain"), "{}");
        check_problem(&wrong_type.unwrap(), 415);
        let large = format!(
            r#"{{"id":"s1","value":1,"note":"{}"}}"#,
            "x".repeat(2 << 20)
        );
        check_problem(&post(gateway, "/data", &large), 413);
        for view in ["readings", "rejects"] {
            let count = format!("SELECT count(*) FROM {view}");
            assert_eq!(site.sql::<i64>(&count), 0, "{view}");
        }
    });
}

#[test]
fn a_wrong_method_or_path_is_a_problem_document() {
    let site = Site::new();
    serve_at(&site, |gateway| {
        for (method, path, allowed) in [
            ("DELETE", "/data", "GET HEAD POST"),
            ("PUT", "/status", "GET HEAD POST"),
            ("POST", "/api/v1/readings", "GET HEAD"),
            ("POST", "/api/v1/series", "GET HEAD"),
            ("POST", "/api/v1/outbox", "GET HEAD"),
            ("POST", "/api/v1/alerts", "GET HEAD"),
            ("DELETE", "/metrics", "GET HEAD"),
            ("POST", "/healthz", "GET HEAD"),
            ("POST", "/readyz", "GET HEAD"),
        ] {
            let answer = send(gateway, &format!("{method} {path}"), None, "").unwrap();
            check_problem(&answer, 405);
            let found: BTreeSet<&str> = answer.header("allow").split(',').map(str::trim).collect();
            assert_eq!(found, allowed.split(' ').collect(), "{path}");
        }
        for path in ["/nothing", "/api", "/api/v1", "/data/x", "/api/v2/readings"] {
            check_problem(&get(gateway, path), 404);
        }
    });
}

#[test]
fn a_devices_status_is_taken_from_query_or_body() {
    let site = Site::new();
    serve_at(&site, |gateway| {
        let expected = json!({"status": "success"});
        let answer = post(gateway, "/status?device_id=d1&status=online", "");
        assert_eq!((answer.status, answer.json()), (200, expected.clone()));
        assert_eq!(answer.content_type(), "application/json");
        let answer = post(
            gateway,
            "/status",
            r#"{"device_id":"d2","status":"offline"}"#,
        );
        assert_eq!((answer.status, answer.json()), (200, expected));
        let mut device = Raw::connect(gateway, V5, "d3");
        device.publish(Publish::new("status/d3", r#"{"status":"busy"}"#).qos(1, 0));
        device.publish(Publish::new("status/d1", "asleep").qos(1, 0));
        let answer = get(gateway, "/status");
        assert_eq!(answer.content_type(), "application/json");
        let expected = json!({"d1": "asleep", "d2": "offline", "d3": "busy"});
        assert_eq!(answer.json(), expected);
        check_problem(&post(gateway, "/status?device_id=d1", ""), 422);
        check_problem(&post(gateway, "/status", "{"), 400);
        assert_eq!(get_json(gateway, "/status"), expected);
    });
}

#[test]
fn a_reading_is_shown_with_all_that_is_known_of_it() {
    let site = Site::new();
    serve_at(&site, |gateway| {
        let body = r#"{"id":"a/b","value":80,"ts":"2025-11-24T16:00:00Z","unit":"°C","seq":7}"#;
        assert_eq!(post(gateway, "/data", body).status, 201);
        assert_eq!(
            post(gateway, "/data", r#"{"id":"s2","value":1}"#).status,
            201
        );
        let page = get_json(gateway, "/api/v1/readings");
        assert_eq!(keys(&page), BTreeSet::from(["items", "next"]));
        assert_eq!(page["next"], Value::Null);
        let items = page["items"].as_array().unwrap();
        assert_eq!(items[0]["sensor_id"], "s2", "newest first");
        assert_eq!(
            (&items[0]["tags"], &items[0]["attributes"]),
            (&json!([]), &json!({}))
        );
        let mut found = items[1].clone();
        let received_at = found["received_at"].take().as_i64().unwrap();
        assert!(1_764_000_000_000 < received_at);
        let id: i64 = site.sql("SELECT min(id) FROM readings");
        let expected = json!({
            "id": id, "sensor_id": "a/b", "value": 80.0, "ts": 1_764_000_000_000_i64,
            "received_at": null, "tags": ["high"], "attributes": {"unit": "°C", "seq": 7},
        });
        assert_eq!(found, expected);
        let lines = get(gateway, "/api/v1/readings?format=ndjson");
        assert_eq!(lines.content_type(), "application/x-ndjson");
        let lines: Vec<Value> = lines
            .body
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(&lines, items);
        let of_sensor = get_json(gateway, "/api/v1/readings?sensor=a/b");
        assert_eq!(of_sensor["items"], json!([items[1]]));
        let of_nobody = get_json(gateway, "/api/v1/readings?sensor=nobody");
        assert_eq!(of_nobody, json!({"items": [], "next": null}));
        for bad in [
            "limit=0",
            "limit=x",
            "after=x",
            "format=xml",
            "sensor=a%2Bb",
            "colour=red",
        ] {
            check_problem(&get(gateway, &format!("/api/v1/readings?{bad}")), 400);
        }
    });
}

#[test]
fn pages_neither_skip_nor_repeat_while_readings_come_in() {
    let site = Site::new();
    serve_at(&site, |gateway| {
        let three = r#"[{"id":"s1","value":1},{"id":"s2","value":60},{"id":"s1","value":80}]"#;
        let post_some = || assert_eq!(post(gateway, "/data", three).status, 201);
        (0..30).for_each(|_| post_some());
        for filter in ["", "&sensor=s1"] {
            let rows =
                "SELECT id FROM readings WHERE '' = '{}' OR sensor_id = 's1' ORDER BY id DESC";
            let expected: Vec<i64> = site.sql_all(&rows.replace("{}", filter));
            let mut found = Vec::new();
            let mut after = String::new();
            loop {
                let page = get_json(gateway, &format!("/api/v1/readings?limit=7{filter}{after}"));
                let items = page["items"].as_array().unwrap();
                assert!(items.len() <= 7);
                found.extend(items.iter().map(|item| item["id"].as_i64().unwrap()));
                if page["next"].is_null() {
                    break;
                }
                let next = page["next"].to_string();
                after = format!("&after={}", next.trim_matches('"'));
                post_some();
            }
            assert_eq!(found, expected, "{filter}");
        }
    });
}
