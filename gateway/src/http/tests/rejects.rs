//! What could not be read, listed, read once more and thrown away.

use super::*;
use crate::domain::timestamp::Timestamp;
use crate::domain::topic::TopicName;
use crate::store::NewReject;

async fn put_aside(house: &House, topic: &str, payload: &[u8]) {
    let mut submission = Submission::default();
    let reject = NewReject {
        topic: TopicName::new(topic).ok(),
        payload: payload.into(),
        reason: "too early".into(),
        received_at: Timestamp::from_millis(1_764_000_000_000),
    };
    submission.rejects.push(("syntax", reject));
    house.shared.commit(submission).await.unwrap();
}

async fn ids(house: &House, query: &str) -> (Vec<i64>, Value) {
    let page = house.get(&format!("/api/v1/rejects{query}")).await;
    let page = page.is(200).json();
    let items = page["items"].as_array().unwrap();
    let ids = items.iter().map(|item| item["id"].as_i64().unwrap());
    (ids.collect(), page["next"].clone())
}

#[tokio::test]
async fn a_reject_has_the_shape_of_the_contract() {
    let house = House::open();
    put_aside(&house, "sensors/s1", b"{\"value\":").await;
    put_aside(&house, "", b"a\xffb").await;
    let page = house.get("/api/v1/rejects").await.is(200).json();
    let expected = json!({
        "items": [
            {"id": 1, "topic": "sensors/s1", "payload": "{\"value\":", "reason": "too early",
             "received_at": 1_764_000_000_000_i64},
            {"id": 2, "topic": "", "payload": "a\u{fffd}b", "payload_base64": "Yf9i",
             "reason": "too early", "received_at": 1_764_000_000_000_i64},
        ],
        "next": null,
    });
    assert_eq!(page, expected);
}

#[tokio::test]
async fn pages_of_rejects_neither_skip_nor_repeat_and_end_early_when_they_are_large() {
    let house = House::open();
    for _ in 0..3 {
        put_aside(&house, "sensors/s1", &[b'x'; 10]).await;
    }
    assert_eq!(ids(&house, "?limit=2").await, (vec![1, 2], json!(2)));
    assert_eq!(
        ids(&house, "?limit=2&after=2").await,
        (vec![3], json!(null))
    );
    for _ in 0..3 {
        put_aside(&house, "sensors/s1", &vec![b'x'; 3 << 20]).await;
    }
    assert_eq!(ids(&house, "?after=3").await, (vec![4, 5], json!(5)));
    assert_eq!(ids(&house, "?after=5").await, (vec![6], json!(null)));
    house.get("/api/v1/rejects?limit=0").await.is_problem(400);
}

#[tokio::test]
async fn what_can_be_read_by_now_is_stored_with_its_time_and_leaves_the_rejects() {
    let house = House::open();
    put_aside(&house, "sensors/s1", b"80.5").await;
    put_aside(
        &house,
        "sensors/x",
        br#"[{"sensor_id":"s2","value":1},{"sensor_id":"s3","value":2}]"#,
    )
    .await;
    put_aside(&house, "status/d1", b"online").await;
    for id in 1..=3 {
        let path = format!("/api/v1/rejects/{id}/retry");
        house.post(&path, "").await.is(200);
        house.post(&path, "").await.is_problem(404);
    }
    assert_eq!(ids(&house, "").await.0, Vec::<i64>::new());
    assert_eq!(
        house.get("/data").await.json(),
        json!({"s1": 80.5, "s2": 1.0, "s3": 2.0})
    );
    assert_eq!(house.get("/status").await.json(), json!({"d1": "online"}));
    let page = house.get("/api/v1/readings?sensor=s1").await.json();
    let reading = &page["items"][0];
    assert_eq!(reading["ts"], 1_764_000_000_000_i64);
    assert_eq!(reading["received_at"], 1_764_000_000_000_i64);
    assert_eq!(reading["tags"], json!(["high"]), "the rules have seen it");
    let received = &house.shared.received;
    assert_eq!(received.get(), 0, "it had been received before");
}

#[tokio::test]
async fn what_still_cannot_be_read_stays_whole() {
    let house = House::open();
    put_aside(
        &house,
        "sensors/s1",
        br#"[{"sensor_id":"s2","value":1},{"sensor_id":"s3"}]"#,
    )
    .await;
    put_aside(&house, "status/d1", b"\xff").await;
    for id in 1..=2 {
        let path = format!("/api/v1/rejects/{id}/retry");
        let problem = house.post(&path, "").await.is_problem(422);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with("it still cannot be read: "), "{detail}");
    }
    assert_eq!(ids(&house, "").await.0, [1, 2]);
    assert_eq!(house.get("/data").await.json(), json!({}));
}

#[tokio::test]
async fn of_two_who_retry_at_once_one_is_too_late() {
    let house = House::open();
    for round in 1..=20 {
        put_aside(&house, "sensors/s1", b"1").await;
        let path = format!("/api/v1/rejects/{round}/retry");
        let (one, other) = tokio::join!(house.post(&path, ""), house.post(&path, ""));
        let mut codes = [one.status.as_u16(), other.status.as_u16()];
        codes.sort_unstable();
        assert_eq!(codes, [200, 404]);
    }
    let sensors = house.get("/api/v1/sensors").await.json();
    assert_eq!(sensors["items"][0]["count"], 20);
}

#[tokio::test]
async fn a_reject_can_be_thrown_away_once() {
    let house = House::open();
    put_aside(&house, "sensors/s1", b"x").await;
    let delete = |path: &str| house.send(request(Method::DELETE, path, ""));
    let gone = house.send(request(Method::DELETE, "/api/v1/rejects/1", ""));
    gone.await.is(200);
    for path in [
        "/api/v1/rejects/1",
        "/api/v1/rejects/0",
        "/api/v1/rejects/x",
    ] {
        delete(path).await.is_problem(404);
    }
    assert_eq!(ids(&house, "").await.0, Vec::<i64>::new());
}
