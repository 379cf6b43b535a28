//! `edge-gateway export`: all that is stored and asked for, once, in its order, beside a gateway or without one.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use serde_json::Value;

use crate::support::http::{get, post, post_readings};
use crate::support::{Site, command};

/// More than one block of the index.
const STORED: u64 = 40_000;

fn ids(ndjson: &str) -> Vec<i64> {
    let id = |line: &str| {
        serde_json::from_str::<Value>(line).unwrap()["id"]
            .as_i64()
            .unwrap()
    };
    ndjson.lines().map(id).collect()
}

#[test]
fn everything_is_exported_once_and_in_order_beside_a_gateway_and_without_one() {
    let site = Site::new();
    let gateway = site.start();
    for part in 0..STORED / 2000 {
        let sensor = ["s1", "s7", "s1"][part as usize % 3];
        post_readings(&gateway, sensor, 1.0, part * 2000..(part + 1) * 2000);
    }
    let check = |filter: &[&str], which: &str| {
        let mut words = vec!["export", "--format", "ndjson"];
        words.extend(filter);
        let expected: Vec<i64> = site.sql_all(&format!(
            "SELECT id FROM readings WHERE {which} ORDER BY id"
        ));
        assert!(ids(&site.succeed(&words)) == expected, "{filter:?}");
    };
    let middle: i64 = site.sql("SELECT ts FROM readings WHERE id = 20000");
    let all = |check: &dyn Fn(&[&str], &str)| {
        check(&[], "true");
        check(&["--sensor", "s7"], "sensor_id = 's7'");
        check(&["--sensor", "nobody"], "false");
        check(&["--from", &middle.to_string()], &format!("ts >= {middle}"));
        check(
            &["--to", &middle.to_string(), "--sensor", "s1"],
            &format!("sensor_id = 's1' AND ts < {middle}"),
        );
        check(&["--from", "2h"], "true");
        check(&["--to", "2h"], "false");
        check(&["--from", "2199-12-31T23:59:59Z"], "false");
    };
    all(&check);
    assert_eq!(gateway.stop().code(), Some(0));
    all(&check);
}

#[test]
fn rows_are_as_the_api_has_them() {
    let site = Site::new();
    let gateway = site.start();
    let body = r#"[{"id":"a,\"b","value":80.5,"note":"x\ny","n":{"deep":[1]}},{"id":"s2","value":1,"ts":5}]"#;
    assert_eq!(post(&gateway, "/data", body).status, 201);
    for format in ["csv", "ndjson"] {
        let exported = site.succeed(&["export", "--format", format]);
        let mut streamed: Vec<String> = get(&gateway, &format!("/api/v1/readings?format={format}"))
            .body
            .lines()
            .map(str::to_owned)
            .collect();
        // The API has the newest first.
        let head = usize::from(format == "csv");
        streamed[head..].reverse();
        assert_eq!(exported.lines().collect::<Vec<_>>(), streamed, "{format}");
    }
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn large_readings_go_through_in_bounded_pages() {
    let site = Site::new();
    let gateway = site.start();
    // 40 MB, of which 4 MB are read at once.
    let long = "x".repeat(200_000);
    for number in 0..200 {
        let body = format!(r#"{{"id":"s1","value":{number},"long":"{long}"}}"#);
        assert_eq!(post(&gateway, "/data", &body).status, 201);
    }
    let exported = site.succeed(&["export", "--format", "ndjson"]);
    assert_eq!(ids(&exported), (1..=200).collect::<Vec<i64>>());
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let site = Site::new();
    let gateway = site.start();
    for part in 0..STORED / 2000 {
        post_readings(&gateway, "s1", 1.0, part * 2000..(part + 1) * 2000);
    }
    let mut export = command();
    export.args(["--config", &site.name("gateway.toml"), "export"]);
    let mut child = export
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    lines.read_line(&mut first).unwrap();
    assert_eq!(
        first,
        "id,sensor_id,value,ts,received_at,tags,attributes\r\n"
    );
    drop(lines);
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!((child.wait().unwrap().code(), &*said), (Some(0), ""));
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn times_that_are_none_are_refused_with_what_was_expected() {
    let site = Site::new();
    for words in [
        ["--from", "yesterday"],
        ["--to", "2026-13-01T00:00:00Z"],
        ["--from", ""],
    ] {
        let ended = site.run(&["export", words[0], words[1]]);
        ended.is_refused(64, &["RFC 3339", "2h"]);
    }
}
