//! The way of one reading.

use super::*;
use crate::domain::reading::ReadingId;
use crate::domain::timestamp::Timestamp;

async fn life(house: &House, id: i64) -> Value {
    let answer = house.get(&format!("/api/v1/readings/{id}")).await;
    answer.is(200).json()
}

#[tokio::test]
async fn a_reading_tells_who_brought_it_and_what_it_set_off() {
    let house = House::open();
    let three = r#"[{"id":"s1","value":10},{"id":"s1","value":90},{"id":"s2","value":60}]"#;
    house.post("/data", three).await.is(201);
    let calm = life(&house, 1).await;
    assert_eq!(calm["reading"]["value"], 10.0);
    let source = json!({"transport": "http", "client": null, "address": "127.0.0.1"});
    assert_eq!(calm["source"], source);
    let [received, committed] = [&calm["reading"]["received_at"], &calm["committed_at"]];
    assert!(received.as_i64().unwrap() <= committed.as_i64().unwrap());
    assert_eq!(calm["alerts"], json!([]));
    let on = |life: &Value| life["uplinks"][0]["state"].clone();
    assert_eq!(on(&calm), "none");
    let high = life(&house, 2).await;
    assert_eq!(high["reading"]["tags"], json!(["high"]));
    assert_eq!(high["alerts"][0]["rule"], "high");
    assert_eq!(high["alerts"][0]["reading_id"], 2);
    assert_eq!(high["alerts"].as_array().unwrap().len(), 1);
    let nothing = json!({
        "name": "cloud", "state": "waiting", "batch": null, "tries": null, "dead_letter": null,
        "status": null, "verdicts": [],
    });
    assert_eq!(high["uplinks"], json!([nothing]));
    assert_eq!(on(&life(&house, 3).await), "waiting");
    for wrong in ["0", "4", "x", "1e3"] {
        house
            .get(&format!("/api/v1/readings/{wrong}"))
            .await
            .is_problem(404);
    }
}

#[tokio::test]
async fn the_events_of_a_reading_are_found_among_many() {
    let house = House::open();
    for round in 0..40 {
        let readings = (0..25).map(|n| {
            let value = if (round + n) % 3 == 0 { 90 } else { 10 };
            format!(r#"{{"id":"s{}","value":{value}}}"#, n % 7)
        });
        let body = format!("[{}]", readings.collect::<Vec<_>>().join(","));
        house.post("/data", body).await.is(201);
    }
    let all = house.get("/api/v1/alerts?limit=1000").await.json();
    let all = all["items"].as_array().unwrap();
    assert!(300 < all.len());
    for id in 1..=1000 {
        let mut expected: Vec<&Value> = all
            .iter()
            .filter(|alert| alert["reading_id"] == id)
            .collect();
        expected.reverse();
        let found = life(&house, id).await;
        assert_eq!(
            found["alerts"]
                .as_array()
                .unwrap()
                .iter()
                .collect::<Vec<_>>(),
            expected,
            "{id}"
        );
    }
}

#[tokio::test]
async fn what_a_receiver_said_is_told() {
    let house = House::open();
    house
        .post("/data", r#"{"id":"s1","value":60}"#)
        .await
        .is(201);
    let cloud = house.shared.uplinks[0].0;
    let judge = |verdict, at| {
        let at = Timestamp::from_millis(at);
        house
            .shared
            .traces
            .judged(cloud, 7, &[ReadingId(1)], verdict, at);
    };
    judge("retry", 1000);
    let uplink = life(&house, 1).await["uplinks"][0].clone();
    assert_eq!(uplink["state"], "waiting", "as the outbox says");
    assert_eq!(
        uplink["verdicts"],
        json!([{"batch": 7, "verdict": "retry", "at": 1000}])
    );
}
