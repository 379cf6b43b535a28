//! What a client may not do: it costs the client its connection, and nobody else.

use super::{serve, serve_at};
use crate::support::Site;
use crate::support::frames::{
    BOTH, Connect, DISCONNECT, PUBACK, PUBCOMP, PUBREC, PUBREL, Publish, V5, V311, ack, disconnect,
    packet, ping, subscribe, unsubscribe,
};
use crate::support::http::metric;
use crate::support::properties::{MAXIMUM_PACKET_SIZE, Property, RECEIVE_MAXIMUM, TOPIC_ALIAS};
use crate::support::raw::Raw;

#[test]
fn a_topic_name_with_a_wildcard_or_a_null_closes_the_connection() {
    let site = Site::new();
    serve_at(&site, |gateway| {
        let mut watcher = Raw::connect(gateway, V5, "watcher");
        watcher.subscribe("#", 0);
        for version in BOTH {
            for topic in ["a/+", "a/#", "#", "sensors/+", "sensors/a\0b", "a\0"] {
                let mut client = Raw::connect(gateway, version, "client");
                client.send(&Publish::new(topic, "1").qos(1, 1).bytes(version));
                let said = client.rest();
                let is_acked = said.iter().any(|frame| frame.kind() == PUBACK);
                assert!(!is_acked, "{topic:?}: {said:?}");
            }
        }
        watcher.publish(Publish::new("sensors/end", "1").qos(1, 0));
        assert_eq!(watcher.message().topic, "sensors/end");
        assert_eq!(site.sql::<i64>("SELECT count(*) FROM readings"), 1);
    });
}

#[test]
fn a_topic_that_is_not_utf_8_closes_the_connection() {
    serve(|gateway| {
        for version in BOTH {
            for bad in [&b"\xff\xfe"[..], b"\xc0\x80", b"\xed\xa0\x80", b"\xe2\x82"] {
                let mut body = vec![0, bad.len() as u8];
                body.extend(bad);
                body.extend([0, 1]);
                if version == V5 {
                    body.push(0);
                }
                let mut client = Raw::connect(gateway, version, "client");
                client.send(&packet(0x32, &body));
                let said = client.rest();
                assert!(!said.iter().any(|frame| frame.kind() == PUBACK), "{bad:?}");
            }
        }
    });
}

#[test]
fn malformed_packets_close_the_connection() {
    serve(|gateway| {
        for version in BOTH {
            let quality_3 = Publish::new("a", "x").qos(3, 1).bytes(version);
            let endless = [0x30, 0xff, 0xff, 0xff, 0xff, 0x01].to_vec();
            let no_filters = packet(0x82, if version == V5 { &[0, 1, 0] } else { &[0, 1] });
            let from_servers = packet(0x20, &[0, 0]);
            for bad in [quality_3, endless, no_filters, from_servers] {
                let mut client = Raw::connect(gateway, version, "client");
                client.send(&bad);
                let said = client.rest();
                let is_answered = said.iter().any(|frame| frame.kind() != DISCONNECT);
                assert!(!is_answered, "{bad:02x?}: {said:?}");
            }
        }
    });
}

#[test]
fn a_stray_acknowledgement_does_no_harm() {
    serve(|gateway| {
        for version in BOTH {
            let mut client = Raw::connect(gateway, version, "client");
            client.subscribe("a", 1);
            for kind in [PUBACK, PUBCOMP] {
                client.send(&ack(kind, 17));
            }
            client.send(&ack(PUBREC, 17));
            let unknown = if version == V5 { 0x92 } else { 0 };
            assert_eq!(client.acknowledged(PUBREL), (17, unknown));
            client.publish(Publish::new("a", "1").qos(1, 0));
            assert_eq!(client.text(), "1");
        }
    });
}

#[test]
fn a_client_that_has_more_on_its_way_than_the_gateway_takes_is_told_so() {
    serve(|gateway| {
        let mut client = Raw::connect(gateway, V5, "client");
        let granted = client.granted.iter().find_map(|property| match property {
            Property::Two(RECEIVE_MAXIMUM, number) => Some(*number),
            _ => None,
        });
        let granted = granted.expect("no Receive Maximum");
        let publish = |id| Publish::new("a", "x").qos(2, id).bytes(V5);
        let allowed: Vec<u8> = (1..=granted).flat_map(publish).collect();
        client.send(&allowed);
        for id in 1..=granted {
            assert_eq!(client.acknowledged(PUBREC), (id, 0));
        }
        client.ping();
        client.send(&publish(granted + 1));
        client.is_dismissed(0x93);
    });
}

#[test]
fn a_topic_alias_that_was_not_granted_closes_the_connection() {
    serve(|gateway| {
        let alias = |number| Property::Two(TOPIC_ALIAS, number);
        for publish in [
            Publish::new("a", "x").with(alias(17)),
            Publish::new("", "x").with(alias(1)),
        ] {
            let mut client = Raw::connect(gateway, V5, "client");
            client.send(&publish.bytes(V5));
            client.is_dismissed(0x94);
        }
        for publish in [Publish::new("", "x"), Publish::new("a", "x").with(alias(0))] {
            let mut client = Raw::connect(gateway, V5, "client");
            client.send(&publish.bytes(V5));
            client.is_dismissed(0x82);
        }
    });
}

#[test]
fn a_packet_that_is_too_large_closes_the_connection() {
    let site = Site::new().environment("EDGE_GATEWAY_MQTT__MAX_PACKET", "1KiB");
    serve_at(&site, |gateway| {
        for version in BOTH {
            let sized = |bytes: usize| {
                let empty = Publish::new("a", "").qos(1, 1).bytes(version).len() + 1;
                let publish = Publish::new("a", vec![b'x'; bytes - empty]).qos(1, 1);
                let packet = publish.bytes(version);
                assert_eq!(packet.len(), bytes);
                packet
            };
            let mut client = Raw::connect(gateway, version, "client");
            if version == V5 {
                let announced = Property::Four(MAXIMUM_PACKET_SIZE, 1024);
                assert!(client.granted.contains(&announced), "{:?}", client.granted);
            }
            client.send(&sized(1024));
            assert_eq!(client.acknowledged(PUBACK), (1, 0));
            client.send(&sized(1025));
            client.is_dismissed(0x95);
        }
        let limited = "gateway_mqtt_limited_total{limit=\"max_packet\"}";
        assert_eq!(metric(gateway, limited), 2.0);
    });
}

#[test]
fn a_message_larger_than_a_subscriber_takes_is_left_out_for_it() {
    serve(|gateway| {
        let mut publisher = Raw::connect(gateway, V311, "publisher");
        let connect = Connect::new(V5, "small").with(Property::Four(MAXIMUM_PACKET_SIZE, 100));
        let mut small = Raw::connect_with(gateway, &connect);
        let mut large = Raw::connect(gateway, V5, "large");
        small.subscribe("a", 2);
        large.subscribe("a", 2);
        for qos in [0, 1, 2] {
            let long = "x".repeat(200);
            for payload in ["before", &*long, "after"] {
                publisher.publish(Publish::new("a", payload).qos(qos, 0));
            }
            assert_eq!([small.text(), small.text()], ["before", "after"]);
            let found = [large.text(), large.text(), large.text()];
            assert_eq!(found, ["before", &*long, "after"]);
        }
    });
}

#[test]
fn reserved_flags_of_the_fixed_header_close_the_connection() {
    serve(|gateway| {
        for version in BOTH {
            let subscribe = subscribe(version, 1, &[("a", 0)], &[]);
            let unsubscribe = unsubscribe(version, 1, "a");
            for packet in [subscribe, unsubscribe, ack(PUBREL, 1), ping(), disconnect()] {
                let mut wrong = packet.clone();
                wrong[0] ^= 0x02;
                let mut client = Raw::connect(gateway, version, "client");
                client.send(&wrong);
                let said = client.rest();
                let is_answered = said.iter().any(|frame| frame.kind() != DISCONNECT);
                assert!(!is_answered, "{wrong:02x?}: {said:?}");
            }
            let mut connect = Connect::new(version, "client").bytes();
            connect[0] ^= 0x01;
            let mut client = Raw::open(gateway, version);
            client.send(&connect);
            assert_eq!(client.rest(), []);
        }
    });
}

#[test]
fn a_packet_id_of_zero_closes_the_connection() {
    serve(|gateway| {
        for version in BOTH {
            let publish = Publish::new("a", "x").qos(1, 0).bytes(version);
            let subscribe = subscribe(version, 0, &[("a", 0)], &[]);
            let unsubscribe = unsubscribe(version, 0, "a");
            for wrong in [publish, subscribe, unsubscribe, ack(PUBREL, 0)] {
                let mut client = Raw::connect(gateway, version, "client");
                client.send(&wrong);
                let said = client.rest();
                let is_answered = said.iter().any(|frame| frame.kind() != DISCONNECT);
                assert!(!is_answered, "{wrong:02x?}: {said:?}");
            }
        }
    });
}
