//! What comes in one order goes out in that order, and an alert never runs ahead of its reading.

use std::thread;

use serde_json::Value;

use crate::support::Site;
use crate::support::packets::{PINGREQ, Packet, Peer, puback, publish, pubrel, reading};

#[test]
fn acknowledgements_come_in_the_order_of_the_publishes() {
    const PUBLISHES: u16 = 300;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let site = Site::new();
    let gateway = site.start();
    let mut sensor = Peer::connect(gateway.mqtt, "sensor");
    let (mut bytes, mut expected, mut stored) = (Vec::new(), Vec::new(), 0);
    for id in 1..=PUBLISHES {
        let (topic, qos) = match rng.u8(..4) {
            0 => ("sensors/a", 1),
            1 => ("sensors/b", 2),
            2 => ("chat/a", 1),
            _ => ("chat/b", 2),
        };
        stored += i64::from(topic.starts_with("sensors"));
        bytes.extend(publish(topic, qos, id, &reading("a", 80.0, id.into())));
        expected.push(match qos {
            1 => Packet::Puback(id),
            _ => Packet::Pubrec(id),
        });
    }
    sensor.send(&bytes);
    let received: Vec<Packet> = expected.iter().map(|_| sensor.receive()).collect();
    assert_eq!(received, expected);
    for packet in &expected {
        if let Packet::Pubrec(id) = packet {
            sensor.send(&pubrel(*id));
            assert_eq!(sensor.receive(), Packet::Pubcomp(*id));
        }
    }
    assert_eq!(site.sql::<i64>("SELECT count(*) FROM readings"), stored);
    gateway.stop();
}

#[test]
fn an_ordinary_message_is_not_acknowledged_before_the_reading_in_front_of_it() {
    let site = Site::new().environment("EDGE_GATEWAY_STORE__GROUP_COMMIT", "300ms");
    let gateway = site.start();
    let mut sensor = Peer::connect(gateway.mqtt, "sensor");
    let mut received = Vec::new();
    for (id, topic) in [(1, "sensors/a"), (2, "chat/a")] {
        sensor.send(&publish(topic, 1, id, &reading("a", 80.0, 1)));
        // Each is read by itself, the second while the commit of the first waits for company.
        sensor.send(PINGREQ);
        while received.last() != Some(&Packet::Pingresp) {
            received.push(sensor.receive());
        }
        received.pop();
    }
    while received.len() < 2 {
        received.push(sensor.receive());
    }
    assert_eq!(received, [Packet::Puback(1), Packet::Puback(2)]);
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
                let mut peer = Peer::connect(gateway.mqtt, &name);
                for id in 1..=READINGS {
                    let (qos, seq) = (1 + (id % 2) as u8, id.into());
                    let topic = format!("sensors/{}", id % 7);
                    peer.send(&publish(&topic, qos, id, &reading(&name, 80.0, seq)));
                }
                (0..READINGS).for_each(|_| drop(peer.receive()));
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
    let mut dashboard = Peer::connect(gateway.mqtt, "dashboard");
    dashboard.subscribe("sensors/#", 1);
    dashboard.subscribe("chat/#", 1);
    let mut publisher = Peer::connect(gateway.mqtt, "publisher");
    let mut id = 0;
    for number in 1..=MESSAGES {
        for (topic, qos) in TOPICS {
            id += 1;
            publisher.send(&publish(topic, qos, id, &reading("s", 1.0, number)));
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
    let mut dashboard = Peer::connect(gateway.mqtt, "dashboard");
    dashboard.subscribe("alerts/#", 1);
    dashboard.subscribe("sensors/#", 1);
    let mut sensor = Peer::connect(gateway.mqtt, "sensor");
    for id in 1..=READINGS {
        sensor.send(&publish("sensors/s", 1, id, &reading("s", 80.0, id.into())));
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

/// The next message, acknowledged.
fn message(subscriber: &mut Peer) -> (String, Value) {
    let Packet::Publish {
        topic,
        payload,
        packet_id,
    } = subscriber.receive()
    else {
        panic!("not a message");
    };
    if packet_id != 0 {
        subscriber.send(&puback(packet_id));
    }
    (topic, serde_json::from_slice(&payload).unwrap())
}
