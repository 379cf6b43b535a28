//! Quality of service: at most once, at least once, exactly once.

use super::{serve, serve_at};
use crate::support::Site;
use crate::support::frames::{
    BOTH, Connect, PUBACK, PUBCOMP, PUBREC, PUBREL, Publish, V5, V311, ack,
};
use crate::support::properties::{Property, RECEIVE_MAXIMUM};
use crate::support::raw::Raw;

#[test]
fn a_message_comes_with_the_lower_of_the_two_qualities() {
    serve(|gateway| {
        for (from, to) in [(V311, V311), (V311, V5), (V5, V311), (V5, V5)] {
            let mut publisher = Raw::connect(gateway, from, "publisher");
            let mut subscriber = Raw::connect(gateway, to, "subscriber");
            for granted in [0, 1, 2] {
                for topic in ["plain/a", "sensors/a"] {
                    assert_eq!(subscriber.subscribe(topic, granted), granted);
                    for qos in [0, 1, 2] {
                        let payload = format!("{granted}{qos}");
                        let publish = Publish::new(topic, &payload).qos(qos, 0);
                        assert_eq!(publisher.publish(publish), 0);
                        let found = subscriber.message();
                        assert_eq!(found.text(), payload);
                        assert_eq!(found.qos, granted.min(qos), "{from} to {to}: {payload}");
                        assert!(!found.is_duplicate && !found.is_retained, "{found:?}");
                    }
                }
            }
        }
    });
}

#[test]
fn a_reading_sent_again_at_qos_2_is_stored_and_delivered_once() {
    let site = Site::new();
    serve_at(&site, |gateway| {
        let mut subscriber = Raw::connect(gateway, V311, "subscriber");
        subscriber.subscribe("sensors/#", 2);
        for version in BOTH {
            let sensor = format!("s{version}");
            let publish = Publish::new(&format!("sensors/{sensor}"), "1").qos(2, 7);
            let again = publish.clone().again().bytes(version);
            let mut sender = Raw::connect(gateway, version, "sender");
            // Again before the PUBREC, and again after it.
            let mut both = publish.bytes(version);
            both.extend(&again);
            sender.send(&both);
            assert_eq!(sender.acknowledged(PUBREC), (7, 0));
            sender.send(&again);
            assert_eq!(sender.acknowledged(PUBREC), (7, 0));
            sender.send(&ack(PUBREL, 7));
            assert_eq!(sender.acknowledged(PUBCOMP), (7, 0));
            // The id is free: the same bytes are another reading now.
            sender.send(&publish.bytes(version));
            assert_eq!(sender.acknowledged(PUBREC), (7, 0));
            sender.send(&ack(PUBREL, 7));
            assert_eq!(sender.acknowledged(PUBCOMP), (7, 0));
            let count = format!("SELECT count(*) FROM readings WHERE sensor_id = '{sensor}'");
            assert_eq!(site.sql::<i64>(&count), 2);
            assert_eq!(
                [subscriber.message().topic, subscriber.message().topic],
                [&*publish.topic, &*publish.topic]
            );
            // No reading, but the same rule.
            let plain = Publish::new("plain/a", "1").qos(2, 9);
            let mut both = plain.bytes(version);
            both.extend(plain.clone().again().bytes(version));
            subscriber.subscribe("plain/#", 2);
            sender.send(&both);
            assert_eq!(sender.acknowledged(PUBREC), (9, 0));
            sender.publish(Publish::new("sensors/end", "99").qos(1, 0));
            let found = [subscriber.message().topic, subscriber.message().topic];
            assert_eq!(found, ["plain/a", "sensors/end"]);
            subscriber.unsubscribe("plain/#");
        }
    });
}

#[test]
fn a_release_of_an_unknown_id_is_completed() {
    serve(|gateway| {
        for (version, reason) in [(V311, 0), (V5, 0x92)] {
            let mut client = Raw::connect(gateway, version, "client");
            client.send(&ack(PUBREL, 77));
            assert_eq!(client.acknowledged(PUBCOMP), (77, reason));
            client.ping();
        }
    });
}

#[test]
fn a_subscriber_is_never_sent_more_than_it_can_take_at_once() {
    serve(|gateway| {
        let mut publisher = Raw::connect(gateway, V311, "publisher");
        let connect = Connect::new(V5, "small").with(Property::Two(RECEIVE_MAXIMUM, 1));
        for qos in [1, 2] {
            let mut subscriber = Raw::connect_with(gateway, &connect);
            subscriber.subscribe("a", 2);
            for payload in ["1", "2", "3"] {
                publisher.publish(Publish::new("a", payload).qos(qos, 0));
            }
            // Quality 0 is not counted, but keeps its place.
            publisher.publish(Publish::new("a", "4"));
            publisher.ping();
            for payload in ["1", "2", "3"] {
                let message = subscriber.unacknowledged();
                assert_eq!((message.text(), message.qos), (payload, qos));
                subscriber.ping();
                let early = subscriber.is_closed_within(std::time::Duration::from_millis(1));
                assert!(!early, "something came before the acknowledgement");
                if qos == 1 {
                    subscriber.send(&ack(PUBACK, message.packet_id));
                } else {
                    subscriber.send(&ack(PUBREC, message.packet_id));
                    subscriber.acknowledged(PUBREL);
                    subscriber.send(&ack(PUBCOMP, message.packet_id));
                }
            }
            assert_eq!(subscriber.text(), "4");
        }
    });
}
