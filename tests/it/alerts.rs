//! Alerts over time: raised, seen and over; windows, silence, and what is made of readings; all of it across SIGKILL.

use serde_json::{Value, json};

use crate::support::frames::{Publish, V5};
use crate::support::http::{metric, post};
use crate::support::program::run_with;
use crate::support::raw::Raw;
use crate::support::{Gateway, Site, wait_until};

fn publish(gateway: &Gateway<'_>, topic: &str, payload: &str) {
    let mut sensor = Raw::connect(gateway, V5, "sensor");
    let reason = sensor.publish(Publish::new(topic, payload).qos(1, 0));
    assert_eq!(reason, 0, "{payload}");
}

fn watch(gateway: &Gateway<'_>, filter: &str) -> Raw {
    let mut watcher = Raw::connect(gateway, V5, "watcher");
    watcher.subscribe(filter, 1);
    watcher
}

fn next(watcher: &mut Raw) -> Value {
    serde_json::from_str(&watcher.text()).unwrap()
}

#[test]
fn an_alert_is_raised_seen_and_over_across_kills() {
    let site = Site::with(
        r#"
[[rule]]
name = "hot"
when = "value > 75"
clear = "value < 70"
repeat = "on-change"
severity = "critical"
message = "%{sensor_id} is at %{value}"
actions = ["alert"]
"#,
    );
    let gateway = site.start();
    let mut watcher = watch(&gateway, "alerts/#");
    publish(&gateway, "sensors/s1", r#"{"value":80,"unit":"°C"}"#);
    let raised = next(&mut watcher);
    assert_eq!(raised["message"], "s1 is at 80");
    assert_eq!(raised["severity"], "critical");
    let id = raised["alert_id"].as_i64().unwrap();
    gateway.kill();
    let gateway = site.start();
    publish(&gateway, &format!("commands/alerts/{id}/ack"), "");
    publish(&gateway, &format!("commands/alerts/{id}/ack"), "");
    publish(&gateway, "commands/alerts/4711/ack", "");
    publish(&gateway, "sensors/s1", "72");
    gateway.kill();
    let gateway = site.start();
    let mut watcher = watch(&gateway, "alerts/s1");
    let seen = next(&mut watcher);
    assert_eq!(
        (&seen["state"], &seen["episode"]),
        (&json!("acknowledged"), &json!(id))
    );
    assert_eq!(seen["attributes"], json!({"unit": "°C"}));
    publish(&gateway, "sensors/s1", "69");
    let over = next(&mut watcher);
    assert_eq!(
        (&over["state"], &over["episode"], &over["value"]),
        (&json!("cleared"), &json!(id), &json!(69.0))
    );
    let states = "SELECT state FROM alerts ORDER BY id";
    assert_eq!(
        site.sql_all::<String>(states),
        ["raised", "acknowledged", "cleared"]
    );
    assert_eq!(
        metric(
            &gateway,
            r#"gateway_alerts_total{rule="hot",state="cleared"}"#
        ),
        1.0
    );
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn a_rule_that_changes_ends_its_alerts_at_the_next_start() {
    let rule =
        |when: &str| format!("[[rule]]\nname = \"r\"\nwhen = \"{when}\"\nactions = [\"alert\"]\n");
    let mut site = Site::with(&rule("value > 75"));
    let gateway = site.start();
    publish(&gateway, "sensors/s1", "80");
    gateway.kill();
    site.configure(&rule("value > 76"));
    let gateway = site.start();
    let mut watcher = watch(&gateway, "alerts/s1");
    // The rules take up what they remember while the first client may be there already.
    let over = loop {
        let alert = next(&mut watcher);
        if alert["state"] != "raised" {
            break alert;
        }
    };
    assert_eq!(
        (&over["state"], &over["episode"]),
        (&json!("cleared"), &json!(1))
    );
    gateway.stop();
    let gateway = site.start();
    assert_eq!(site.sql::<i64>("SELECT count(*) FROM alerts"), 2, "once");
    gateway.stop();
}

#[test]
fn what_takes_time_is_told_without_a_reading() {
    let site = Site::with(
        r#"
[[rule]]
name = "silent"
absent_for = "1s"
actions = ["alert"]
[[rule]]
name = "gone"
absent_for = "1s"
watch = "devices"
actions = ["alert"]
[[rule]]
name = "mean"
when = "avg > 10 && count == 2"
over = "1s"
lateness = "0s"
actions = ["forward", "publish:means/%{sensor_id}"]
"#,
    );
    let gateway = site.start();
    let mut watcher = watch(&gateway, "#");
    let told = |watcher: &mut Raw, topic: &str| loop {
        let message = watcher.message();
        if message.topic == topic && !message.payload.is_empty() {
            let told: Value = serde_json::from_slice(&message.payload).unwrap();
            if message.topic != "sensors/b" {
                return told;
            }
        }
    };
    publish(&gateway, "status/pump", "offline");
    let body =
        r#"[{"id":"b","value":10,"ts":1764000000100},{"id":"b","value":20,"ts":1764000000900}]"#;
    assert_eq!(post(&gateway, "/data", body).status, 201);
    let mean = told(&mut watcher, "means/b");
    assert_eq!(
        (&mean["value"], &mean["tags"]),
        (&json!(15.0), &json!(["mean"]))
    );
    let window = json!({"avg":15.0,"count":2,"max":20.0,"min":10.0,"window_end":1_764_000_001_000_i64,"window_start":1_764_000_000_000_i64});
    assert_eq!(mean["attributes"], window);
    assert_eq!(
        site.sql::<i64>("SELECT reading_id FROM outbox"),
        mean["id"].as_i64().unwrap()
    );
    let silent = told(&mut watcher, "alerts/b");
    assert_eq!(
        (&silent["rule"], &silent["reading_id"]),
        (&json!("silent"), &json!(2))
    );
    gateway.kill();
    let gateway = site.start();
    wait_until("the device is missed", || {
        site.sql::<i64>("SELECT count(*) FROM alerts WHERE rule = 'gone'") == 1
    });
    let mut watcher = watch(&gateway, "alerts/#");
    publish(&gateway, "status/pump", "online");
    loop {
        let alert = next(&mut watcher);
        if alert["rule"] == "gone" && alert["state"] == "cleared" {
            assert_eq!(alert["sensor_id"], "pump");
            break;
        }
    }
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn readings_can_be_thinned_and_a_window_survives_a_kill() {
    let site = Site::with(
        r#"
[[rule]]
name = "thin"
when = "true"
actions = ["downsample:1m"]
lateness = "0s"
"#,
    );
    let reading = |value: f64, second: i64| {
        json!({"id": "s1", "value": value, "ts": 1_764_000_000_000 + second * 1000}).to_string()
    };
    for (value, second) in [(10.0, 0), (30.0, 30), (20.0, 59), (99.0, 60)] {
        let gateway = site.start();
        assert_eq!(post(&gateway, "/data", &reading(value, second)).status, 201);
        gateway.kill();
    }
    let attributes: String = site.sql("SELECT attributes FROM readings");
    let attributes: Value = serde_json::from_str(&attributes).unwrap();
    assert_eq!(
        (&attributes["min"], &attributes["avg"], &attributes["max"]),
        (&json!(10.0), &json!(20.0), &json!(30.0))
    );
    assert_eq!(
        site.sql::<i64>("SELECT ts FROM readings"),
        1_764_000_000_000
    );
}

#[test]
fn keys_of_a_rule_that_mean_nothing_are_refused() {
    let site = Site::with(
        r#"
[[rule]]
name = "a"
when = "value > 1"
every = "1m"
watch = "devices"
actions = ["alert"]
[[rule]]
name = "b"
over = "5m"
every = "2m"
when = "value > 1"
actions = ["tag:x"]
[[rule]]
name = "c"
absent_for = "2m"
for = "10s"
message = "x"
lateness = "1s"
actions = ["forward"]
[[rule]]
name = "d"
when = "value > 1"
repeat = "never"
severity = "bad"
message = "%{nothing}"
actions = ["publish:a/+", "downsample:0s"]
"#,
    );
    let ended = run_with(&site.config(), &["check"]);
    assert_eq!(ended.code, Some(64));
    for part in [
        "rule `a`: every: means nothing without over",
        "rule `a`: watch: means nothing without absent_for",
        "rule `b`: every: does not divide `over`",
        "rule `c`: actions: can only be \"alert\" for what is silent",
        "rule `c`: absent_for: has no for",
        "rule `c`: message: means nothing without the action \"alert\"",
        "rule `c`: lateness: means nothing without windows",
        "rule `d`: repeat: expected \"every\", \"on-change\" or a duration",
        "rule `d`: severity: expected \"info\" or \"warning\" or \"critical\"",
        "rule `d`: message: \"%{nothing}\" stands for nothing here",
        "rule `d`: actions: \"a/+\" is no topic",
        "rule `d`: actions: expected a duration from 1s",
    ] {
        assert!(
            ended.stderr.contains(part),
            "{part} is not in:\n{}",
            ended.stderr
        );
    }
}
