//! `GET /api/v1/alerts`: the history as it went over the topic, and what is open, also across SIGKILL.

use serde_json::{Value, json};

use super::{check_problem, keys, serve_at};
use crate::support::frames::V5;
use crate::support::http::{get, get_json, post};
use crate::support::raw::Raw;
use crate::support::{Gateway, Site, wait_until};

const RULES: &str = r#"
[[rule]]
name = "hot"
when = "value > 75"
clear = "value < 70"
repeat = "on-change"
severity = "critical"
message = "%{sensor_id} is at %{value}"
group_by = "attributes.line"
actions = ["alert"]
[[rule]]
name = "every"
when = "value > 90"
actions = ["alert"]
"#;

fn post_value(gateway: &Gateway<'_>, sensor: &str, value: f64) {
    let body = json!({"id": sensor, "value": value, "line": sensor}).to_string();
    assert_eq!(post(gateway, "/data", &body).status, 201);
}

fn items(gateway: &Gateway<'_>, query: &str) -> Vec<Value> {
    let page = get_json(gateway, &format!("/api/v1/alerts?{query}"));
    page["items"].as_array().unwrap().clone()
}

/// Rule, sensor and state of each.
fn shown(items: &[Value]) -> Vec<String> {
    let text = |item: &Value, key: &str| item[key].as_str().unwrap().to_owned();
    items
        .iter()
        .map(|item| {
            ["rule", "sensor_id", "state"]
                .map(|key| text(item, key))
                .join(" ")
        })
        .collect()
}

#[test]
fn the_history_has_each_event_as_it_stood_on_its_topic() {
    let site = Site::with(RULES);
    serve_at(&site, |gateway| {
        let mut watcher = Raw::connect(gateway, V5, "watcher");
        watcher.subscribe("alerts/#", 1);
        for value in [80.0, 95.0, 96.0, 20.0] {
            post_value(gateway, "s1", value);
        }
        post_value(gateway, "s2", 80.0);
        let acknowledged = post(gateway, "/api/v1/alerts/6/ack", "");
        assert_eq!(acknowledged.status, 200);
        let mut told: Vec<Value> = (0..7)
            .map(|_| serde_json::from_str(&watcher.text()).unwrap())
            .collect();
        told.sort_by_key(|alert| -alert["alert_id"].as_i64().unwrap());
        let page = get_json(gateway, "/api/v1/alerts");
        assert_eq!(page, json!({"items": told, "next": null}));
        let optional = ["severity", "message", "group"];
        let has = |item: &Value| optional.map(|key| keys(item).contains(key));
        for item in &told {
            assert_eq!(has(item), [item["rule"] == "hot"; 3], "{item}");
        }
        assert_eq!(shown(&told[..1]), ["hot s2 acknowledged"]);
        assert_eq!(items(gateway, "rule=every&state=raised").len(), 2);
        assert_eq!(items(gateway, "sensor=s2"), told[..2]);
    });
}

#[test]
fn what_is_open_is_known_after_kills_and_clean_ends() {
    let mut site = Site::with(RULES);
    let mut gateway = site.start();
    for (sensor, value) in [("s1", 80.0), ("s2", 95.0), ("s3", 80.0), ("s3", 60.0)] {
        post_value(&gateway, sensor, value);
    }
    let expected = ["every s2 raised", "hot s2 raised", "hot s1 raised"];
    assert_eq!(shown(&items(&gateway, "state=open")), expected);
    gateway.kill();
    gateway = site.start();
    assert_eq!(shown(&items(&gateway, "state=open")), expected);
    assert_eq!(post(&gateway, "/api/v1/alerts/1/ack", "").status, 200);
    post_value(&gateway, "s2", 99.0);
    let open = items(&gateway, "state=open");
    gateway.kill();
    gateway = site.start();
    assert_eq!(items(&gateway, "state=open"), open);
    let expected = ["every s2 raised", "hot s2 raised", "hot s1 acknowledged"];
    assert_eq!(shown(&open), expected);
    assert_eq!(open[0]["value"], 99.0, "the newest event");
    assert_eq!(gateway.stop().code(), Some(0));
    gateway = site.start();
    assert_eq!(items(&gateway, "state=open"), open);
    post_value(&gateway, "s2", 20.0);
    assert_eq!(shown(&items(&gateway, "state=open")), expected[2..]);
    gateway.kill();
    site.configure("");
    let gateway = site.start();
    wait_until("the rule is gone, and so is its alert", || {
        items(&gateway, "state=open").is_empty()
    });
    assert_eq!(shown(&items(&gateway, "limit=1")), ["hot s1 cleared"]);
    gateway.stop();
}

#[test]
fn open_is_what_the_rules_remember() {
    let site = Site::with(&RULES.replace("on-change", "10m"));
    let gateway = site.start();
    post_value(&gateway, "s1", 80.0);
    post_value(&gateway, "s2", 80.0);
    gateway.stop();
    // As if the rules had forgotten one alert without a word, and the store had lost the other one.
    site.change("DELETE FROM rule_state WHERE subject = 's1'");
    site.change("UPDATE counter SET rules_saved_upto = alert");
    site.change("DELETE FROM open_alert WHERE episode = 2");
    let gateway = site.start();
    wait_until("the rules say what is open", || {
        shown(&items(&gateway, "state=open")) == ["hot s2 raised"]
    });
    gateway.stop();
}

#[test]
fn pages_of_alerts_neither_skip_nor_repeat_while_new_ones_come_in() {
    let site = Site::new();
    serve_at(&site, |gateway| {
        let post_some = || {
            let two = r#"[{"id":"s1","value":90},{"id":"s2","value":80},{"id":"s1","value":1}]"#;
            assert_eq!(post(gateway, "/data", two).status, 201);
        };
        (0..30).for_each(|_| post_some());
        for filter in ["true", "state = 'cleared'", "sensor_id = 's2'"] {
            let query = match filter {
                "true" => "",
                "state = 'cleared'" => "&state=cleared",
                _ => "&sensor=s2",
            };
            let rows = format!("SELECT id FROM alerts WHERE {filter} ORDER BY id DESC");
            let expected: Vec<i64> = site.sql_all(&rows);
            let mut found = Vec::new();
            let mut after = String::new();
            loop {
                let page = get_json(gateway, &format!("/api/v1/alerts?limit=7{query}{after}"));
                let items = page["items"].as_array().unwrap();
                assert!(items.len() <= 7);
                found.extend(items.iter().map(|item| item["alert_id"].as_i64().unwrap()));
                if page["next"].is_null() {
                    break;
                }
                after = format!("&after={}", page["next"]);
                post_some();
            }
            assert_eq!(found, expected, "{filter}");
        }
    });
}

#[test]
fn a_question_about_alerts_that_nobody_can_answer_is_a_problem() {
    let site = Site::new();
    serve_at(&site, |gateway| {
        for bad in [
            "limit=0",
            "limit=1001",
            "after=x",
            "state=closed",
            "sensor=a%2Bb",
            "rule=",
            "from=yesterday",
            "to=-1",
            "colour=red",
            "limit=1&limit=1",
        ] {
            check_problem(&get(gateway, &format!("/api/v1/alerts?{bad}")), 400);
        }
        let nothing = get_json(gateway, "/api/v1/alerts?state=open");
        assert_eq!(nothing, json!({"items": [], "next": null}));
    });
}
