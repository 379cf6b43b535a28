//! What comes in one order goes out in that order, and an alert never runs ahead of its reading.

use std::thread;

use serde_json::Value;

use crate::support::Site;
use crate::support::frames::{
    PINGRESP, PUBACK, PUBCOMP, PUBREC, PUBREL, Publish, V311, ack, acked, ping, reading,
};
use crate::support::raw::Raw;

#[test]
fn acknowledgements_come_in_the_order_of_the_publishes() {
    const PUBLISHES: u16 = 300;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let site = Site::new();
    let gateway = site.start();
    let mut sensor = Raw::connect(&gateway, V311, "sensor");
    let (mut bytes, mut expected, mut stored) = (Vec::new(), Vec::new(), 0);
    for id in 1..=PUBLISHES {
        let (topic, qos) = match rng.u8(..4) {
            0 => ("sensors/a", 1),
            1 => ("sensors/b", 2),
            2 => ("chat/a", 1),
            _ => ("chat/b", 2),
        };
        stored += i64::from(topic.starts_with("sensors"));
        let publish = Publish::new(topic, reading("a", 80.0, id.into())).qos(qos, id);
        bytes.extend(publish.bytes(V311));
        expected.push(acked(if qos == 1 { PUBACK } else { PUBREC }, id));
    }
    sensor.send(&bytes);
    let received = expected.iter().map(|_| sensor.receive().unwrap());
    assert_eq!(received.collect::<Vec<_>>(), expected);
    for packet in expected.iter().filter(|packet| packet.kind() == PUBREC) {
        let (id, _) = packet.acknowledged(V311);
        sensor.send(&ack(PUBREL, id));
        assert_eq!(sensor.receive(), Some(acked(PUBCOMP, id)));
    }
    assert_eq!(site.sql::<i64>("SELECT count(*) FROM readings"), stored);
    gateway.stop();
}

#[test]
fn an_ordinary_message_is_not_acknowledged_before_the_reading_in_front_of_it() {
    let site = Site::new().environment("EDGE_GATEWAY_STORE__GROUP_COMMIT", "300ms");
    let gateway = site.start();
    let mut sensor = Raw::connect(&gateway, V311, "sensor");
    let mut received = Vec::new();
    for (id, topic) in [(1, "sensors/a"), (2, "chat/a")] {
        let publish = Publish::new(topic, reading("a", 80.0, 1)).qos(1, id);
        sensor.send(&publish.bytes(V311));
        // Each is read by itself, the second while the commit of the first waits for company.
        sensor.send(&ping());
        loop {
            let frame = sensor.receive().unwrap();
            if frame.kind() == PINGRESP {
                break;
            }
            received.push(frame);
        }
    }
    while received.len() < 2 {
        received.push(sensor.receive().unwrap());
    }
    assert_eq!(received, [1, 2].map(|id| acked(PUBACK, id)));
    gateway.stop();
}

#[test]
fn ids_grow_in_the_order_in_which_a_connection_publishes() {
    const READINGS: u16 = 500;
    let site = Site::new();
    let gateway = site.start();
    thread::scope(|scope| {
        for sensor in 0..4 {
            let gateway = &gateway;
            scope.spawn(move || {
                let name = format!("o{sensor}");
                let mut peer = Raw::connect(gateway, V311, &name);
                for id in 1..=READINGS {
                    let (qos, seq) = (1 + (id % 2) as u8, id.into());
                    let topic = format!("sensors/{}", id % 7);
                    let publish = Publish::new(&topic, reading(&name, 80.0, seq)).qos(qos, id);
                    peer.send(&publish.bytes(V311));
                }
                (0..READINGS).for_each(|_| drop(peer.receive().unwrap()));
            });
        }
    });
    for sensor in 0..4 {
        let numbers: Vec<i64> = site.sql_all(&format!(
            "SELECT json_extract(attributes, '$.seq') FROM readings WHERE sensor_id = 'o{sensor}' ORDER BY id"
        ));
        assert!(
            numbers.iter().copied().eq(1..=READINGS.into()),
            "{numbers:?}"
        );
    }
    let (count, newest): (i64, i64) = (
        site.sql("SELECT count(DISTINCT id) FROM readings"),
        site.sql("SELECT max(id) FROM readings"),
    );
    assert_eq!((count, newest), (4 * i64::from(READINGS), count));
    gateway.stop();
}

#[test]
fn a_subscriber_sees_a_publishers_messages_in_order_for_each_topic() {
    const MESSAGES: u64 = 100;
    const TOPICS: [(&str, u8); 6] = [
        ("sensors/q0", 0),
        ("sensors/q1", 1),
        ("sensors/q2", 2),
        ("chat/q0", 0),
        ("chat/q1", 1),
        ("chat/q2", 2),
    ];
    let site = Site::new();
    let gateway = site.start();
    let mut dashboard = Raw::connect(&gateway, V311, "dashboard");
    dashboard.subscribe("sensors/#", 1);
    dashboard.subscribe("chat/#", 1);
    let mut publisher = Raw::connect(&gateway, V311, "publisher");
    let mut id = 0;
    for number in 1..=MESSAGES {
        for (topic, qos) in TOPICS {
            id += 1;
            let publish = Publish::new(topic, reading("s", 1.0, number)).qos(qos, id);
            publisher.send(&publish.bytes(V311));
        }
    }
    let mut last = [0; TOPICS.len()];
    for _ in 0..MESSAGES * TOPICS.len() as u64 {
        let (topic, message) = message(&mut dashboard);
        let at = TOPICS.iter().position(|(name, _)| *name == topic).unwrap();
        last[at] += 1;
        assert_eq!(message["seq"], last[at], "of {topic}");
    }
    gateway.stop();
}

#[test]
fn alerts_and_readings_reach_subscribers_only_when_they_are_on_disk() {
    const READINGS: u16 = 200;
    let site = Site::new();
    let gateway = site.start();
    let mut dashboard = Raw::connect(&gateway, V311, "dashboard");
    dashboard.subscribe("alerts/#", 1);
    dashboard.subscribe("sensors/#", 1);
    let mut sensor = Raw::connect(&gateway, V311, "sensor");
    for id in 1..=READINGS {
        let publish = Publish::new("sensors/s", reading("s", 80.0, id.into())).qos(1, id);
        sensor.send(&publish.bytes(V311));
    }
    let (mut alerts, mut readings) = (0, 0);
    while alerts < READINGS || readings < READINGS {
        let (topic, message) = message(&mut dashboard);
        let found = if topic == "alerts/s" {
            alerts += 1;
            let (alert, reading) = (&message["alert_id"], &message["reading_id"]);
            let query = "SELECT count(*) FROM alerts JOIN readings ON readings.id = reading_id";
            site.sql::<i64>(&format!(
                "{query} WHERE alerts.id = {alert} AND reading_id = {reading}"
            ))
        } else {
            readings += 1;
            let query = "SELECT count(*) FROM readings WHERE json_extract(attributes, '$.seq') =";
            site.sql(&format!("{query} {}", message["seq"]))
        };
        assert_eq!(found, 1, "{topic} came before its commit: {message}");
    }
    gateway.stop();
}

/// The topic and the JSON of the next message, acknowledged.
fn message(subscriber: &mut Raw) -> (String, Value) {
    let message = subscriber.message();
    let read = serde_json::from_slice(&message.payload).unwrap();
    (message.topic, read)
}
