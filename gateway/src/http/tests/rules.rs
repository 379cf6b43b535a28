//! Rules that are checked, and tried against the stored past, without being replaced.

use super::*;

const RULE: &str = r#"{"rule":[{"name":"warm","when":"value > 20","clear":"value < 10","repeat":"on-change","actions":["alert"]}]}"#;

#[tokio::test]
async fn rules_are_checked_and_nothing_changes() {
    let house = House::open();
    let check = |body: &'static str| house.post("/api/v1/rules/check", body);
    let fine = check(RULE).await;
    assert_eq!(fine.is(200).json(), json!({"status": "success"}));
    let problem = check(r#"{"rule":[{"name":"a","when":"value >","actions":["alert"]}]}"#).await;
    let problem = problem.is_problem(422);
    assert_eq!(problem["errors"][0]["rule"], "a");
    assert_eq!(problem["errors"][0]["key"], "when");
    check("[").await.is_problem(400);
    let toml = "[[rule]]\nname = \"a\"\nwhen = \"valeu > 1\"\nactions = [\"alert\"]";
    let problem = house.post_as("application/toml", "/api/v1/rules/check", toml);
    let problem = problem.await.is_problem(422);
    assert_eq!(problem["errors"][0]["line"], 3);
    assert_eq!(house.get("/api/v1/rules").await.json()["items"], json!([]));
}

#[tokio::test]
async fn rules_are_tried_against_the_stored_past() {
    let house = House::open();
    for value in [5, 25, 30, 5, 25] {
        let body = format!(r#"[{{"id":"s1","value":{value}}},{{"id":"s2","value":1}}]"#);
        house.post("/data", body).await.is(201);
    }
    let alerts = async || house.get("/api/v1/alerts").await.json();
    let before = alerts().await;
    let tested = house.post("/api/v1/rules/test?since=1h", RULE).await;
    let tested = tested.is(200).json();
    assert_eq!(tested["readings"], 10);
    assert_eq!(tested["complete"], true);
    let [from, to] = ["from", "to"].map(|key| tested[key].as_i64().unwrap());
    assert_eq!(to - from, 3_600_000);
    let [warm] = &tested["rules"].as_array().unwrap()[..] else {
        panic!("{tested}");
    };
    for (key, expected) in [
        ("raised", 2),
        ("cleared", 1),
        ("events", 3),
        ("failures", 0),
    ] {
        assert_eq!(warm[key], expected, "{key}: {warm}");
    }
    assert_eq!(warm["rule"], "warm");
    let timeline = warm["timeline"].as_array().unwrap().iter();
    assert_eq!(timeline.filter_map(Value::as_u64).sum::<u64>(), 2);
    let of_one = house
        .post("/api/v1/rules/test?sensor=s2", RULE)
        .await
        .json();
    assert_eq!(
        (&of_one["readings"], &of_one["rules"][0]["raised"]),
        (&json!(5), &json!(0))
    );
    assert_eq!(alerts().await, before, "nothing came of it");
    for bad in [
        "?since=0s",
        "?since=yesterday",
        "?sensor=a%2Bb",
        "?until=1h",
    ] {
        let path = format!("/api/v1/rules/test{bad}");
        house.post(&path, RULE).await.is_problem(400);
    }
    house
        .post("/api/v1/rules/test", r#"{"rule":[{}]}"#)
        .await
        .is_problem(422);
    // Another one is under way.
    let alone = house.shared.replays.try_acquire().unwrap();
    house.post("/api/v1/rules/test", RULE).await.is_problem(503);
    drop(alone);
    house.post("/api/v1/rules/test", RULE).await.is(200);
}

#[tokio::test]
async fn the_gateway_is_told_at_a_glance() {
    let house = House::open();
    house
        .post("/data", r#"{"id":"s1","value":1}"#)
        .await
        .is(201);
    house.uplink.lock().unwrap().held = Some("404".to_owned());
    let glance = house.get("/api/v1/gateway").await.is(200).json();
    assert_eq!(glance["gateway_id"], "edge-1");
    assert_eq!(glance["version"], env!("CARGO_PKG_VERSION"));
    let topics = json!({"readings": ["sensors/#"], "statuses": ["status/+"]});
    assert_eq!(glance["topics"], topics);
    assert_eq!(
        glance["mqtt"],
        json!({"connections": 0, "address": "127.0.0.1:1883"})
    );
    assert!(0 < glance["store"]["bytes"].as_u64().unwrap());
    assert!(0 < glance["store"]["free_bytes"].as_u64().unwrap());
    assert_eq!(glance["store"]["max_bytes"], json!(1 << 30));
    let readings = json!({"received": 1, "committed": 1, "rejected": 0, "lost": 0});
    assert_eq!(glance["readings"], readings);
    let checks = glance["checks"].as_array().unwrap().iter();
    let checks: Vec<_> = checks.map(|check| (&check["name"], &check["ok"])).collect();
    let expected = [
        (&json!("committer"), &json!(true)),
        (&json!("store"), &json!(true)),
        (&json!("uplink:cloud"), &json!(false)),
    ];
    assert_eq!(checks, expected);
}
