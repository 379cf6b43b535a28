//! Packets that are not as the specification has them: each costs its client the connection.

use super::serve;
use crate::support::Gateway;
use crate::support::frames::{
    BOTH, Connect, DISCONNECT, Frame, PUBACK, PUBCOMP, PUBREC, PUBREL, Publish, SUBACK, UNSUBACK,
    V5, V311, ack, packet, subscribe, unsubscribe,
};
use crate::support::properties::{
    CONTENT_TYPE, CORRELATION_DATA, MESSAGE_EXPIRY, PAYLOAD_FORMAT, Property, RECEIVE_MAXIMUM,
    RESPONSE_TOPIC, SESSION_EXPIRY, SUBSCRIPTION_ID, TOPIC_ALIAS,
};
use crate::support::raw::Raw;

const REASON_STRING: u8 = 0x1F;
const MALFORMED: u8 = 0x81;
const PROTOCOL_ERROR: u8 = 0x82;

/// The properties of MQTT 5 as they stand in a packet, with their length before them.
fn written(properties: &[Property]) -> Vec<u8> {
    let packet = subscribe(V5, 0, &[], properties);
    packet[4..].to_vec()
}

/// Checks that a packet of a client closes the connection with one of these reasons, and is answered nothing else.
#[track_caller]
fn costs_the_connection(gateway: &Gateway<'_>, version: u8, bytes: &[u8], reasons: &[u8]) {
    let mut client = Raw::connect(gateway, version, "client");
    client.send(bytes);
    let said = client.rest();
    let reason = |frame: &Frame| frame.kind() == DISCONNECT && reasons.contains(&frame.body[0]);
    let is_right = match version {
        V5 => said.len() == 1 && said.iter().all(reason),
        _ => said.is_empty(),
    };
    assert!(is_right, "{version}: {bytes:02x?}: {said:02x?}");
}

#[test]
fn a_publish_of_mqtt_5_has_its_property_length() {
    serve(|gateway| {
        for (first, body) in [
            (0x30, &b"\0\x01a"[..]),
            (0x31, b"\0\x01a"),
            (0x32, b"\0\x01a\0\x01"),
            (0x34, b"\0\x07plain/a\0\x01"),
        ] {
            costs_the_connection(gateway, V5, &packet(first, body), &[MALFORMED]);
        }
        // With it, and without a payload, the same are sound; so are those of 3.1.1 as they stand.
        let mut client = Raw::connect(gateway, V5, "client");
        client.send(&packet(0x32, b"\0\x01a\0\x01\0"));
        assert_eq!(client.acknowledged(PUBACK), (1, 0));
        let mut client = Raw::connect(gateway, V311, "client");
        client.send(&packet(0x32, b"\0\x01a\0\x01"));
        assert_eq!(client.acknowledged(PUBACK), (1, 0));
    });
}

#[test]
fn reserved_bits_of_a_subscription_are_zero() {
    serve(|gateway| {
        for options in [0x03, 0x30, 0x40, 0x80, 0xFF] {
            let packet = subscribe(V5, 1, &[("a", 1), ("b", options)], &[]);
            costs_the_connection(gateway, V5, &packet, &[MALFORMED, PROTOCOL_ERROR]);
        }
        // What MQTT 5 made options of is reserved in 3.1.1.
        for options in [0x03, 0x04, 0x08, 0x10, 0x20, 0x30, 0x40, 0x80] {
            let packet = subscribe(V311, 1, &[("a", 1), ("b", options)], &[]);
            costs_the_connection(gateway, V311, &packet, &[]);
        }
    });
}

#[test]
fn packets_that_are_too_long_or_too_short_close_the_connection() {
    serve(|gateway| {
        for version in BOTH {
            let no_properties = if version == V5 { &b"\0"[..] } else { b"" };
            let half_filter = [b"\0\x01", no_properties, b"\0\x05a"].concat();
            let without_options = [b"\0\x01", no_properties, b"\0\x01a"].concat();
            let nothing = [b"\0\x01", no_properties].concat();
            let mut wrong = vec![
                packet(0x82, &half_filter),
                packet(0x82, &without_options),
                packet(0x82, &nothing),
                packet(0x82, b"\0"),
                packet(0xA2, &half_filter),
                packet(0xA2, &nothing),
                packet(0xA2, b"\0"),
                packet(0xC0, b"\0"),
                packet(0x30, b""),
                packet(0x30, b"\0\x05a"),
                packet(0x32, b"\0\x01a"),
                packet(0x32, b"\0\x01a\0"),
            ];
            for first in [0x40, 0x50, 0x62, 0x70] {
                wrong.push(packet(first, b""));
                wrong.push(packet(first, b"\0"));
                // A reason, no property, and one byte more; 3.1.1 has no reason.
                wrong.push(packet(first, b"\0\x01\0\0\0"));
            }
            let end = if version == V5 { &b"\0\0\0"[..] } else { b"\0" };
            wrong.push(packet(0xE0, end));
            for bytes in wrong {
                costs_the_connection(gateway, version, &bytes, &[MALFORMED, PROTOCOL_ERROR]);
            }
        }
    });
}

#[test]
fn a_length_of_more_than_four_bytes_closes_the_connection() {
    serve(|gateway| {
        for version in BOTH {
            let endless = b"\xc0\x80\x80\x80\x80\x00";
            costs_the_connection(gateway, version, endless, &[MALFORMED]);
        }
        // The same for the length of properties and for the value of one.
        let properties = packet(0x30, b"\0\x01a\x80\x80\x80\x80\0x");
        costs_the_connection(gateway, V5, &properties, &[MALFORMED]);
        let value = packet(0x82, b"\0\x01\x06\x0b\xff\xff\xff\xff\x01\0\x01a\0");
        costs_the_connection(gateway, V5, &value, &[MALFORMED, PROTOCOL_ERROR]);
    });
}

#[test]
fn a_property_twice_out_of_place_or_out_of_range_closes_the_connection() {
    let expected = &[MALFORMED, PROTOCOL_ERROR];
    let twice = |property: Property| vec![property.clone(), property];
    let of_publish = [
        twice(Property::Byte(PAYLOAD_FORMAT, 0)),
        twice(Property::Four(MESSAGE_EXPIRY, 9)),
        twice(Property::Two(TOPIC_ALIAS, 1)),
        twice(Property::text(RESPONSE_TOPIC, "a")),
        twice(Property::Data(CORRELATION_DATA, vec![0])),
        twice(Property::text(CONTENT_TYPE, "a")),
        vec![Property::Byte(PAYLOAD_FORMAT, 2)],
        vec![Property::Four(SESSION_EXPIRY, 9)],
        vec![Property::Two(RECEIVE_MAXIMUM, 9)],
        vec![Property::text(REASON_STRING, "why")],
        vec![Property::Byte(0x7E, 0)],
    ];
    let id = |number| Property::Varying(SUBSCRIPTION_ID, number);
    let of_subscribe = [
        twice(id(1)),
        vec![id(0)],
        vec![Property::Two(TOPIC_ALIAS, 1)],
        vec![Property::text(REASON_STRING, "why")],
    ];
    let of_others = [
        twice(Property::text(REASON_STRING, "why")),
        vec![id(1)],
        vec![Property::text(CONTENT_TYPE, "a")],
    ];
    serve(|gateway| {
        let refuse = |bytes: &[u8]| costs_the_connection(gateway, V5, bytes, expected);
        for properties in of_publish {
            let publish = Publish {
                properties,
                ..Publish::new("a", "x").qos(1, 1)
            };
            refuse(&publish.bytes(V5));
        }
        for properties in &of_subscribe {
            refuse(&subscribe(V5, 1, &[("a", 1)], properties));
        }
        for properties in of_others {
            let properties = written(&properties);
            refuse(&packet(
                0xA2,
                &[b"\0\x01", &*properties, b"\0\x01a"].concat(),
            ));
            refuse(&packet(0xE0, &[b"\0", &*properties].concat()));
            for first in [0x40, 0x50, 0x62, 0x70] {
                refuse(&packet(first, &[b"\0\x01\0", &*properties].concat()));
            }
        }
        let twice = written(&twice(Property::Four(SESSION_EXPIRY, 0)));
        refuse(&packet(0xE0, &[b"\0", &*twice].concat()));
        let with_reason = written(&[Property::text(REASON_STRING, "why")]);
        refuse(&packet(
            0xA2,
            &[b"\0\x01", &*with_reason, b"\0\x01a"].concat(),
        ));
    });
}

#[test]
fn a_reason_that_does_not_exist_closes_the_connection() {
    serve(|gateway| {
        for first in [0x40, 0x50, 0x62, 0x70] {
            let packet = packet(first, b"\0\x01\x55");
            costs_the_connection(gateway, V5, &packet, &[MALFORMED, PROTOCOL_ERROR]);
        }
        let goodbye = packet(0xE0, b"\x55");
        costs_the_connection(gateway, V5, &goodbye, &[MALFORMED, PROTOCOL_ERROR]);
    });
}

#[test]
fn packets_that_only_a_server_sends_close_the_connection() {
    serve(|gateway| {
        for version in BOTH {
            for bytes in [
                packet(0x20, b"\0\0\0"),
                packet(0x90, b"\0\x01\0\0"),
                packet(0xB0, b"\0\x01\0\0"),
                packet(0xD0, b""),
            ] {
                costs_the_connection(gateway, version, &bytes, &[PROTOCOL_ERROR]);
            }
            costs_the_connection(gateway, version, &packet(0x00, b""), &[MALFORMED]);
        }
    });
}

#[test]
fn a_publish_of_qos_0_is_never_sent_again() {
    serve(|gateway| {
        for version in BOTH {
            let again = Publish::new("a", "x").again().bytes(version);
            costs_the_connection(gateway, version, &again, &[MALFORMED]);
        }
    });
}

#[test]
fn goodbye_asks_for_no_session_that_the_connect_did_not_ask_for() {
    serve(|gateway| {
        let mut watcher = Raw::connect(gateway, V5, "watcher");
        watcher.subscribe("wills/a", 0);
        let will = Publish::new("wills/a", "no goodbye");
        let mut client = Raw::connect_with(gateway, &Connect::new(V5, "client").will(will));
        let asks = |seconds| written(&[Property::Four(SESSION_EXPIRY, seconds)]);
        client.send(&packet(0xE0, &[b"\0", &*asks(60)].concat()));
        client.is_dismissed(PROTOCOL_ERROR);
        assert_eq!(watcher.text(), "no goodbye");
        let mut client = Raw::connect(gateway, V5, "client");
        client.send(&packet(0xE0, &[b"\0", &*asks(0)].concat()));
        assert_eq!(client.rest(), []);
    });
}

#[test]
fn acknowledgements_may_come_with_a_reason_and_properties() {
    let properties = written(&[
        Property::text(REASON_STRING, "why"),
        Property::user("a", "b"),
        Property::user("a", "b"),
    ]);
    serve(|gateway| {
        let mut client = Raw::connect(gateway, V5, "client");
        client.send(&Publish::new("a", "x").qos(2, 1).bytes(V5));
        assert_eq!(client.acknowledged(PUBREC), (1, 0));
        client.send(&packet(0x62, &[b"\0\x01\0", &*properties].concat()));
        assert_eq!(client.acknowledged(PUBCOMP), (1, 0));
        client.subscribe("a", 2);
        client.publish(Publish::new("a", "x").qos(2, 0));
        let id = client.unacknowledged().packet_id.to_be_bytes();
        client.send(&packet(0x50, &[&id, &b"\0"[..], &properties].concat()));
        client.wait_for(PUBREL);
        client.send(&packet(0x70, &[&id, &b"\0"[..], &properties].concat()));
        client.publish(Publish::new("a", "x").qos(1, 0));
        let id = client.unacknowledged().packet_id.to_be_bytes();
        client.send(&packet(0x40, &[&id, &b"\x10"[..], &properties].concat()));
        let subscribe = subscribe(V5, 99, &[("b", 1)], &[Property::user("a", "b")]);
        client.send(&subscribe);
        assert_eq!(client.acknowledged(SUBACK), (99, 1));
        client.send(&unsubscribe(V5, 100, "b"));
        assert_eq!(client.acknowledged(UNSUBACK), (100, 0));
    });
}

#[test]
fn a_release_has_the_identifier_of_its_publish() {
    serve(|gateway| {
        for version in BOTH {
            let mut client = Raw::connect(gateway, version, "client");
            for id in [1, 256, 65_535] {
                client.send(&Publish::new("a", "x").qos(1, id).bytes(version));
                assert_eq!(client.acknowledged(PUBACK), (id, 0));
                client.send(&Publish::new("a", "x").qos(2, id).bytes(version));
                assert_eq!(client.acknowledged(PUBREC), (id, 0));
                client.send(&ack(PUBREL, id));
                assert_eq!(client.acknowledged(PUBCOMP), (id, 0));
            }
        }
    });
}
