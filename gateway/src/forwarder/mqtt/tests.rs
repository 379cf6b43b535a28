//! What a keeper and who sends do between connections.

use super::*;
use crate::config::Config;

fn mqtt(topic: &str) -> (Mqtt, Keeper) {
    let settings = [
        ("URL", "mqtt://127.0.0.1:1"),
        ("FORMAT", "single"),
        ("TOPIC", topic),
        ("CONCURRENCY", "2"),
        ("DOWNLINK", "false"),
    ];
    let environment = settings.map(|(key, value)| {
        let key = format!("EDGE_GATEWAY_CLOUD__{key}");
        (key, value.to_owned())
    });
    let config = Config::load(None, environment.into_iter()).unwrap();
    let config = &config.uplinks[0];
    Mqtt::new(config, config.mqtt.as_ref().unwrap()).unwrap()
}

fn body(sensor_id: Option<&str>) -> Body {
    Body {
        bytes: vec![1; 5],
        content_type: "application/json",
        content_encoding: None,
        plain_bytes: 5,
        sensor_id: sensor_id.map(Into::into),
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_let_go_before_a_failure_asks_for_no_new_connection() {
    let (mqtt, mut keeper) = mqtt("x");
    let before = Instant::now();
    let failed_at = before + Duration::from_secs(1);
    let after = before + Duration::from_secs(2);
    let verdict = Verdict::retry("broken");
    let pause = keeper.pause(failed_at, Duration::ZERO, &verdict);
    let early = mqtt.send(body(None), before);
    let (_, early) = tokio::join!(
        async {
            // Answered while the pause goes on.
            tokio::select! {
                _ = pause => panic!("it asked for a connection"),
                () = tokio::time::sleep(Duration::from_secs(5)) => {}
            }
        },
        early
    );
    assert_eq!((early.verdict, early.bytes), (verdict.clone(), 0));
    let pause = keeper.pause(failed_at, Duration::ZERO, &verdict);
    let late = mqtt.send(body(None), after);
    tokio::select! {
        is_asked = pause => assert!(is_asked),
        _ = late => panic!("it was answered"),
    }
    assert!(keeper.next.is_some_and(|request| request.started == after));
}

#[tokio::test]
async fn a_topic_with_a_sensor_takes_no_batch_of_several() {
    let (mqtt, keeper) = mqtt("site/%{sensor_id}");
    drop(keeper);
    let sent = mqtt.send(body(None), Instant::now()).await;
    assert_eq!(sent.verdict.label(), "refused");
    let sent = mqtt.send(body(Some("s1")), Instant::now()).await;
    assert_eq!(sent.verdict.label(), "retry", "nobody keeps the connection");
    assert_eq!(mqtt.topic_for(Some("hall/s1")).unwrap(), "site/hall/s1");
}

#[tokio::test]
async fn a_batch_of_former_times_is_cut_to_the_limit_of_now() {
    let (mqtt, keeper) = mqtt("site/readings");
    drop(keeper);
    let sized = |plain_bytes, sensor| Body {
        plain_bytes,
        ..body(sensor)
    };
    let limit = 512 << 10;
    for (plain_bytes, sensor, label) in [
        (limit + 1, None, "too_large"),
        (limit, None, "retry"),
        (limit + 1, Some("s1"), "retry"),
    ] {
        let sent = mqtt.send(sized(plain_bytes, sensor), Instant::now()).await;
        assert_eq!(sent.verdict.label(), label, "{plain_bytes}");
    }
}

#[test]
fn the_size_is_that_of_the_packet() {
    let check = |payload: usize, expected: usize| {
        let (reply, _) = oneshot::channel();
        let request = Request {
            topic: "x".into(),
            payload: vec![0; payload].into(),
            started: Instant::now(),
            reply,
        };
        assert_eq!(request.size(), expected);
    };
    check(122, 129);
    check(123, 131);
    check(0x3fff - 5, 0x3fff + 3);
    check(0x4000 - 5, 0x4000 + 4);
    check(0x001f_ffff - 5, 0x001f_ffff + 4);
    check(0x0020_0000 - 5, 0x0020_0000 + 5);
}
