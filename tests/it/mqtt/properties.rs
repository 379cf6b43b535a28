//! What MQTT 5 carries beside the payload.

use super::serve;
use crate::support::frames::{Connect, PUBACK, Publish, V5, V311, ack};
use crate::support::properties::{
    CONTENT_TYPE, CORRELATION_DATA, MESSAGE_EXPIRY, PAYLOAD_FORMAT, Property, RECEIVE_MAXIMUM,
    RESPONSE_TOPIC, SUBSCRIPTION_ID,
};
use crate::support::raw::Raw;

fn all() -> Vec<Property> {
    vec![
        Property::Byte(PAYLOAD_FORMAT, 1),
        Property::text(CONTENT_TYPE, "text/plain"),
        Property::text(RESPONSE_TOPIC, "answers/étage"),
        Property::Data(CORRELATION_DATA, vec![0, 1, 255]),
        Property::user("unit", "°C"),
        Property::user("unit", "again"),
        Property::user("", ""),
    ]
}

#[track_caller]
fn check_same(mut found: Vec<Property>, mut expected: Vec<Property>) {
    // Only the order of user properties matters; the sort keeps it.
    found.sort_by_key(Property::id);
    expected.sort_by_key(Property::id);
    assert_eq!(found, expected);
}

#[test]
fn properties_travel_to_subscribers_and_retained_with_their_message() {
    serve(|gateway| {
        let mut publisher = Raw::connect(gateway, V5, "publisher");
        let mut new = Raw::connect(gateway, V5, "new");
        let mut old = Raw::connect(gateway, V311, "old");
        for topic in ["plain/a", "sensors/s1"] {
            for subscriber in [&mut new, &mut old] {
                subscriber.subscribe(topic, 2);
            }
            for qos in [0, 1, 2] {
                let publish = Publish {
                    properties: all(),
                    ..Publish::new(topic, "21.5").qos(qos, 0).retained()
                };
                publisher.publish(publish);
                let found = new.message();
                assert_eq!(found.text(), "21.5");
                check_same(found.properties, all());
                assert_eq!(old.text(), "21.5");
            }
            let mut newcomer = Raw::connect(gateway, V5, "newcomer");
            newcomer.subscribe(topic, 0);
            check_same(newcomer.message().properties, all());
        }
    });
}

#[test]
fn properties_travel_with_a_will() {
    serve(|gateway| {
        let mut watcher = Raw::connect(gateway, V5, "watcher");
        watcher.subscribe("wills/a", 0);
        let will = Publish {
            properties: all(),
            ..Publish::new("wills/a", "gone")
        };
        let mut mortal = Raw::connect_with(gateway, &Connect::new(V5, "mortal").will(will));
        mortal.shut_down();
        check_same(watcher.message().properties, all());
    });
}

#[test]
fn an_expired_message_is_not_delivered() {
    serve(|gateway| {
        let mut publisher = Raw::connect(gateway, V5, "publisher");
        let mut client = Raw::connect(gateway, V5, "client");
        let mut old = Raw::connect(gateway, V311, "old");
        let expiring = |topic: &str, seconds| {
            let expiry = Property::Four(MESSAGE_EXPIRY, seconds);
            Publish::new(topic, "x").qos(1, 0).retained().with(expiry)
        };
        publisher.publish(expiring("a/long", 1000));
        publisher.publish(expiring("a/short", 2));
        client.subscribe("a/short", 0);
        assert_eq!(client.message().topic, "a/short");
        // What is left of its life travels with it.
        loop {
            client.subscribe("a/long", 0);
            let left = client.message().properties;
            let [Property::Four(MESSAGE_EXPIRY, seconds)] = left[..] else {
                panic!("{left:?}");
            };
            assert!((990..=1000).contains(&seconds), "{seconds}");
            client.subscribe("a/short", 0);
            let is_gone = client.messages().is_empty();
            if is_gone {
                assert!(seconds < 1000, "{seconds}");
                break;
            }
        }
        old.subscribe("a/+", 0);
        let topics: Vec<String> = old.messages().into_iter().map(|m| m.topic).collect();
        assert_eq!(topics, ["a/long"]);
    });
}

#[test]
fn a_message_that_expires_while_it_waits_is_not_delivered() {
    serve(|gateway| {
        let mut publisher = Raw::connect(gateway, V5, "publisher");
        let mut watcher = Raw::connect(gateway, V5, "watcher");
        let connect = Connect::new(V5, "slow").with(Property::Two(RECEIVE_MAXIMUM, 1));
        let mut slow = Raw::connect_with(gateway, &connect);
        slow.subscribe("a", 1);
        let expiring = |topic: &str| {
            let expiry = Property::Four(MESSAGE_EXPIRY, 1);
            Publish::new(topic, "x").qos(1, 0).with(expiry)
        };
        publisher.publish(Publish::new("a", "first").qos(1, 0));
        publisher.publish(expiring("a"));
        publisher.publish(Publish::new("a", "last").qos(1, 0));
        let first = slow.unacknowledged();
        assert_eq!(first.text(), "first");
        // A retained message that was published later is gone: the one that waits has expired, too.
        publisher.publish(expiring("kept").retained());
        loop {
            watcher.subscribe("kept", 0);
            if watcher.messages().is_empty() {
                break;
            }
        }
        slow.send(&ack(PUBACK, first.packet_id));
        assert_eq!(slow.text(), "last");
    });
}

#[test]
fn a_property_that_a_client_may_not_send_closes_the_connection() {
    serve(|gateway| {
        for property in [
            Property::text(RESPONSE_TOPIC, "answers/+"),
            Property::text(RESPONSE_TOPIC, "answers/#"),
            Property::Byte(SUBSCRIPTION_ID, 1),
        ] {
            let mut client = Raw::connect(gateway, V5, "a");
            let publish = Publish {
                properties: vec![property],
                ..Publish::new("plain/a", "x")
            };
            client.send(&publish.bytes(V5));
            client.is_dismissed(0x82);
        }
    });
}
