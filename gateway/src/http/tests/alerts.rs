//! `GET /api/v1/alerts`: what it takes and what it gives.

use super::*;

async fn items(house: &House, query: &str) -> Vec<Value> {
    let path = format!("/api/v1/alerts?{query}");
    let page = house.get(&path).await.is(200).json();
    page["items"].as_array().unwrap().clone()
}

async fn ids(house: &House, query: &str) -> Vec<i64> {
    let items = items(house, query).await;
    let id = |item: &Value| item["alert_id"].as_i64().unwrap();
    items.iter().map(id).collect()
}

/// A reading for each value, one second apart.
async fn post_values(house: &House, sensor: &str, values: &[f64]) {
    for (second, value) in (0..).zip(values) {
        let ts = 1_764_000_000_000_i64 + 1000 * second;
        let body = json!({"id": sensor, "value": value, "ts": ts}).to_string();
        house.post("/data", body).await.is(201);
    }
}

#[tokio::test]
async fn an_alert_has_the_shape_of_its_topic() {
    let house = House::open();
    let answer = house.get("/api/v1/alerts").await;
    assert_eq!(answer.is(200).text, r#"{"items":[],"next":null}"#);
    let body = r#"{"sensor_id":"s1","value":80,"ts":1764000000000,"seq":7}"#;
    house.post("/data", body).await.is(201);
    let answer = house.get("/api/v1/alerts").await;
    assert_eq!(
        answer.is(200).header(header::CONTENT_TYPE),
        "application/json"
    );
    assert_eq!(
        answer.text,
        concat!(
            r#"{"items":[{"gateway_id":"edge-1","alert_id":1,"episode":1,"rule":"high","state":"raised","sensor_id":"s1","#,
            r#""value":80.0,"ts":1764000000000,"reading_id":1,"attributes":{"seq":7}}],"next":null}"#
        )
    );
}

#[tokio::test]
async fn events_are_the_history_and_open_is_the_newest_of_each_alert() {
    let house = House::open();
    post_values(&house, "a", &[80.0, 81.0, 70.0, 90.0]).await;
    post_values(&house, "b", &[80.0]).await;
    house.post("/api/v1/alerts/4/ack", "").await.is(200);
    assert_eq!(ids(&house, "").await, [6, 5, 4, 3, 2, 1]);
    assert_eq!(ids(&house, "state=raised").await, [5, 4, 2, 1]);
    assert_eq!(ids(&house, "state=cleared").await, [3]);
    assert_eq!(ids(&house, "state=acknowledged").await, [6]);
    let open = items(&house, "state=open").await;
    let shown: Vec<_> = open
        .iter()
        .map(|alert| json!([alert["episode"], alert["alert_id"], alert["state"]]))
        .collect();
    assert_eq!(
        shown,
        [json!([5, 5, "raised"]), json!([4, 6, "acknowledged"])]
    );
    assert_eq!(ids(&house, "state=open&sensor=a").await, [6]);
    assert_eq!(ids(&house, "state=open&rule=other").await, [0; 0]);
    assert_eq!(ids(&house, "state=open&limit=1").await, [5]);
    assert_eq!(ids(&house, "state=open&after=5").await, [6]);
    post_values(&house, "a", &[70.0]).await;
    assert_eq!(ids(&house, "state=open").await, [5]);
}

#[tokio::test]
async fn events_are_filtered_by_sensor_rule_and_time() {
    let house = House::open();
    post_values(&house, "a", &[80.0, 81.0, 82.0]).await;
    post_values(&house, "b", &[80.0]).await;
    let check = async |query: &str, expected: &[i64]| {
        assert_eq!(ids(&house, query).await, expected, "{query}");
    };
    check("sensor=b", &[4]).await;
    check("sensor=nobody", &[]).await;
    check("rule=high", &[4, 3, 2, 1]).await;
    check("rule=low", &[]).await;
    check("sensor=a&from=1764000001000", &[3, 2]).await;
    check("sensor=a&to=1764000001000", &[1]).await;
    check("sensor=a&from=2025-11-24T16:00:01Z&to=1764000002000", &[2]).await;
    check("sensor=a&from=2025-11-24T17:00:02%2B01:00", &[3]).await;
    check("from=1764000002000&to=1764000002000", &[]).await;
    check("sensor=a&limit=2", &[3, 2]).await;
    check("sensor=a&after=2", &[1]).await;
}

#[tokio::test]
async fn a_bad_parameter_of_alerts_is_named() {
    let house = House::open();
    let check = async |query: &str, name: &str| {
        let path = format!("/api/v1/alerts?{query}");
        let problem = house.get(&path).await.is_problem(400);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("`{name}`")), "{query}: {detail}");
    };
    for bad in ["0", "-1", "1001", "many", ""] {
        check(&format!("limit={bad}"), "limit").await;
    }
    for bad in ["0", "x", "", "99999999999999999999"] {
        check(&format!("after={bad}"), "after").await;
    }
    for bad in ["", "closed", "Raised"] {
        check(&format!("state={bad}"), "state").await;
    }
    for bad in ["", "-1", "yesterday", "2025-11-24", "2300-01-01T00:00:00Z"] {
        check(&format!("from={bad}"), "from").await;
        check(&format!("to={bad}"), "to").await;
    }
    for bad in ["", "a%2Bb"] {
        check(&format!("sensor={bad}"), "sensor").await;
    }
    for bad in ["", "a%20b", &"x".repeat(65)] {
        check(&format!("rule={bad}"), "rule").await;
    }
    check("state=open&state=open", "state").await;
    check("states=open", "states").await;
}

#[tokio::test]
async fn only_reading_is_a_method_of_alerts() {
    let house = House::open();
    post_values(&house, "a", &[80.0]).await;
    let head = house
        .send(request(Method::HEAD, "/api/v1/alerts", ""))
        .await;
    assert_eq!(head.is(200).text, "");
    let answer = house.post("/api/v1/alerts", "").await;
    answer.is_problem(405);
    assert_eq!(answer.header(header::ALLOW), "GET,HEAD");
}

#[tokio::test]
async fn a_page_of_alerts_ends_with_the_event_that_fills_it() {
    let house = House::open();
    let long = "x".repeat(900 * 1024);
    for _ in 0..12 {
        let body = json!({"id": "s1", "value": 80, "text": long}).to_string();
        house.post("/data", body).await.is(201);
    }
    let answer = house.get("/api/v1/alerts").await;
    assert!(answer.is(200).text.len() < 10 * body::MAX_BYTES);
    let page = answer.json();
    let first = page["items"].as_array().unwrap().len();
    let rest = ids(&house, &format!("after={}", page["next"])).await;
    assert_eq!(first + rest.len(), 12);
}
