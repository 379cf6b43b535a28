//! Rules: which readings raise an alert, are forwarded, tagged or dropped, and which rules are refused.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::frames::{BOTH, Publish, V5, V311};
use crate::support::http::{get_json, post};
use crate::support::program::run_with;
use crate::support::raw::Raw;
use crate::support::{Gateway, Site};

fn serve_at(site: &Site, test: impl FnOnce(&Gateway<'_>)) {
    let gateway = site.start();
    test(&gateway);
    assert_eq!(gateway.stop().code(), Some(0));
}

#[track_caller]
fn publish(gateway: &Gateway<'_>, topic: &str, payload: &str) {
    let mut sensor = Raw::connect(gateway, V5, "sensor");
    let reason = sensor.publish(Publish::new(topic, payload).qos(1, 0));
    assert_eq!(reason, 0, "{payload}");
}

#[test]
fn only_values_over_75_raise_an_alert_and_only_those_over_50_are_forwarded() {
    // Value, and whether it is alerted and forwarded.
    const TABLE: &[(&str, bool, bool)] = &[
        ("-80", false, false),
        ("0", false, false),
        ("49.9999999", false, false),
        ("50", false, false),
        ("50.0", false, false),
        ("50.0000001", false, true),
        ("74.9999999", false, true),
        ("75", false, true),
        ("7.5e1", false, true),
        ("75.0000001", true, true),
        ("80.5", true, true),
        ("1e300", true, true),
    ];
    let site = Site::new();
    serve_at(&site, |gateway| {
        for (index, (value, is_alerted, is_forwarded)) in TABLE.iter().enumerate() {
            let payload = format!(r#"{{"id":"s{index}","value":{value}}}"#);
            if index % 2 == 0 {
                publish(gateway, "sensors/x", &payload);
            } else {
                assert_eq!(post(gateway, "/data", &payload).status, 201);
            }
            let newest = "(SELECT max(id) FROM readings)";
            let alerts = format!("SELECT count(*) FROM alerts WHERE reading_id = {newest}");
            let outbox = format!("SELECT count(*) FROM outbox WHERE reading_id = {newest}");
            let tags: String = site.sql(&format!("SELECT tags FROM readings WHERE id = {newest}"));
            assert_eq!(site.sql::<bool>(&alerts), *is_alerted, "{value}");
            assert_eq!(site.sql::<bool>(&outbox), *is_forwarded, "{value}");
            let expected = if *is_alerted { r#"["high"]"# } else { "[]" };
            assert_eq!(tags, expected, "{value}");
        }
        let page = get_json(gateway, "/api/v1/readings?limit=1");
        assert_eq!(page["items"][0]["tags"], json!(["high"]));
    });
}

#[test]
fn an_alert_comes_as_the_contract_says() {
    let site = Site::new();
    serve_at(&site, |gateway| {
        let mut watchers =
            BOTH.map(|version| Raw::connect(gateway, version, &format!("w{version}")));
        for watcher in &mut watchers {
            watcher.subscribe("alerts/#", 2);
        }
        let mut seen = BTreeSet::new();
        let mut check = |sensor_id: &str, value: f64, attributes: Value, ts: Option<i64>| {
            let of_reading = |column: &str| -> i64 {
                let of_sensor = format!("FROM readings WHERE sensor_id = '{sensor_id}'");
                site.sql(&format!("SELECT {column} {of_sensor}"))
            };
            let (reading_id, stored_ts) = (of_reading("id"), of_reading("ts"));
            let alert_id: i64 = site.sql("SELECT max(id) FROM alerts");
            assert!(seen.insert(alert_id));
            let expected = json!({
                "gateway_id": "test",
                "alert_id": alert_id,
                "episode": alert_id,
                "rule": "high",
                "state": "raised",
                "sensor_id": sensor_id,
                "value": value,
                "ts": ts.unwrap_or(stored_ts),
                "reading_id": reading_id,
                "attributes": attributes,
            });
            let topic = format!("alerts/{sensor_id}");
            for watcher in &mut watchers {
                let alert = watcher.message();
                assert_eq!((&*alert.topic, alert.qos), (&*topic, 1));
                assert!(!alert.is_retained, "it is live");
                let found: Value = serde_json::from_str(alert.text()).unwrap();
                assert_eq!(found, expected);
            }
            let mut newcomer = Raw::connect(gateway, V311, "newcomer");
            newcomer.subscribe(&topic, 1);
            let alert = newcomer.message();
            assert!(alert.is_retained);
            assert_eq!(alert.qos, 1);
            let found: Value = serde_json::from_str(alert.text()).unwrap();
            assert_eq!(found, expected);
        };
        publish(gateway, "sensors/s1", "80");
        check("s1", 80.0, json!({}), None);
        let whole = r#"{"sensor_id":"boiler/1/top","value":75.5,"ts":1764000000000,"unit":"°C","seq":7,"deep":{"a":[1]}}"#;
        publish(gateway, "sensors/x", whole);
        let attributes = json!({"unit": "°C", "seq": 7, "deep": {"a": [1]}});
        check("boiler/1/top", 75.5, attributes, Some(1_764_000_000_000));
        publish(
            gateway,
            "sensors/hall",
            r#"{"temperature":99,"humidity":40,"unit":"°C"}"#,
        );
        check("hall/temperature", 99.0, json!({"unit": "°C"}), None);
        assert_eq!(
            post(gateway, "/data", r#"{"id":"web","value":81}"#).status,
            201
        );
        check("web", 81.0, json!({}), None);
    });
}

#[test]
fn each_reading_over_75_is_an_event_of_its_own() {
    let site = Site::new();
    serve_at(&site, |gateway| {
        let mut watcher = Raw::connect(gateway, V5, "watcher");
        watcher.subscribe("alerts/s1", 1);
        publish(
            gateway,
            "sensors/s1",
            r#"[{"id":"s1","value":80},{"id":"s1","value":80},{"id":"s1","value":10},{"id":"s1","value":81}]"#,
        );
        publish(gateway, "sensors/s1", "80");
        let alerts = [(); 5].map(|()| serde_json::from_str::<Value>(&watcher.text()).unwrap());
        let values = alerts
            .each_ref()
            .map(|alert| alert["value"].as_f64().unwrap());
        assert_eq!(
            values,
            [80.0, 80.0, 10.0, 81.0, 80.0],
            "in the order of the readings"
        );
        let states = alerts
            .each_ref()
            .map(|alert| alert["state"].as_str().unwrap());
        assert_eq!(states, ["raised", "raised", "cleared", "raised", "raised"]);
        let ids: Vec<i64> = alerts
            .iter()
            .map(|a| a["alert_id"].as_i64().unwrap())
            .collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
        assert_eq!(site.sql::<i64>("SELECT count(*) FROM alerts"), 5);
        let view = "SELECT id || rule || state || sensor_id || value FROM alerts ORDER BY id";
        let expected: Vec<String> = ids
            .iter()
            .zip(states)
            .zip(values)
            .map(|((id, state), value)| format!("{id}high{state}s1{value:.1}"))
            .collect();
        assert_eq!(site.sql_all::<String>(view), expected);
        let episodes = alerts
            .each_ref()
            .map(|alert| alert["episode"].as_i64().unwrap());
        assert_eq!(episodes, [ids[0], ids[0], ids[0], ids[3], ids[3]]);
    });
}

#[test]
fn a_status_raises_no_alert_and_an_alert_is_no_reading() {
    let site = Site::new();
    serve_at(&site, |gateway| {
        publish(gateway, "status/d1", "99");
        publish(gateway, "other/s1", "99");
        publish(gateway, "sensors/s1", "99");
        for view in ["readings", "alerts", "outbox"] {
            let count = format!("SELECT count(*) FROM {view}");
            assert_eq!(site.sql::<i64>(&count), 1, "{view}");
        }
    });
}

#[test]
fn rules_of_the_file_replace_the_defaults() {
    let site = Site::with(
        r#"
[[rule]]
name = "cold"
when = 'value < 0 && sensor_id.startsWith("freezer/")'
actions = ["alert", "forward", "tag:urgent"]
[[rule]]
name = "test"
when = 'has(attributes.test) && attributes.test == true'
actions = ["drop"]
[[rule]]
name = "hall"
when = 'topic == "sensors/hall" && ts > 0'
actions = ["tag:hall", "tag:urgent"]
[[rule]]
name = "unit"
when = 'has(attributes.unit) && attributes.unit == "°C"'
actions = ["tag:celsius"]
"#,
    );
    serve_at(&site, |gateway| {
        let mut watcher = Raw::connect(gateway, V5, "watcher");
        watcher.subscribe("alerts/#", 1);
        publish(gateway, "sensors/s1", "99");
        publish(
            gateway,
            "sensors/hall",
            r#"{"id":"freezer/1","value":-1,"unit":"°C"}"#,
        );
        publish(
            gateway,
            "sensors/s1",
            r#"{"id":"freezer/2","value":-2,"test":true}"#,
        );
        publish(
            gateway,
            "sensors/s1",
            r#"{"id":"freezer/3","value":-3,"test":false}"#,
        );
        publish(gateway, "sensors/s1", r#"{"id":"freezer/4","value":0}"#);
        let found: Vec<String> =
            site.sql_all("SELECT sensor_id || ' ' || tags FROM readings ORDER BY id");
        let expected = [
            "s1 []",
            r#"freezer/1 ["cold","urgent","hall","celsius"]"#,
            r#"freezer/3 ["cold","urgent"]"#,
            "freezer/4 []",
        ];
        assert_eq!(found, expected);
        assert_eq!(site.sql::<i64>("SELECT count(*) FROM outbox"), 2);
        let alerts = [watcher.message().topic, watcher.message().topic];
        assert_eq!(alerts, ["alerts/freezer/1", "alerts/freezer/3"]);
        assert_eq!(site.sql::<i64>("SELECT count(*) FROM alerts"), 2);
    });
}

#[test]
fn an_empty_list_of_rules_asks_for_none() {
    let site = Site::new().environment("EDGE_GATEWAY_RULE", "[]");
    serve_at(&site, |gateway| {
        publish(gateway, "sensors/s1", "99");
        assert_eq!(site.sql::<String>("SELECT tags FROM readings"), "[]");
        assert_eq!(site.sql::<i64>("SELECT count(*) FROM alerts"), 0);
        assert_eq!(site.sql::<i64>("SELECT count(*) FROM outbox"), 0);
    });
}

/// A site with one good rule and one called `bad`; its condition stands in line 15.
fn with_condition(when: &str) -> Site {
    let rules = format!(
        "\n[[rule]]\nname = \"good\"\nwhen = \"value > 1\"\nactions = [\"alert\"]\n\
         [[rule]]\nname = \"bad\"\nwhen = {when:?}\nactions = [\"alert\"]\n"
    );
    Site::with(&rules)
}

#[test]
fn a_rule_that_cannot_work_is_refused_with_its_name_and_place() {
    for (when, column, reason) in [
        ("value >", 16, "ends too early: expected a value"),
        ("value > 75)", 19, "unexpected `)`"),
        ("value ? 1", 18, "ends too early: expected `:`"),
        ("value + 1.0", 9, "bool"),
        ("'high'", 9, "bool"),
        ("sensor_id", 9, "bool"),
        (
            "valeu > 75",
            9,
            "unknown name `valeu`, did you mean `value`?",
        ),
        (
            "value > 1 && temperature > 2",
            22,
            "unknown name `temperature`; known are value, ",
        ),
        ("value > 'a'", 9, "value > 'a'"),
        ("nothing(value)", 9, "nothing"),
        ("", 8, "condition"),
    ] {
        let site = with_condition(when);
        let config = site.config();
        let place = format!("{}:16:{column}: rule `bad`: when: ", config.display());
        for command in [&["check"][..], &["run"], &[]] {
            let ended = run_with(&config, command);
            ended.is_refused(64, &[&place, reason]);
        }
    }
}

#[test]
fn every_bad_rule_is_reported() {
    let site = Site::with(
        "\n[[rule]]\nname = \"one\"\nwhen = \"value >\"\nactions = [\"alert\"]\n\
         [[rule]]\nname = \"two\"\nwhen = \"volume > 1\"\nactions = [\"alert\"]\n",
    );
    run_with(&site.config(), &["check"]).is_refused(64, &["`one`", "`two`"]);
}

#[test]
fn a_huge_condition_is_refused_and_a_deep_one_crashes_nothing() {
    let huge = vec!["value > 1"; 1600].join(" || ");
    let site = with_condition(&huge);
    for command in [&["check"][..], &["run"]] {
        run_with(&site.config(), command).is_refused(64, &["gateway.toml:16:8: ", "1024"]);
    }
    let deep = [
        format!("{}value > 1{}", "(".repeat(500), ")".repeat(500)),
        format!("{}true", "!".repeat(1000)),
        format!("{}{}", "[".repeat(500), "]".repeat(500)),
        format!("value > {}1.0", "-".repeat(1000)),
        vec!["value>1"; 110].join("||"),
        "value>1?".repeat(60) + "true" + &":false".repeat(60),
    ];
    for when in deep {
        let ended = run_with(&with_condition(&when).config(), &["check"]);
        assert!(matches!(ended.code, Some(0 | 64)), "{when}: {ended:?}");
    }
}

#[test]
fn the_longest_condition_is_evaluated() {
    let mut when = String::from("value > 75.0");
    while when.len() + 8 <= 1024 {
        when.push_str("||value<0");
        when.truncate(1024);
    }
    let when = &when[..when.rfind("||").unwrap()];
    let site = with_condition(when);
    serve_at(&site, |gateway| {
        publish(gateway, "sensors/s1", "76");
        let tags: String = site.sql("SELECT tags FROM readings");
        assert_eq!(tags, r#"["good","bad"]"#);
    });
}
