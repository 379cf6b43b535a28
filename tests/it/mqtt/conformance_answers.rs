//! What the gateway answers, to the byte; and what outlives whom.

use super::serve;
use crate::support::Gateway;
use crate::support::frames::{
    BOTH, Connect, DISCONNECT, Frame, PUBACK, PUBCOMP, PUBREC, PUBREL, Publish, SUBACK, UNSUBACK,
    V5, V311, ack, disconnect, packet, subscribe, unsubscribe,
};
use crate::support::properties::{
    ASSIGNED_CLIENT_ID, MAXIMUM_PACKET_SIZE, MESSAGE_EXPIRY, PAYLOAD_FORMAT, Property,
    SESSION_EXPIRY, SUBSCRIPTION_ID,
};
use crate::support::raw::Raw;

const REQUEST_PROBLEM_INFORMATION: u8 = 0x17;

/// Checks what a packet is answered.
#[track_caller]
fn check(client: &mut Raw, bytes: &[u8], first: u8, body: &[u8]) {
    client.send(bytes);
    let answer = client.wait_for(first >> 4);
    let expected = Frame {
        first,
        body: body.to_vec(),
    };
    assert_eq!(answer, expected, "{bytes:02x?}");
}

/// What takes no room but what it must: this holds for the largest and the smallest Maximum Packet Size.
fn check_answers(gateway: &Gateway<'_>, connect: &Connect<'_>) {
    let mut client = Raw::connect_with(gateway, connect);
    let version = connect.version;
    let publish = |qos, id| Publish::new("plain/a", b"\xff").qos(qos, id);
    check(
        &mut client,
        &publish(1, 1).bytes(version),
        PUBACK << 4,
        b"\0\x01",
    );
    check(
        &mut client,
        &publish(2, 2).bytes(version),
        PUBREC << 4,
        b"\0\x02",
    );
    check(&mut client, &ack(PUBREL, 2), PUBCOMP << 4, b"\0\x02");
    let entries = [("a", 2), ("a#", 2), ("b", 1), ("c", 0)];
    let subscribe = subscribe(version, 3, &entries, &[]);
    if version == V311 {
        check(
            &mut client,
            &subscribe,
            SUBACK << 4,
            b"\0\x03\x02\x80\x01\0",
        );
        check(
            &mut client,
            &unsubscribe(version, 4, "x"),
            UNSUBACK << 4,
            b"\0\x04",
        );
        return;
    }
    check(
        &mut client,
        &subscribe,
        SUBACK << 4,
        b"\0\x03\0\x02\x8f\x01\0",
    );
    check(
        &mut client,
        &unsubscribe(V5, 4, "x"),
        UNSUBACK << 4,
        b"\0\x04\0\x11",
    );
    let text = Property::Byte(PAYLOAD_FORMAT, 1);
    let is_refused = |qos, id| publish(qos, id).with(text.clone()).bytes(V5);
    check(&mut client, &is_refused(1, 5), PUBACK << 4, b"\0\x05\x99");
    check(&mut client, &is_refused(2, 6), PUBREC << 4, b"\0\x06\x99");
    check(&mut client, &ack(PUBREL, 7), PUBCOMP << 4, b"\0\x07\x92");
    check(&mut client, &ack(PUBREC, 8), PUBREL << 4 | 2, b"\0\x08\x92");
}

#[test]
fn answers_have_a_known_reason_and_no_property() {
    serve(|gateway| {
        check_answers(gateway, &Connect::new(V311, "client"));
        check_answers(gateway, &Connect::new(V5, "client"));
        for property in [
            Property::Byte(REQUEST_PROBLEM_INFORMATION, 0),
            Property::Byte(REQUEST_PROBLEM_INFORMATION, 1),
            Property::Four(MAXIMUM_PACKET_SIZE, 20),
        ] {
            check_answers(gateway, &Connect::new(V5, "client").with(property));
        }
    });
}

#[test]
fn who_takes_no_connack_is_told_nothing() {
    serve(|gateway| {
        let connect = Connect::new(V5, "client").with(Property::Four(MAXIMUM_PACKET_SIZE, 10));
        let mut client = Raw::open(gateway, V5);
        client.send(&connect.bytes());
        assert_eq!(client.rest(), []);
    });
}

#[test]
fn an_acknowledged_identifier_starts_anew() {
    serve(|gateway| {
        for version in BOTH {
            let mut client = Raw::connect(gateway, version, "client");
            client.subscribe("plain/#", 2);
            for (qos, kind) in [(1, PUBACK), (2, PUBREC)] {
                let publish = Publish::new("plain/a", "x").qos(qos, 7);
                // Also if it says that it has come before.
                for publish in [publish.clone(), publish.again()] {
                    client.send(&publish.bytes(version));
                    assert_eq!(client.acknowledged(kind), (7, 0));
                    if qos == 2 {
                        client.send(&ack(PUBREL, 7));
                        assert_eq!(client.acknowledged(PUBCOMP), (7, 0));
                    }
                    let found = client.message();
                    assert_eq!((found.text(), found.qos), ("x", qos));
                    assert!(!found.is_duplicate, "its second try is its sender's matter");
                }
            }
            assert_eq!(client.messages(), []);
        }
    });
}

#[test]
fn an_exchange_is_finished_though_its_message_has_expired() {
    serve(|gateway| {
        let mut client = Raw::connect(gateway, V5, "client");
        client.subscribe("a", 2);
        let expired = Property::Four(MESSAGE_EXPIRY, 0);
        for qos in [1, 2] {
            let publish = Publish::new("a", "x").qos(qos, 0).with(expired.clone());
            assert_eq!(client.publish(publish.retained()), 0);
        }
        client.subscribe("a", 2);
        assert_eq!(client.messages(), []);
    });
}

#[test]
fn retained_messages_outlive_who_published_them() {
    serve(|gateway| {
        for version in BOTH {
            for qos in [0, 1, 2] {
                let mut publisher = Raw::connect(gateway, version, "publisher");
                publisher.publish(Publish::new("a", "old").qos(1, 0).retained());
                publisher.publish(Publish::new("a", "new").qos(qos, 0).retained());
                // One that is not retained is not, and replaces nothing.
                publisher.publish(Publish::new("a", "passing").qos(qos, 0));
                // A commit behind all others.
                publisher.publish(Publish::new("sensors/end", "1").qos(1, 0));
                publisher.send(&disconnect());
                assert_eq!(publisher.rest(), []);
                let mut newcomer = Raw::connect(gateway, version, "newcomer");
                newcomer.subscribe("a", 2);
                let found = newcomer.message();
                let shown = (found.text(), found.qos, found.is_retained);
                assert_eq!(shown, ("new", qos, true));
            }
        }
    });
}

#[test]
fn a_nameless_client_of_mqtt_5_need_not_ask_for_a_clean_start() {
    serve(|gateway| {
        let connect = Connect {
            is_clean: false,
            ..Connect::new(V5, "")
        };
        let mut client = Raw::connect_with(gateway, &connect);
        let is_assigned = |property: &Property| property.id() == ASSIGNED_CLIENT_ID;
        assert!(client.granted.iter().any(is_assigned));
        client.ping();
    });
}

#[test]
fn a_request_is_answered_where_it_says() {
    const RESPONSE_TOPIC: u8 = 0x08;
    const CORRELATION_DATA: u8 = 0x09;
    serve(|gateway| {
        let mut asker = Raw::connect(gateway, V5, "asker");
        let mut answerer = Raw::connect(gateway, V5, "answerer");
        asker.subscribe("answers/asker", 1);
        answerer.subscribe("questions/+", 1);
        let correlation = Property::Data(CORRELATION_DATA, vec![0, 255, 0]);
        let question = Publish::new("questions/a", "what?").qos(1, 0);
        let question = question
            .with(Property::text(RESPONSE_TOPIC, "answers/asker"))
            .with(correlation.clone());
        asker.publish(question);
        let asked = answerer.message();
        let topic = asked.properties.iter().find_map(|property| match property {
            Property::Text(RESPONSE_TOPIC, topic) => Some(topic.clone()),
            _ => None,
        });
        let answer = Publish::new(&topic.unwrap(), "that").qos(1, 0);
        answerer.publish(answer.with(correlation.clone()));
        let found = asker.message();
        assert_eq!(
            (found.text(), &*found.properties),
            ("that", &[correlation][..])
        );
    });
}

#[test]
fn a_ping_is_answered_and_a_goodbye_is_not() {
    serve(|gateway| {
        for version in BOTH {
            let mut client = Raw::connect(gateway, version, "client");
            check(&mut client, &packet(0xC0, b""), 0xD0, b"");
            client.send(&disconnect());
            assert_eq!(client.rest(), []);
        }
    });
}

#[test]
fn a_share_has_a_name_and_a_filter() {
    let wrong = [
        "$share/",
        "$share//a",
        "$share/g",
        "$share/g/",
        "$share/+/a",
        "$share/g#/a",
    ];
    serve(|gateway| {
        for version in BOTH {
            for filter in wrong {
                let mut client = Raw::connect(gateway, version, "client");
                client.send(&subscribe(version, 1, &[(filter, 1)], &[]));
                let answer = client.receive().unwrap();
                // MQTT 5 says that the packet is malformed, or that the filter is.
                let said = (answer.kind(), answer.acknowledged(version).1);
                let expected: &[(u8, u8)] = match version {
                    V5 => &[(SUBACK, 0x8F), (DISCONNECT, 0x81)],
                    _ => &[(SUBACK, 0x80)],
                };
                assert!(expected.contains(&said), "{filter}: {said:02x?}");
            }
            let mut client = Raw::connect(gateway, version, "client");
            assert_eq!(client.subscribe("$share/g/a/+/#", 1), 1);
            client.publish(Publish::new("a/b/c", "x"));
            assert_eq!(client.text(), "x");
        }
    });
}

#[test]
fn a_member_gets_the_quality_that_it_was_granted() {
    serve(|gateway| {
        for version in BOTH {
            for granted in [0, 1, 2] {
                let mut client = Raw::connect(gateway, version, "client");
                client.subscribe("$share/g/a", granted);
                for qos in [0, 1, 2] {
                    client.publish(Publish::new("a", "x").qos(qos, 0));
                    assert_eq!(client.message().qos, granted.min(qos));
                }
            }
        }
    });
}

#[test]
fn what_a_member_refuses_goes_to_nobody_else() {
    serve(|gateway| {
        let mut members = ["one", "other"].map(|client_id| Raw::connect(gateway, V5, client_id));
        let mut publisher = Raw::connect(gateway, V5, "publisher");
        for member in &mut members {
            member.subscribe("$share/g/a", 2);
        }
        for (qos, kind) in [(1, PUBACK), (2, PUBREC)] {
            // They take turns.
            for member in &mut members {
                publisher.publish(Publish::new("a", "x").qos(qos, 0));
                let id = member.unacknowledged().packet_id.to_be_bytes();
                member.send(&packet(kind << 4, &[&id[..], &[0x80]].concat()));
                member.ping();
            }
            for member in &mut members {
                assert_eq!(member.messages(), []);
            }
        }
    });
}

#[test]
fn what_a_member_has_begun_is_finished_with_it() {
    serve(|gateway| {
        let mut publisher = Raw::connect(gateway, V5, "publisher");
        let keeper = Connect {
            is_clean: false,
            ..Connect::new(V5, "keeper")
        };
        let keeper = keeper.with(Property::Four(SESSION_EXPIRY, 60));
        let mut member = Raw::connect_with(gateway, &keeper);
        member.subscribe("$share/g/a", 2);
        publisher.publish(Publish::new("a", "begun").qos(2, 0));
        let begun = member.unacknowledged();
        let mut other = Raw::connect(gateway, V5, "other");
        other.subscribe("$share/g/a", 2);
        member.shut_down();
        member.rest();
        publisher.publish(Publish::new("a", "new").qos(2, 0));
        assert_eq!(other.text(), "new");
        let mut member = Raw::resume(gateway, &keeper);
        let again = member.message();
        assert_eq!((again.text(), again.packet_id), ("begun", begun.packet_id));
        assert_eq!(other.messages(), []);
    });
}

#[test]
fn a_copy_for_a_group_has_its_own_identifier() {
    serve(|gateway| {
        let mut client = Raw::connect(gateway, V5, "client");
        let id = |number| Property::Varying(SUBSCRIPTION_ID, number);
        for (filter, number) in [("a/#", 1), ("a/+", 2), ("$share/g/a/b", 3)] {
            client.subscribe_with(filter, 0, &[id(number)]);
        }
        client.publish(Publish::new("a/b", "x"));
        let mut found = [(); 2].map(|()| client.message().properties);
        found.sort_by_key(Vec::len);
        assert_eq!(found[0], [id(3)]);
        assert_eq!(found[1].len(), 2);
        assert!(found[1].contains(&id(1)) && found[1].contains(&id(2)));
        assert_eq!(client.messages(), []);
    });
}

#[test]
fn releases_come_in_the_order_of_the_receipts() {
    serve(|gateway| {
        for version in BOTH {
            let mut client = Raw::connect(gateway, version, "client");
            client.subscribe("a", 2);
            for payload in ["1", "2", "3"] {
                client.publish(Publish::new("a", payload).qos(2, 0));
            }
            let ids = [(); 3].map(|()| client.unacknowledged().packet_id);
            let order = [ids[2], ids[0], ids[1]];
            let receipts: Vec<u8> = order.iter().flat_map(|id| ack(PUBREC, *id)).collect();
            client.send(&receipts);
            for id in order {
                assert_eq!(client.acknowledged(PUBREL), (id, 0));
            }
        }
    });
}
