//! SIGKILL: sessions, their subscriptions, their queues and what was half done are there after it.

use std::collections::{HashMap, HashSet};

use super::{expiry, keeper, leave};
use crate::support::frames::{
    BOTH, Connect, PUBACK, PUBCOMP, PUBREC, PUBREL, Publish, V5, V311, ack,
};
use crate::support::properties::{
    CONTENT_TYPE, CORRELATION_DATA, MESSAGE_EXPIRY, PAYLOAD_FORMAT, Property, RECEIVE_MAXIMUM,
    RESPONSE_TOPIC, SUBSCRIPTION_ID,
};
use crate::support::raw::Raw;
use crate::support::{Site, wait_until};

#[test]
fn a_client_gets_what_it_missed_over_a_kill() {
    let site = Site::new();
    let gateway = site.start();
    for (version, name) in [(V311, "old"), (V5, "new")] {
        let mut client = Raw::connect_with(&gateway, &keeper(version, name));
        client.subscribe("a/#", 2);
        client.subscribe("sensors/+", 1);
        client.subscribe("gone", 1);
        client.unsubscribe("gone");
        leave(client);
    }
    let mut publisher = Raw::connect(&gateway, V5, "publisher");
    for (topic, qos) in [("a/1", 1), ("a/2", 2), ("sensors/s", 1), ("gone", 1)] {
        assert_eq!(publisher.publish(Publish::new(topic, "1").qos(qos, 0)), 0);
    }
    gateway.kill();
    let gateway = site.start();
    let mut publisher = Raw::connect(&gateway, V5, "publisher");
    publisher.publish(Publish::new("a/3", "1").qos(1, 0));
    publisher.publish(Publish::new("gone", "1").qos(1, 0));
    for (version, name) in [(V311, "old"), (V5, "new")] {
        let mut client = Raw::resume(&gateway, &keeper(version, name));
        let found = client.messages();
        let topics: Vec<&str> = found.iter().map(|m| &*m.topic).collect();
        assert_eq!(topics, ["a/1", "a/2", "sensors/s", "a/3"], "{name}");
        let marks: Vec<u8> = found.iter().map(|m| m.qos).collect();
        assert_eq!(marks, [1, 2, 1, 1], "{name}");
        assert!(
            found.iter().all(|m| !m.is_duplicate),
            "none was sent before"
        );
    }
    assert_eq!(gateway.stop().code(), Some(0));
    // What was acknowledged is forgotten, also on disk.
    assert_eq!(site.sql::<i64>("SELECT count(*) FROM queued"), 0);
}

#[test]
fn what_was_half_done_goes_on_where_it_stood() {
    for version in BOTH {
        let site = Site::new();
        let gateway = site.start();
        let connect = keeper(version, "keeper");
        let mut client = Raw::connect_with(&gateway, &connect);
        client.subscribe("a", 2);
        let mut publisher = Raw::connect(&gateway, V5, "publisher");
        for (text, qos) in [("1", 1), ("2", 2), ("3", 2), ("4", 1)] {
            publisher.publish(Publish::new("a", text).qos(qos, 0));
        }
        let first = [(); 4].map(|()| client.unacknowledged());
        client.send(&ack(PUBREC, first[1].packet_id));
        assert_eq!(client.acknowledged(PUBREL), (first[1].packet_id, 0));
        gateway.kill();

        let gateway = site.start();
        let mut client = Raw::resume(&gateway, &connect);
        assert_eq!(client.message(), first[0].clone().again());
        assert_eq!(client.acknowledged(PUBREL), (first[1].packet_id, 0));
        client.send(&ack(PUBCOMP, first[1].packet_id));
        assert_eq!(client.message(), first[2].clone().again());
        assert_eq!(client.message(), first[3].clone().again());
        assert_eq!(client.messages(), []);
        leave(client);
        wait_until("all of it is done, on disk", || {
            site.sql::<i64>("SELECT count(*) FROM queued") == 0
        });
        gateway.kill();
        let gateway = site.start();
        assert_eq!(Raw::resume(&gateway, &connect).messages(), []);
        gateway.kill();
    }
}

#[test]
fn a_qos_2_reading_that_is_sent_again_after_a_kill_is_stored_once() {
    for version in BOTH {
        let site = Site::new();
        let gateway = site.start();
        let connect = keeper(version, "sensor");
        let mut sensor = Raw::connect_with(&gateway, &connect);
        let publish = Publish::new("sensors/s", "80").qos(2, 7);
        sensor.send(&publish.bytes(version));
        assert_eq!(sensor.acknowledged(PUBREC), (7, 0));
        gateway.kill();

        let gateway = site.start();
        let mut sensor = Raw::resume(&gateway, &connect);
        sensor.send(&publish.clone().again().bytes(version));
        assert_eq!(sensor.acknowledged(PUBREC), (7, 0));
        sensor.send(&ack(PUBREL, 7));
        assert_eq!(sensor.acknowledged(PUBCOMP), (7, 0));
        gateway.kill();

        // The identifier was released on disk: the same is another reading now.
        let gateway = site.start();
        let mut sensor = Raw::resume(&gateway, &connect);
        sensor.send(&publish.bytes(version));
        assert_eq!(sensor.acknowledged(PUBREC), (7, 0));
        gateway.kill();
        assert_eq!(site.sql::<i64>("SELECT count(*) FROM readings"), 2);
        assert_eq!(site.sql::<i64>("SELECT count(*) FROM alerts"), 2);
    }
}

#[test]
fn alerts_wait_for_a_dashboard_that_is_away() {
    let site = Site::new();
    let gateway = site.start();
    let mut dashboard = Raw::connect_with(&gateway, &keeper(V5, "dashboard"));
    dashboard.subscribe("alerts/#", 1);
    leave(dashboard);
    let mut sensor = Raw::connect(&gateway, V311, "sensor");
    for value in ["80", "10", "90"] {
        sensor.publish(Publish::new("sensors/s", value).qos(1, 0));
    }
    gateway.kill();
    let gateway = site.start();
    let mut dashboard = Raw::resume(&gateway, &keeper(V5, "dashboard"));
    let values: Vec<f64> = dashboard
        .messages()
        .iter()
        .map(|alert| serde_json::from_slice::<serde_json::Value>(&alert.payload).unwrap())
        .map(|alert| alert["value"].as_f64().unwrap())
        .collect();
    assert_eq!(values, [80.0, 10.0, 90.0], "raised, cleared, raised");
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn a_queued_message_keeps_its_properties_over_a_kill() {
    let site = Site::new();
    let gateway = site.start();
    let connect = keeper(V5, "keeper");
    let mut client = Raw::connect_with(&gateway, &connect);
    // Retain as published.
    client.subscribe_with("a", 0x08 | 1, &[Property::Varying(SUBSCRIPTION_ID, 5)]);
    leave(client);
    let kept = [
        Property::Byte(PAYLOAD_FORMAT, 1),
        Property::text(CONTENT_TYPE, "text/plain"),
        Property::text(RESPONSE_TOPIC, "answers"),
        Property::Data(CORRELATION_DATA, vec![0, 255, 1]),
        Property::user("k", "1"),
        Property::user("k", "2"),
    ];
    let mut publish = Publish::new("a", "é").qos(2, 0).retained();
    for property in kept.clone() {
        publish = publish.with(property);
    }
    let publish = publish.with(Property::Four(MESSAGE_EXPIRY, 1000));
    Raw::connect(&gateway, V5, "publisher").publish(publish);
    gateway.kill();
    let gateway = site.start();
    let found = Raw::resume(&gateway, &connect).message();
    assert_eq!((found.text(), found.qos, found.is_retained), ("é", 1, true));
    for property in kept {
        assert!(
            found.properties.contains(&property),
            "{property:?}: {found:?}"
        );
    }
    let is_expiry = |p: &&Property| p.id() == MESSAGE_EXPIRY;
    let Some(Property::Four(_, left)) = found.properties.iter().find(is_expiry) else {
        panic!("no expiry: {found:?}");
    };
    assert!(*left <= 1000);
    let id = Property::Varying(SUBSCRIPTION_ID, 5);
    assert!(found.properties.contains(&id));
    gateway.kill();
}

#[test]
fn a_session_that_is_over_is_over_after_a_restart() {
    let site = Site::new();
    let gateway = site.start();
    for name in ["cleaned", "ended", "kept"] {
        leave(Raw::connect_with(&gateway, &keeper(V5, name)));
    }
    leave(Raw::connect(&gateway, V5, "cleaned"));
    let ending = Connect {
        is_clean: false,
        ..Connect::new(V5, "ended")
    };
    leave(Raw::resume(&gateway, &ending));
    let plain = Raw::connect_with(&gateway, &Connect::new(V5, "plain").with(expiry(0)));
    assert_eq!(gateway.stop().code(), Some(0));
    drop(plain);
    let sessions = site.sql_all::<String>("SELECT client_id FROM session");
    assert_eq!(sessions, ["kept"]);
    let gateway = site.start();
    leave(Raw::resume(&gateway, &keeper(V5, "kept")));
    for name in ["cleaned", "ended", "plain"] {
        leave(Raw::connect_with(&gateway, &keeper(V5, name)));
    }
    gateway.kill();
}

/// What is left of a session that was not to outlive the kill must not be in the way of the next one.
#[test]
fn a_session_that_a_kill_kept_from_its_end_is_replaced() {
    let site = Site::new();
    let gateway = site.start();
    leave(Raw::connect_with(&gateway, &keeper(V5, "c")));
    let last = Connect {
        is_clean: false,
        ..Connect::new(V5, "c")
    };
    let connected = Raw::resume(&gateway, &last);
    gateway.kill();
    drop(connected);
    for version in BOTH {
        let gateway = site.start();
        let mut client = match version {
            V5 => Raw::resume(&gateway, &keeper(version, "c")),
            _ => Raw::connect_with(&gateway, &keeper(version, "c")),
        };
        assert_eq!(client.publish(Publish::new("sensors/s", "1").qos(1, 0)), 0);
        gateway.kill();
    }
}

#[test]
fn what_is_sent_again_keeps_to_the_window_of_its_new_connection() {
    let site = Site::new();
    let gateway = site.start();
    let connect = keeper(V5, "keeper");
    let mut client = Raw::connect_with(&gateway, &connect);
    client.subscribe("a", 1);
    let mut publisher = Raw::connect(&gateway, V5, "publisher");
    for number in 0..10 {
        publisher.publish(Publish::new("a", number.to_string()).qos(1, 0));
    }
    client.unacknowledged();
    gateway.kill();
    let gateway = site.start();
    let one = Property::Two(RECEIVE_MAXIMUM, 1);
    let mut client = Raw::resume(&gateway, &connect.with(one));
    for number in 0..10 {
        let message = client.unacknowledged();
        assert_eq!(message.text(), number.to_string());
        client.ping();
        assert!(!client.has_message(), "one at a time");
        client.send(&ack(PUBACK, message.packet_id));
    }
    assert_eq!(gateway.stop().code(), Some(0));
}

/// A receiver of QoS 2, with what it remembers over connections.
#[derive(Default)]
struct Receiver {
    open: HashSet<u16>,
    /// How often each payload came.
    seen: HashMap<String, u32>,
}

impl Receiver {
    /// Answers one packet.
    fn step(&mut self, client: &mut Raw) {
        let frame = client.receive().expect("closed instead of a message");
        if frame.kind() == PUBREL {
            let (packet_id, _) = frame.acknowledged(V5);
            self.open.remove(&packet_id);
            return client.send(&ack(PUBCOMP, packet_id));
        }
        let message = Publish::read(V5, &frame);
        if self.open.insert(message.packet_id) {
            *self.seen.entry(message.text().to_owned()).or_default() += 1;
        }
        client.send(&ack(PUBREC, message.packet_id));
    }
}

/// A subscriber and a publisher go through several kills: what was acknowledged arrives, with QoS 2 once.
#[test]
fn acknowledged_messages_reach_a_subscriber_over_many_kills() {
    const ROUNDS: u32 = 8;
    let seed =
        std::env::var("IT_SEED").map_or_else(|_| fastrand::u64(..), |text| text.parse().unwrap());
    println!("IT_SEED={seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let site = Site::new();
    let (reader, writer) = (keeper(V5, "reader"), keeper(V311, "writer"));
    let mut receiver = Receiver::default();
    let mut acknowledged = Vec::new();
    let mut open: Option<(Publish, bool)> = None;
    for round in 0..ROUNDS {
        let gateway = site.start();
        let connect = |connect: &Connect<'_>| match round {
            0 => Raw::connect_with(&gateway, connect),
            _ => Raw::resume(&gateway, connect),
        };
        let mut subscriber = connect(&reader);
        if round == 0 {
            subscriber.subscribe("a", 2);
        }
        let mut publisher = connect(&writer);
        if let Some((publish, is_recorded)) = open.take() {
            // The exchange that the kill broke is taken up where the publisher stood.
            if !is_recorded {
                publisher.send(&publish.clone().again().bytes(V311));
                assert_eq!(publisher.acknowledged(PUBREC).0, publish.packet_id);
            }
            publisher.send(&ack(PUBREL, publish.packet_id));
            assert_eq!(publisher.acknowledged(PUBCOMP).0, publish.packet_id);
            acknowledged.push(publish.text().to_owned());
        }
        for number in 0..rng.u32(1..30) {
            let text = format!("{round}-{number}");
            publisher.publish(Publish::new("a", &text).qos(2, 0));
            acknowledged.push(text);
            if rng.u8(..3) == 0 {
                receiver.step(&mut subscriber);
            }
        }
        // One that is under way at the end; its identifier is free.
        let last = Publish::new("a", format!("{round}-last")).qos(2, 60_000);
        publisher.send(&last.bytes(V311));
        let is_recorded = rng.bool();
        if is_recorded {
            publisher.acknowledged(PUBREC);
        }
        open = Some((last, is_recorded));
        gateway.kill();
    }
    let gateway = site.start();
    let mut subscriber = Raw::resume(&gateway, &reader);
    Raw::connect(&gateway, V5, "last").publish(Publish::new("a", "end").qos(2, 0));
    while !receiver.seen.contains_key("end") {
        receiver.step(&mut subscriber);
    }
    for text in &acknowledged {
        assert_eq!(receiver.seen.get(text), Some(&1), "{text}");
    }
    assert_eq!(gateway.stop().code(), Some(0));
}

/// A gateway without a clock of its own begins in 1970, until it is told the time.
#[test]
fn time_away_counts_for_expiry_unless_the_clock_was_not_set_or_went_back() {
    let site = Site::new();
    let gateway = site.start();
    let connect = keeper(V5, "keeper");
    let mut client = Raw::connect_with(&gateway, &connect);
    client.subscribe("queued/+", 1);
    leave(client);
    let mut publisher = Raw::connect(&gateway, V5, "publisher");
    for name in ["unset", "ahead", "over", "now"] {
        let message = Publish::new(&format!("queued/{name}"), name).qos(1, 0);
        publisher.publish(
            message
                .retained()
                .with(Property::Four(MESSAGE_EXPIRY, 1000)),
        );
    }
    gateway.kill();
    for table in ["queued", "retained"] {
        for (name, received_at) in [
            ("unset", "5000"),
            ("ahead", "received_at + 86400000"),
            ("over", "received_at - 2000000"),
        ] {
            site.change(&format!(
                "UPDATE {table} SET received_at = {received_at} WHERE topic = 'queued/{name}'"
            ));
        }
    }
    let gateway = site.start();
    let mut client = Raw::resume(&gateway, &connect);
    let names = |client: &mut Raw| -> Vec<String> {
        let messages = client.messages().into_iter();
        messages.map(|message| message.text().to_owned()).collect()
    };
    assert_eq!(names(&mut client), ["unset", "ahead", "now"]);
    let mut other = Raw::connect(&gateway, V5, "other");
    other.subscribe("queued/#", 0);
    assert_eq!(names(&mut other), ["ahead", "now", "unset"]);
    assert_eq!(gateway.stop().code(), Some(0));
}
