//! Retained messages are there after the gateway was killed.

use super::keeper;
use crate::support::frames::{PUBACK, PUBREC, Publish, V5, V311};
use crate::support::properties::{MESSAGE_EXPIRY, Property, RECEIVE_MAXIMUM};
use crate::support::raw::Raw;
use crate::support::{Gateway, Site, wait_until};

#[test]
fn retained_messages_are_there_after_a_kill_and_cleared_ones_are_not() {
    let site = Site::new();
    let gateway = site.start();
    let mut publisher = Raw::connect(&gateway, V5, "publisher");
    let mut publish = |topic: &str, text: &str, qos| {
        let message = Publish::new(topic, text).qos(qos, 0).retained();
        let expiry = Property::Four(MESSAGE_EXPIRY, 1000);
        assert_eq!(publisher.publish(message.with(expiry)), 0);
    };
    publish("a/1", "old", 1);
    publish("a/1", "new", 2);
    publish("a/2", "cleared", 1);
    publish("a/2", "", 1);
    publish("sensors/s", "90", 1);
    publish("sensors/s", r#"{"value":80,"unit":"bar"}"#, 1);
    publish("status/d", "online", 1);
    publish("a/3", "of QoS 0", 0);
    publish("a/4", "behind it", 1);
    let raised = alert(&gateway);
    gateway.kill();
    let gateway = site.start();
    assert_eq!(alert(&gateway), raised);
    assert_eq!(gateway.stop().code(), Some(0));
    let gateway = site.start();
    let mut client = Raw::connect(&gateway, V311, "client");
    client.subscribe("#", 2);
    let mut found: Vec<(String, String, u8)> = client
        .messages()
        .into_iter()
        .map(|m| (m.topic.clone(), m.text().to_owned(), m.qos))
        .collect();
    found.sort_unstable();
    assert_eq!(found.remove(3), ("alerts/s".to_owned(), raised, 1));
    let expected = [
        ("a/1", "new", 2),
        ("a/3", "of QoS 0", 0),
        ("a/4", "behind it", 1),
        ("sensors/s", r#"{"value":80,"unit":"bar"}"#, 1),
        ("status/d", "online", 1),
    ];
    let found: Vec<_> = found.iter().map(|(t, p, q)| (&**t, &**p, *q)).collect();
    assert_eq!(found[..3], expected[..3]);
    assert_eq!(found[3..], expected[3..]);
    assert_eq!(gateway.stop().code(), Some(0));
}

/// The retained alert.
fn alert(gateway: &Gateway<'_>) -> String {
    let mut client = Raw::connect(gateway, V311, "watcher");
    client.subscribe("alerts/#", 1);
    let alert = client.message();
    assert!(alert.is_retained && alert.text().contains("\"value\":80"));
    alert.text().to_owned()
}

/// More than one page of them.
const MANY: u32 = 130;

fn retain_many(gateway: &Gateway<'_>) {
    let mut publisher = Raw::connect(gateway, V5, "retainer");
    let all: Vec<u8> = (0..MANY)
        .flat_map(|number| {
            let qos = 1 + number as u8 % 2;
            let message = Publish::new(&format!("r/{number:03}"), "x").retained();
            message.qos(qos, number as u16 + 1).bytes(V5)
        })
        .collect();
    publisher.send(&all);
    for number in 0..MANY {
        let kind = if number % 2 == 0 { PUBACK } else { PUBREC };
        assert_eq!(publisher.acknowledged(kind), (number as u16 + 1, 0));
    }
}

fn topics(messages: &[Publish]) -> Vec<String> {
    messages.iter().map(|m| m.topic.clone()).collect()
}

#[test]
fn retained_messages_that_a_suback_promised_come_after_a_kill() {
    let site = Site::new();
    let gateway = site.start();
    retain_many(&gateway);
    let connect = keeper(V5, "keeper");
    let one = Property::Two(RECEIVE_MAXIMUM, 1);
    let mut client = Raw::connect_with(&gateway, &connect.clone().with(one));
    client.subscribe("live", 1);
    let mut publisher = Raw::connect(&gateway, V5, "publisher");
    for _ in 0..2 {
        publisher.publish(Publish::new("live", "x").qos(1, 0));
    }
    // What waits keeps the retained ones from its queue.
    client.subscribe("r/#", 2);
    gateway.kill();

    let gateway = site.start();
    let mut client = Raw::resume(&gateway, &connect);
    let found: Vec<Publish> = (0..MANY + 2).map(|_| client.message()).collect();
    let expected: Vec<String> = (0..MANY).map(|number| format!("r/{number:03}")).collect();
    assert_eq!(topics(&found[2..]), expected);
    assert!(found[2..].iter().all(|m| m.is_retained && !m.is_duplicate));
    assert_eq!(client.messages(), []);
    // Done with what was acknowledged is on disk before this is.
    client.publish(Publish::new("sensors/s", "1").qos(1, 0));
    gateway.kill();
    let gateway = site.start();
    let mut client = Raw::resume(&gateway, &connect);
    assert_eq!(client.messages(), [], "all have come");
    gateway.kill();
}

#[test]
fn pages_of_retained_messages_that_came_before_a_kill_do_not_come_again() {
    let site = Site::new();
    let gateway = site.start();
    retain_many(&gateway);
    let connect = keeper(V5, "keeper");
    let mut client = Raw::connect_with(&gateway, &connect);
    client.subscribe("r/+", 2);
    let mut found: Vec<Publish> = (0..40).map(|_| client.message()).collect();
    client.publish(Publish::new("sensors/s", "1").qos(1, 0));
    gateway.kill();

    let gateway = site.start();
    let mut client = Raw::resume(&gateway, &connect);
    found.extend((40..MANY).map(|_| client.message()));
    let expected: Vec<String> = (0..MANY).map(|number| format!("r/{number:03}")).collect();
    assert_eq!(topics(&found), expected);
    // Of a filter that has been taken back nothing is owed, nor of one whose retained messages are not wanted.
    assert_eq!(client.messages(), []);
    client.subscribe("r/000", 2);
    client.unsubscribe("r/000");
    client.subscribe("r/001", 0x20 | 2);
    client.messages();
    client.publish(Publish::new("sensors/s", "1").qos(1, 0));
    gateway.kill();
    let gateway = site.start();
    assert_eq!(Raw::resume(&gateway, &connect).messages(), []);
    gateway.kill();
}

#[test]
fn expired_retained_messages_are_removed() {
    let site = Site::new();
    let gateway = site.start();
    let mut publisher = Raw::connect(&gateway, V5, "publisher");
    let mut publish = |topic: &str, seconds| {
        let message = Publish::new(topic, "x").qos(1, 0).retained();
        let expiry = Property::Four(MESSAGE_EXPIRY, seconds);
        assert_eq!(publisher.publish(message.with(expiry)), 0);
    };
    publish("a/brief", 1);
    publish("a/long", 1000);
    publish("a/renewed", 1);
    publish("a/renewed", 1000);
    let topics = || site.sql_all::<String>("SELECT topic FROM retained ORDER BY topic");
    wait_until("the expired one is gone", || {
        topics() == ["a/long", "a/renewed"]
    });
    assert_eq!(gateway.stop().code(), Some(0));
    assert_eq!(topics(), ["a/long", "a/renewed"]);
}
