//! Texts: what is none closes the connection, and what is one is left as it is.

use super::serve;
use crate::support::Gateway;
use crate::support::frames::{
    BOTH, CONNACK, Connect, DISCONNECT, Frame, Publish, V5, packet, subscribe, unsubscribe,
};
use crate::support::properties::{CONTENT_TYPE, Property, RESPONSE_TOPIC};
use crate::support::raw::Raw;

/// A surrogate, a byte that no text has, a `/` in two bytes, U+0000.
const BAD: [&[u8; 3]; 4] = [b"\xed\xa0\x80", b"a\xffb", b"\xc0\xafb", b"a\0b"];

/// Puts `bad` in the place of `XXX`.
fn spoil(packet: &[u8], bad: &[u8; 3]) -> Vec<u8> {
    let at = packet.windows(3).position(|three| three == b"XXX").unwrap();
    [&packet[..at], bad, &packet[at + 3..]].concat()
}

/// Whether what came before the end is a refusal, and no answer to what was asked.
fn is_no_answer(said: &[Frame]) -> bool {
    let refuses = |frame: &Frame| frame.kind() == CONNACK && frame.body[1] != 0;
    said.iter()
        .all(|frame| frame.kind() == DISCONNECT || refuses(frame))
}

#[track_caller]
fn is_refused(gateway: &Gateway<'_>, version: u8, is_connected: bool, good: &[u8]) {
    for bad in BAD {
        let mut client = if is_connected {
            Raw::connect(gateway, version, "client")
        } else {
            Raw::open(gateway, version)
        };
        client.send(&spoil(good, bad));
        let said = client.rest();
        assert!(is_no_answer(&said), "{version}: {bad:02x?}: {said:?}");
        let is_told = version < V5 || said.len() == 1;
        assert!(is_told, "{version}: {bad:02x?}: {said:?}");
    }
}

#[test]
fn a_text_that_is_none_closes_the_connection() {
    serve(|gateway| {
        for version in BOTH {
            let connect = Connect::new(version, "a");
            let will = Publish::new("wills/XXX", "x");
            for good in [
                Connect::new(version, "XXX"),
                connect.clone().credentials("XXX", "secret"),
                connect.clone().will(will),
            ] {
                is_refused(gateway, version, false, &good.bytes());
            }
            for good in [
                Publish::new("a/XXX", "x").qos(1, 1).bytes(version),
                Publish::new("sensors/XXX", "1").qos(1, 1).bytes(version),
                subscribe(version, 1, &[("a", 0), ("a/XXX", 0)], &[]),
                unsubscribe(version, 1, "a/XXX"),
            ] {
                is_refused(gateway, version, true, &good);
            }
        }
    });
}

#[test]
fn a_text_that_is_none_in_a_property_closes_the_connection() {
    const REASON: u8 = 0x1F;
    let pairs = [Property::user("XXX", "x"), Property::user("x", "XXX")];
    serve(|gateway| {
        for pair in pairs {
            let connect = Connect::new(V5, "a");
            is_refused(
                gateway,
                V5,
                false,
                &connect.clone().with(pair.clone()).bytes(),
            );
            let will = Publish::new("wills/a", "x").with(pair.clone());
            is_refused(gateway, V5, false, &connect.will(will).bytes());
            let publish = Publish::new("a", "x").qos(1, 1).with(pair.clone());
            is_refused(gateway, V5, true, &publish.bytes(V5));
            let subscribe = subscribe(V5, 1, &[("a", 0)], std::slice::from_ref(&pair));
            is_refused(gateway, V5, true, &subscribe);
            // The same properties, and the same place for them.
            let properties = &subscribe[4..subscribe.len() - 4];
            let unsubscribe = packet(0xA2, &[b"\0\x01", properties, b"\0\x01a"].concat());
            is_refused(gateway, V5, true, &unsubscribe);
            let disconnect = packet(0xE0, &[b"\0", properties].concat());
            is_refused(gateway, V5, true, &disconnect);
            let puback = packet(0x40, &[b"\0\x01\0", properties].concat());
            is_refused(gateway, V5, true, &puback);
        }
        let reason = packet(
            0x40,
            &[b"\0\x01\0\x06", &[REASON][..], b"\0\x03XXX"].concat(),
        );
        is_refused(gateway, V5, true, &reason);
        for id in [CONTENT_TYPE, RESPONSE_TOPIC] {
            let publish = Publish::new("a", "x").with(Property::text(id, "XXX"));
            is_refused(gateway, V5, true, &publish.bytes(V5));
        }
    });
}

#[test]
fn a_byte_order_mark_is_part_of_a_text() {
    serve(|gateway| {
        for version in BOTH {
            let mut client = Raw::connect(gateway, version, "client");
            client.subscribe("\u{feff}a/+", 0);
            for topic in ["a/1", "\u{feff}a/\u{feff}", "a/2"] {
                client.publish(Publish::new(topic, "x").qos(1, 0));
            }
            let found: Vec<String> = client.messages().into_iter().map(|m| m.topic).collect();
            assert_eq!(found, ["\u{feff}a/\u{feff}"]);
        }
    });
}

#[test]
fn topics_are_compared_as_they_are() {
    // Composed and decomposed, large and small, with and without a last level.
    let topics = [
        "\u{e9}", "e\u{301}", "A", "a", "a/", "/a", "a//b", "a/b", " a",
    ];
    serve(|gateway| {
        for version in BOTH {
            for wanted in topics {
                let mut client = Raw::connect(gateway, version, "client");
                client.subscribe(wanted, 0);
                for topic in topics {
                    client.publish(Publish::new(topic, "x").qos(1, 0));
                }
                let found: Vec<String> = client.messages().into_iter().map(|m| m.topic).collect();
                assert_eq!(found, [wanted]);
            }
        }
    });
}

#[test]
fn a_topic_has_between_1_and_65535_bytes() {
    serve(|gateway| {
        for version in BOTH {
            let refused = if version == V5 { 0x8F } else { 0x80 };
            let longest = "x".repeat(65_535);
            let mut client = Raw::connect(gateway, version, "client");
            assert_eq!(client.subscribe(&longest, 1), 1);
            client.publish(Publish::new(&longest, "hello").qos(1, 0));
            assert_eq!(client.message().topic, longest);
            assert_eq!(client.subscribe("", 1), refused);
            client.send(&Publish::new("", "x").bytes(version));
            client.is_dismissed(if version == V5 { 0x82 } else { 0 });
        }
    });
}
