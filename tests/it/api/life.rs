//! The way of one reading, from the client that brought it to what the cloud said.

use serde_json::{Value, json};
use simulator::cloud::Cloud;

use crate::support::frames::{Publish, V5};
use crate::support::http::get_json;
use crate::support::raw::Raw;
use crate::support::{Site, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_is_followed_from_its_client_to_the_cloud() {
    let cloud = Cloud::default().start().await.unwrap();
    cloud.script().set_poison_sensors(["bad"]);
    let site = Site::delivering_to(&cloud).allow(&["readings refused"]);
    let gateway = site.start();
    let mut press = Raw::connect(&gateway, V5, "press-4");
    for (topic, value) in [
        ("sensors/cold", "20"),
        ("sensors/hot", "90"),
        ("sensors/bad", "60"),
    ] {
        press.publish(Publish::new(topic, value).qos(1, 0));
    }
    let life = |id: u8| get_json(&gateway, &format!("/api/v1/readings/{id}"));
    let uplink = |life: &Value| life["uplinks"][0].clone();
    wait_until("the cloud has spoken", || {
        [(2, "delivered"), (3, "dead-letter")]
            .iter()
            .all(|(id, state)| uplink(&life(*id))["state"] == *state)
    });
    for id in 1..=3 {
        let source = json!({"transport": "mqtt", "client": "press-4", "address": "127.0.0.1"});
        assert_eq!(life(id)["source"], source);
        assert!(life(id)["committed_at"].is_i64());
    }
    assert_eq!(uplink(&life(1))["state"], "none");
    let hot = life(2);
    assert_eq!(hot["reading"]["sensor_id"], "hot");
    assert_eq!(hot["alerts"][0]["rule"], "high");
    let verdict = &uplink(&hot)["verdicts"][0];
    assert_eq!(verdict["verdict"], "delivered");
    assert!(hot["committed_at"].as_i64() <= verdict["at"].as_i64());
    let bad = uplink(&life(3));
    assert_eq!(
        (&bad["dead_letter"], &bad["status"]),
        (&json!(1), &json!(422))
    );
    assert_eq!(bad["verdicts"][0]["verdict"], "refused");
    gateway.stop();
    // What is not stored is forgotten.
    let gateway = site.start();
    let hot = get_json(&gateway, "/api/v1/readings/2");
    assert_eq!(
        (&hot["source"], &hot["committed_at"]),
        (&json!(null), &json!(null))
    );
    assert_eq!(hot["uplinks"][0]["state"], "none");
    assert_eq!(hot["alerts"][0]["rule"], "high");
    gateway.stop();
}
