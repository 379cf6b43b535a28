//! Retained messages are there after the gateway was killed.

use crate::support::frames::{Publish, V5, V311};
use crate::support::properties::{MESSAGE_EXPIRY, Property};
use crate::support::raw::Raw;
use crate::support::{Gateway, Site};

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
