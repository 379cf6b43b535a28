//! What could not be read: listed, read once more, thrown away, by HTTP and from the command line.

use serde_json::json;

use super::check_problem;
use crate::support::frames::{Publish, V5};
use crate::support::http::{get_json, send};
use crate::support::program::ask;
use crate::support::raw::Raw;
use crate::support::{Gateway, Site};

/// One that is no reading at all, and an array of which one part is none.
fn publish_bad_ones(gateway: &Gateway<'_>) {
    let mut sensor = Raw::connect(gateway, V5, "s");
    for payload in [r#"{"value":"warm"}"#, r#"[{"value":1},{"value":"x"}]"#] {
        sensor.publish(Publish::new("sensors/s1", payload).qos(1, 0));
    }
}

fn run(gateway: &Gateway<'_>, words: &[&str]) -> (Option<i32>, String, String) {
    ask(gateway, &[&["rejects"], words].concat())
}

#[test]
fn rejects_are_listed_and_looked_after() {
    let site = Site::new();
    let gateway = site.start();
    publish_bad_ones(&gateway);
    let page = get_json(&gateway, "/api/v1/rejects");
    let items = page["items"].as_array().unwrap();
    let payloads: Vec<_> = items.iter().map(|item| &item["payload"]).collect();
    assert_eq!(payloads, [r#"{"value":"warm"}"#, r#"{"value":"x"}"#]);
    for item in items {
        assert_eq!(item["topic"], "sensors/s1");
        assert!(
            item["reason"]
                .as_str()
                .unwrap()
                .starts_with("`value`: expected")
        );
    }
    assert_eq!(page["next"], json!(null));
    let retried = send(&gateway, "POST /api/v1/rejects/1/retry", None, "").unwrap();
    check_problem(&retried, 422);
    let dropped = send(&gateway, "DELETE /api/v1/rejects/1", None, "").unwrap();
    assert_eq!(dropped.status, 200);
    assert_eq!(
        site.sql::<i64>("SELECT group_concat(id) = '2' FROM rejects"),
        1
    );
    // What is dropped stays dropped.
    gateway.kill();
    let gateway = site.start();
    assert_eq!(get_json(&gateway, "/api/v1/rejects")["items"][0]["id"], 2);
    gateway.stop();
}

#[test]
fn the_command_line_does_the_same() {
    let site = Site::new();
    let gateway = site.start();
    publish_bad_ones(&gateway);
    let (code, listed, _) = run(&gateway, &["list"]);
    assert_eq!((code, listed.lines().count()), (Some(0), 2));
    let first: Vec<&str> = listed.lines().next().unwrap().split('\t').collect();
    assert_eq!((first[0], first[2]), ("1", "sensors/s1"));
    assert_eq!(first[4], r#"{\"value\":\"warm\"}"#);
    let (code, _, said) = run(&gateway, &["retry", "--all"]);
    assert_eq!(code, Some(1));
    assert!(
        said.contains("422: it still cannot be read: `value`"),
        "{said}"
    );
    assert!(said.ends_with("0 of 2 read\n"), "{said}");
    assert_eq!(run(&gateway, &["drop", "--all"]).1, "2 given up\n");
    let (code, _, said) = run(&gateway, &["drop", "1"]);
    assert_eq!((code, &*said), (Some(1), "there is no reject 1\n"));
    assert_eq!(
        run(&gateway, &["list"]),
        (Some(0), String::new(), String::new())
    );
    gateway.stop();
}
