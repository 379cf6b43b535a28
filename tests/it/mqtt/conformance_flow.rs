//! What goes to subscribers, and how much of it at once: aliases, windows, identifiers, order, expiry.

use std::collections::HashSet;

use super::serve;
use crate::support::frames::{
    BOTH, Connect, DISCONNECT, PUBACK, PUBCOMP, PUBREC, PUBREL, Publish, SUBACK, UNSUBACK, V5,
    V311, ack, disconnect, packet, subscribe,
};
use crate::support::properties::{
    MESSAGE_EXPIRY, PAYLOAD_FORMAT, Property, RECEIVE_MAXIMUM, SESSION_EXPIRY, TOPIC_ALIAS,
};
use crate::support::raw::Raw;

const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;

fn alias(number: u16) -> Property {
    Property::Two(TOPIC_ALIAS, number)
}

/// A client that takes one QoS 1 or 2 message at once.
fn narrow(client_id: &str) -> Connect<'_> {
    Connect::new(V5, client_id).with(Property::Two(RECEIVE_MAXIMUM, 1))
}

#[test]
fn an_alias_of_a_client_stands_for_a_topic_of_its_connection() {
    serve(|gateway| {
        let mut watcher = Raw::connect(gateway, V5, "watcher");
        watcher.subscribe("plain/#", 0);
        let mut client = Raw::connect(gateway, V5, "client");
        for number in 1..=16 {
            let topic = format!("plain/{number}");
            client.publish(Publish::new(&topic, "x").with(alias(number)));
            assert_eq!(watcher.message().topic, topic);
        }
        for number in 1..=16 {
            client.publish(Publish::new("", "x").qos(1, 0).with(alias(number)));
            let found = watcher.message();
            assert_eq!(found.topic, format!("plain/{number}"));
            assert_eq!(found.properties, [], "the alias is not handed on");
        }
        client.publish(Publish::new("plain/new", "x").with(alias(1)));
        client.publish(Publish::new("", "x").qos(2, 0).with(alias(1)));
        assert_eq!(watcher.message().topic, "plain/new");
        assert_eq!(watcher.message().topic, "plain/new");
        let mut other = Raw::connect(gateway, V5, "other");
        other.send(&Publish::new("", "x").with(alias(1)).bytes(V5));
        other.is_dismissed(0x94);
        client.send(&disconnect());
        client.rest();
        let mut again = Raw::connect(gateway, V5, "client");
        again.send(&Publish::new("", "x").with(alias(1)).bytes(V5));
        again.is_dismissed(0x94);
    });
}

#[test]
fn the_gateway_uses_as_many_aliases_as_the_client_takes() {
    const TOPICS: u16 = 70;
    serve(|gateway| {
        let mut publisher = Raw::connect(gateway, V311, "publisher");
        for (maximum, most) in [(None, 0), (Some(0), 0), (Some(2), 2), (Some(65_535), 64)] {
            let maximum = maximum.map(|number| Property::Two(TOPIC_ALIAS_MAXIMUM, number));
            let connect = Connect {
                properties: maximum.into_iter().collect(),
                ..Connect::new(V5, "subscriber")
            };
            // The second connection knows nothing of the first one's.
            for _ in 0..2 {
                let mut subscriber = Raw::connect_with(gateway, &connect);
                subscriber.subscribe("a/#", 1);
                for is_again in [false, true] {
                    for number in 1..=TOPICS {
                        let topic = format!("a/{number}");
                        publisher.publish(Publish::new(&topic, "x").qos(1, 0));
                        let found = subscriber.message();
                        let expected = if number <= most {
                            let topic = if is_again { "" } else { &*topic };
                            (topic, vec![alias(number)])
                        } else {
                            (&*topic, vec![])
                        };
                        assert_eq!((&*found.topic, found.properties), expected);
                    }
                }
            }
        }
    });
}

#[test]
fn all_else_is_answered_while_the_window_is_full() {
    serve(|gateway| {
        let mut publisher = Raw::connect(gateway, V5, "publisher");
        let mut client = Raw::connect_with(gateway, &narrow("client"));
        client.subscribe("a", 2);
        for payload in ["first", "second"] {
            publisher.publish(Publish::new("a", payload).qos(2, 0));
        }
        let first = client.unacknowledged();
        client.ping();
        assert_eq!(client.subscribe("b", 1), 1);
        assert_eq!(client.publish(Publish::new("c", "x").qos(1, 0)), 0);
        assert_eq!(client.publish(Publish::new("c", "x").qos(2, 0)), 0);
        assert_eq!(client.unsubscribe("b"), 0);
        // PUBREC does not make room, PUBCOMP does.
        client.send(&ack(PUBREC, first.packet_id));
        assert_eq!(client.acknowledged(PUBREL), (first.packet_id, 0));
        client.ping();
        let early = client.is_closed_within(std::time::Duration::from_millis(1));
        assert!(!early, "the second message came before its time");
        client.send(&ack(PUBCOMP, first.packet_id));
        assert_eq!((first.text(), &*client.text()), ("first", "second"));
    });
}

#[test]
fn a_message_that_a_client_refuses_is_done_with() {
    serve(|gateway| {
        let mut publisher = Raw::connect(gateway, V5, "publisher");
        let mut client = Raw::connect_with(gateway, &narrow("client"));
        client.subscribe("a", 2);
        for (qos, kind) in [(1, PUBACK), (2, PUBREC)] {
            for payload in ["refused", "taken"] {
                publisher.publish(Publish::new("a", payload).qos(qos, 0));
            }
            let refused = client.unacknowledged();
            assert_eq!(refused.text(), "refused");
            let id = refused.packet_id.to_be_bytes();
            client.send(&packet(kind << 4, &[&id[..], &[0x80]].concat()));
            // Not sent again, and no PUBREL comes for it.
            assert_eq!(client.text(), "taken");
        }
        assert_eq!(client.messages(), []);
    });
}

#[test]
fn identifiers_of_what_is_on_its_way_are_all_different() {
    serve(|gateway| {
        let mut publisher = Raw::connect(gateway, V5, "publisher");
        for version in BOTH {
            let mut client = Raw::connect(gateway, version, "client");
            client.subscribe("a", 2);
            for number in 0..60 {
                publisher.publish(Publish::new("a", "x").qos(1 + number % 2, 0));
            }
            let sent: Vec<Publish> = (0..60).map(|_| client.unacknowledged()).collect();
            let ids: HashSet<u16> = sent.iter().map(|message| message.packet_id).collect();
            assert!(ids.len() == 60 && !ids.contains(&0), "{ids:?}");
            assert!(sent.iter().all(|message| !message.is_duplicate));
            // Those of QoS 0 have none: what stands there is the payload.
            publisher.publish(Publish::new("a", "x"));
            assert_eq!(client.text(), "x");
        }
    });
}

#[test]
fn messages_of_a_topic_come_in_the_order_of_their_publisher() {
    const COUNT: u16 = 400;
    serve(|gateway| {
        for version in BOTH {
            let mut publisher = Raw::connect(gateway, version, "publisher");
            let mut all = Raw::connect(gateway, version, "all");
            let mut some = Raw::connect_with(gateway, &narrow("some"));
            all.subscribe("plain/#", 2);
            some.subscribe("plain/+", 1);
            for topic in ["plain/a", "sensors/a"] {
                all.subscribe(topic, 2);
                some.subscribe(topic, 1);
                let mut bytes = Vec::new();
                for number in 1..=COUNT {
                    let qos = if number % 3 == 0 { 2 } else { 1 };
                    let publish = Publish::new(topic, number.to_string()).qos(qos, number);
                    bytes.extend(publish.bytes(version));
                }
                publisher.send(&bytes);
                for client in [&mut all, &mut some] {
                    for number in 1..=COUNT {
                        assert_eq!(client.text(), number.to_string(), "{topic}");
                    }
                }
                for number in 1..=COUNT {
                    let kind = if number % 3 == 0 { PUBREC } else { PUBACK };
                    assert_eq!(publisher.acknowledged(kind), (number, 0));
                    if kind == PUBREC {
                        publisher.send(&ack(PUBREL, number));
                    }
                }
                for number in (3..=COUNT).step_by(3) {
                    assert_eq!(publisher.acknowledged(PUBCOMP), (number, 0));
                }
            }
        }
    });
}

#[test]
fn a_message_that_says_it_is_text_is_text() {
    let text = |is_text| Property::Byte(PAYLOAD_FORMAT, is_text);
    serve(|gateway| {
        let mut watcher = Raw::connect(gateway, V5, "watcher");
        watcher.subscribe("plain/a", 0);
        let mut client = Raw::connect(gateway, V5, "client");
        let mut publish = |payload: &[u8], is_text, qos, reason| {
            let message = Publish::new("plain/a", payload).qos(qos, 0);
            assert_eq!(client.publish(message.with(text(is_text))), reason);
        };
        for qos in [1, 2] {
            publish(b"\xff", 1, qos, 0x99);
            publish(b"\xff", 0, qos, 0);
            publish("\u{e9}".as_bytes(), 1, qos, 0);
        }
        publish(b"\xff", 1, 0, 0);
        publish(b"end", 1, 1, 0);
        let expected = [(&b"\xff"[..], 0), (b"\xc3\xa9", 1)];
        for (payload, is_text) in expected
            .into_iter()
            .cycle()
            .take(4)
            .chain([(&b"end"[..], 1)])
        {
            let found = watcher.message();
            assert_eq!(found.payload, payload);
            assert_eq!(found.properties, [text(is_text)]);
        }
    });
}

#[test]
fn filters_of_an_unsubscribe_are_compared_as_texts_and_answered_in_order() {
    serve(|gateway| {
        for version in BOTH {
            let mut client = Raw::connect(gateway, version, "client");
            let entries = [("a/b", 1), ("a/+", 1), ("c/#", 1), ("d", 1)];
            client.send(&subscribe(version, 1, &entries, &[]));
            client.wait_for(SUBACK);
            let properties = if version == V5 { &b"\0"[..] } else { b"" };
            let filters = b"\0\x03c/#\0\x03a/#\0\x03a/+\0\x02c/\0\x01d";
            client.send(&packet(
                0xA2,
                &[&b"\0\x02"[..], properties, filters].concat(),
            ));
            let answer = client.wait_for(UNSUBACK).body;
            let expected: &[u8] = match version {
                V5 => b"\0\x02\0\0\x11\0\x11\0",
                _ => b"\0\x02",
            };
            assert_eq!(answer, expected);
            for topic in ["a/c", "c/d", "d", "a/b"] {
                client.publish(Publish::new(topic, "x").qos(1, 0));
            }
            let found: Vec<String> = client.messages().into_iter().map(|m| m.topic).collect();
            assert_eq!(found, ["a/b"]);
        }
    });
}

#[test]
fn what_was_begun_is_finished_without_its_subscription() {
    serve(|gateway| {
        let mut publisher = Raw::connect(gateway, V5, "publisher");
        for version in BOTH {
            let mut client = Raw::connect(gateway, version, "client");
            client.subscribe("a", 2);
            for qos in [1, 2] {
                publisher.publish(Publish::new("a", "begun").qos(qos, 0));
            }
            let begun = [client.unacknowledged(), client.unacknowledged()];
            client.unsubscribe("a");
            publisher.publish(Publish::new("a", "too late").qos(1, 0));
            client.send(&ack(PUBACK, begun[0].packet_id));
            client.send(&ack(PUBREC, begun[1].packet_id));
            assert_eq!(client.acknowledged(PUBREL), (begun[1].packet_id, 0));
            client.send(&ack(PUBCOMP, begun[1].packet_id));
            assert_eq!(client.messages(), []);
        }
    });
}

#[test]
fn a_subscription_made_again_loses_nothing_that_waits() {
    serve(|gateway| {
        let mut publisher = Raw::connect(gateway, V5, "publisher");
        let mut client = Raw::connect_with(gateway, &narrow("client"));
        publisher.publish(Publish::new("a", "kept").qos(1, 0).retained());
        client.subscribe("a", 1);
        assert_eq!(client.text(), "kept");
        for payload in ["1", "2"] {
            publisher.publish(Publish::new("a", payload).qos(1, 0));
        }
        let first = client.unacknowledged();
        client.subscribe("a", 1);
        client.send(&ack(PUBACK, first.packet_id));
        assert_eq!([client.text(), client.text()], ["2", "kept"]);
        assert_eq!(client.messages(), []);
    });
}

#[test]
fn what_was_sent_before_it_expired_is_sent_again() {
    serve(|gateway| {
        let mut publisher = Raw::connect(gateway, V5, "publisher");
        let expiring = |topic: &str, qos| {
            let expiry = Property::Four(MESSAGE_EXPIRY, 1);
            Publish::new(topic, "x").qos(qos, 0).with(expiry)
        };
        for qos in [1, 2] {
            let keeper = Connect {
                is_clean: false,
                ..Connect::new(V5, if qos == 1 { "once" } else { "twice" })
            };
            let keeper = keeper.with(Property::Four(SESSION_EXPIRY, 60));
            let mut client = Raw::connect_with(gateway, &keeper);
            client.subscribe("a", 2);
            publisher.publish(expiring("a", qos));
            let sent = client.unacknowledged();
            client.shut_down();
            client.rest();
            publisher.publish(expiring("a", qos));
            // A retained message that was published later is gone: both have expired.
            publisher.publish(expiring("kept", 1).retained());
            let mut watcher = Raw::connect(gateway, V5, "watcher");
            loop {
                watcher.subscribe("kept", 0);
                if watcher.messages().is_empty() {
                    break;
                }
            }
            let mut client = Raw::resume(gateway, &keeper);
            let again = client.unacknowledged();
            assert!(again.is_duplicate);
            assert_eq!((again.packet_id, again.text()), (sent.packet_id, "x"));
            if qos == 1 {
                client.send(&ack(PUBACK, sent.packet_id));
            } else {
                client.send(&ack(PUBREC, sent.packet_id));
                assert_eq!(client.acknowledged(PUBREL), (sent.packet_id, 0));
                client.send(&ack(PUBCOMP, sent.packet_id));
            }
            assert_eq!(client.messages(), [], "what never was sent is gone");
            client.unsubscribe("a");
        }
    });
}

#[test]
fn who_misuses_what_was_granted_hears_which() {
    serve(|gateway| {
        let mut client = Raw::connect(gateway, V5, "client");
        client.send(&Publish::new("a", "x").with(alias(17)).bytes(V5));
        let said = client.rest();
        assert_eq!(said.len(), 1);
        assert_eq!(said[0].kind(), DISCONNECT);
        // A reason, and no property.
        assert!(matches!(said[0].body[..], [0x94] | [0x94, 0]), "{said:?}");
    });
}
