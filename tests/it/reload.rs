//! Rules that are replaced while the gateway runs: by HTTP, by their file, on SIGHUP.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::frames::{PUBACK, Publish, V5};
use crate::support::http::{get_json, post, put};
use crate::support::raw::Raw;
use crate::support::{Gateway, Site, signal, wait_until};

const TOML: &str = "application/toml";
const JSON: &str = "application/json";
const RULES: &str = "/api/v1/rules";

fn site() -> Site {
    Site::new().environment("EDGE_GATEWAY_RULES_FILE", "rules.toml")
}

fn rule(name: &str, over: u32) -> String {
    format!("[[rule]]\nname = \"{name}\"\nwhen = \"value > {over}\"\nactions = [\"alert\"]\n")
}

fn alerts(gateway: &Gateway<'_>, site: &Site, value: f64) -> Vec<String> {
    let before: i64 = site.sql("SELECT coalesce(max(id), 0) FROM alerts");
    let body = json!({"id": "s1", "value": value}).to_string();
    assert_eq!(post(gateway, "/data", &body).status, 201);
    site.sql_all(&format!(
        "SELECT rule || ' ' || state FROM alerts WHERE {before} < id ORDER BY id"
    ))
}

#[test]
fn rules_are_replaced_by_http_and_stay_so() {
    let site = site();
    let gateway = site.start();
    let defaults = get_json(&gateway, RULES);
    assert_eq!(
        defaults["items"][0],
        json!({"name": "high", "when": "value > 75", "actions": ["alert"]})
    );
    assert_eq!(alerts(&gateway, &site, 80.0), ["high raised"]);
    let text = format!("# by hand\n{}{}", rule("high", 75), rule("higher", 90));
    let answer = put(&gateway, RULES, TOML, &text);
    assert_eq!(
        (answer.status, &answer.json()["items"][1]["name"]),
        (200, &json!("higher"))
    );
    assert_eq!(
        alerts(&gateway, &site, 95.0),
        ["high raised", "higher raised"],
        "one alert goes on"
    );
    assert_eq!(
        site.sql::<i64>("SELECT count(DISTINCT episode) FROM alert WHERE rule = 'high'"),
        1
    );
    gateway.kill();
    assert_eq!(
        std::fs::read_to_string(site.path("rules.toml")).unwrap(),
        text,
        "as it was sent"
    );
    let gateway = site.start();
    assert_eq!(
        alerts(&gateway, &site, 96.0),
        ["high raised", "higher raised"]
    );
    let items = json!({"items": [{"name": "higher", "when": "value > 90", "actions": ["alert"], "for": "1h"}]});
    assert_eq!(put(&gateway, RULES, JSON, &items.to_string()).status, 200);
    assert_eq!(get_json(&gateway, RULES)["items"], items["items"]);
    let ended: Vec<String> =
        site.sql_all("SELECT rule FROM alerts WHERE state = 'cleared' ORDER BY rule");
    assert_eq!(ended, ["high", "higher"]);
    gateway.stop();
}

#[test]
fn who_may_read_the_rules_file_and_a_link_to_it_stay_as_they_are() {
    let site = site();
    std::fs::create_dir(site.path("elsewhere")).unwrap();
    let real = site.path("elsewhere/rules.toml");
    std::fs::write(&real, rule("a", 1)).unwrap();
    std::fs::set_permissions(&real, Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink(&real, site.path("rules.toml")).unwrap();
    let gateway = site.start();
    let text = rule("b", 2);
    assert_eq!(put(&gateway, RULES, TOML, &text).status, 200);
    assert_eq!(std::fs::read_to_string(&real).unwrap(), text);
    let mode = std::fs::metadata(&real).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    assert!(site.path("rules.toml").is_symlink());
    gateway.stop();
}

#[test]
fn rules_with_faults_change_nothing_and_each_is_named() {
    let site = site().allow(&["rules stay as they were"]);
    let gateway = site.start();
    let before = get_json(&gateway, RULES);
    let check = |content_type: &str, body: &str, status: u16, parts: &[&str]| -> Value {
        let answer = put(&gateway, RULES, content_type, body);
        assert_eq!(answer.status, status, "{answer:?}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        for part in parts {
            assert!(detail.contains(part), "{part}: {detail}");
        }
        answer.json()
    };
    let text = format!("{}{}colour = 1\n", rule("a b", 1), rule("b", 2));
    let answer = check(TOML, &text, 422, &["a b", "colour"]);
    let lines: Vec<&Value> = answer["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| &fault["line"])
        .collect();
    assert_eq!(lines, [&json!(2), &json!(9)]);
    check(
        TOML,
        &rule("a", 1).replace("value", "valve"),
        422,
        &["unknown name `valve`"],
    );
    check(TOML, "[mqtt]\nlisten = 5", 422, &["mqtt"]);
    check(JSON, "{}", 422, &["a list of rules"]);
    check(JSON, "[{]", 400, &["no JSON"]);
    check("text/plain", "x", 415, &["text/plain"]);
    assert_eq!(get_json(&gateway, RULES), before);
    assert!(!site.path("rules.toml").exists());
    std::fs::write(site.path("rules.toml"), "[[rule]]\nname = 5").unwrap();
    signal(gateway.pid(), "HUP");
    wait_until("the fault is told", || {
        gateway.log().contains("rules stay as they were")
    });
    assert_eq!(get_json(&gateway, RULES), before);
    gateway.stop();
}

#[test]
fn rules_are_read_again_on_sighup_and_when_their_file_changes() {
    let site = site();
    let gateway = site.start();
    std::fs::write(site.path("rules.toml"), rule("first", 10)).unwrap();
    signal(gateway.pid(), "HUP");
    wait_until("they are taken up", || {
        get_json(&gateway, RULES)["items"][0]["name"] == "first"
    });
    assert_eq!(alerts(&gateway, &site, 11.0), ["first raised"]);
    std::fs::write(site.path("rules.toml"), rule("second", 10)).unwrap();
    wait_until("they are taken up", || {
        get_json(&gateway, RULES)["items"][0]["name"] == "second"
    });
    assert_eq!(alerts(&gateway, &site, 11.0), ["second raised"]);
    gateway.stop();
}

#[test]
fn without_a_file_for_them_rules_stand_in_the_configuration() {
    let site = Site::new();
    let gateway = site.start();
    let answer = put(&gateway, RULES, TOML, &rule("a", 1));
    assert_eq!(answer.status, 409);
    assert!(
        answer.json()["detail"]
            .as_str()
            .unwrap()
            .contains("rules_file")
    );
    gateway.stop();
}

#[test]
fn an_alert_is_acknowledged_by_http() {
    let site = Site::new();
    let gateway = site.start();
    assert_eq!(alerts(&gateway, &site, 80.0), ["high raised"]);
    for _ in 0..2 {
        assert_eq!(post(&gateway, "/api/v1/alerts/1/ack", "").status, 200);
    }
    assert_eq!(alerts(&gateway, &site, 81.0), ["high acknowledged"]);
    assert_eq!(post(&gateway, "/api/v1/alerts/99/ack", "").status, 404);
    assert_eq!(post(&gateway, "/api/v1/alerts/x/ack", "").status, 404);
    assert_eq!(site.sql::<i64>("SELECT count(*) FROM alerts"), 3);
    gateway.stop();
}

#[test]
fn what_was_remembered_in_the_commit_in_which_rules_change_survives_a_kill() {
    let jump = "[[rule]]\nname = \"jump\"\nwhen = \"delta > 10\"\nactions = [\"alert\"]\n";
    // The reading and the rules come into one commit.
    let site = site().environment("EDGE_GATEWAY_STORE__GROUP_COMMIT", "500ms");
    std::fs::write(site.path("rules.toml"), jump).unwrap();
    let gateway = site.start();
    let mut sensor = Raw::connect(&gateway, V5, "sensor");
    let id = sensor.next_packet_id();
    let first = Publish::new("sensors/s1", "10").qos(1, id);
    sensor.send(&first.bytes(V5));
    let both = format!("{jump}{}", rule("other", 1000));
    assert_eq!(put(&gateway, RULES, TOML, &both).status, 200);
    sensor.acknowledged(PUBACK);
    gateway.kill();
    let gateway = site.start();
    post(&gateway, "/data", r#"{"id":"s1","value":30}"#);
    let rules: Vec<String> = site.sql_all("SELECT rule FROM alerts");
    assert_eq!(rules, ["jump"], "the reading before is known");
    gateway.stop();
}

#[test]
fn alerts_that_come_while_rules_change_are_ended_once() {
    let site = site().environment("EDGE_GATEWAY_STORE__GROUP_COMMIT", "300ms");
    let (high, other) = (rule("high", 75), rule("other", 1000));
    std::fs::write(site.path("rules.toml"), &high).unwrap();
    let gateway = site.start();
    let events = || -> Vec<String> {
        site.sql_all("SELECT state || ' ' || sensor_id FROM alerts ORDER BY id")
    };
    let open = |gateway: &Gateway<'_>| {
        let alerts = get_json(gateway, "/api/v1/alerts?state=open");
        alerts["items"].as_array().unwrap().len()
    };
    // A reading raises an alert, and its rule goes, within one wait for a commit.
    let mut sensor = Raw::connect(&gateway, V5, "sensor");
    let mut publish = |value: &str| {
        let id = sensor.next_packet_id();
        let reading = Publish::new("sensors/s1", value).qos(1, id);
        sensor.send(&reading.bytes(V5));
    };
    publish("80");
    assert_eq!(put(&gateway, RULES, TOML, &other).status, 200);
    assert_eq!(events(), ["raised s1", "cleared s1"]);
    assert_eq!(open(&gateway), 0);
    // It is back, and a reading comes with it.
    let back = format!("{high}{other}");
    std::thread::scope(|scope| {
        let put = scope.spawn(|| put(&gateway, RULES, TOML, &back).status);
        publish("81");
        assert_eq!(put.join().unwrap(), 200);
    });
    post(&gateway, "/data", r#"{"id":"s1","value":82}"#);
    gateway.kill();
    let gateway = site.start();
    assert_eq!(open(&gateway), 1);
    post(&gateway, "/data", r#"{"id":"s1","value":10}"#);
    assert_eq!(events().last().unwrap(), "cleared s1");
    assert_eq!(open(&gateway), 0);
    gateway.stop();
}

#[test]
fn the_clock_of_the_rules_is_kept_at_a_clean_end() {
    let site = site();
    std::fs::write(
        site.path("rules.toml"),
        "[[rule]]\nname = \"silent\"\nabsent_for = \"1h\"\nactions = [\"alert\"]\n",
    )
    .unwrap();
    let gateway = site.start();
    post(&gateway, "/data", r#"{"id":"s1","value":1}"#);
    let clock = || site.sql::<i64>("SELECT rules_clock FROM counter");
    let (before, since) = (clock(), std::time::Instant::now());
    wait_until("some time has passed", || since.elapsed().as_millis() > 50);
    gateway.stop();
    assert!(before + 50 <= clock(), "time has gone on without a commit");
}

#[test]
fn rules_are_tried_against_the_stored_past() {
    let site = site();
    let gateway = site.start();
    for value in [80, 81, 60, 90, 10, 77] {
        assert_eq!(
            post(
                &gateway,
                "/data",
                &json!({"id": "s1", "value": value}).to_string()
            )
            .status,
            201
        );
    }
    assert_eq!(
        post(&gateway, "/data", r#"{"id":"s2","value":99}"#).status,
        201
    );
    let ask = |arguments: &[&str]| {
        let mut all = vec!["rules", "test"];
        all.extend(arguments);
        let mut command = crate::support::command();
        command
            .arg("--config")
            .arg(site.config())
            .args(all)
            .env("EDGE_GATEWAY_RULES_FILE", "rules.toml");
        crate::support::program::finish(command)
    };
    let told = ask(&["--since", "1h", "--format", "json"]);
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    let high = &told["sets"][0]["rules"][0];
    assert_eq!(
        (&told["readings"], &high["rule"]),
        (&json!(7), &json!("high"))
    );
    // s1: 80 81, 90, 77; s2: 99.
    assert_eq!(
        (&high["raised"], &high["cleared"], &high["events"]),
        (&json!(4), &json!(2), &json!(7))
    );
    let raised: u64 = high["timeline"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part.as_u64().unwrap())
        .sum();
    assert_eq!(raised, 4);
    std::fs::write(site.path("new.toml"), rule("high", 85)).unwrap();
    let path = site.path("new.toml").display().to_string();
    let told = ask(&["--rules", &path, "--diff", "--sensor", "s1"]);
    let lines: Vec<Vec<&str>> = told
        .stdout
        .lines()
        .map(|line| line.split_whitespace().take(3).collect())
        .collect();
    assert_eq!(lines[0], ["6", "readings"]);
    assert_eq!(lines[2][0], "old");
    assert_eq!(lines[3], ["high", "3", "2"]);
    assert_eq!(lines[6][0], "new");
    assert_eq!(lines[7], ["high", "1", "1"]);
    std::fs::write(
        site.path("new.toml"),
        rule("high", 85).replace("value", "valve"),
    )
    .unwrap();
    ask(&["--rules", &path]).is_refused(64, &["new.toml:3", "unknown name `valve`"]);
    ask(&["--rules", "/nowhere/new.toml"]).is_refused(64, &["/nowhere/new.toml: cannot be read"]);
    ask(&["--since", "soon"]).is_refused(64, &["expected a duration"]);
    ask(&["--diff"]).is_refused(64, &["--rules"]);
    assert_eq!(site.sql::<i64>("SELECT count(*) FROM readings"), 7);
    // One that comes late may end an alert, before it began as it were.
    for late in [
        r#"{"id":"late","value":80}"#,
        r#"{"id":"late","value":1,"ts":1000}"#,
    ] {
        assert_eq!(post(&gateway, "/data", late).status, 201);
    }
    let of_late = ask(&["--since", "1h", "--sensor", "late"]);
    assert_eq!(of_late.code, Some(0), "{}", of_late.stderr);
    gateway.stop();
}
