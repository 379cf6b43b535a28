//! CONNECT and CONNACK, where `docs/mqtt-conformance.md` asks for a test of its own.

use std::time::{Duration, Instant};

use super::{serve, serve_at};
use crate::support::frames::{
    BOTH, CONNACK, Connect, Frame, PUBACK, Publish, V5, V311, disconnect, packet, subscribe,
};
use crate::support::properties::{
    MAXIMUM_PACKET_SIZE, Property, RECEIVE_MAXIMUM, SESSION_EXPIRY, TOPIC_ALIAS,
};
use crate::support::raw::{Raw, refusal};
use crate::support::{Gateway, Site, command};

const SERVER_KEEP_ALIVE: u8 = 0x13;
const AUTHENTICATION_METHOD: u8 = 0x15;
const AUTHENTICATION_DATA: u8 = 0x16;
const REQUEST_PROBLEM_INFORMATION: u8 = 0x17;
const REQUEST_RESPONSE_INFORMATION: u8 = 0x19;
const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;

/// A CONNECT with more bytes behind it than its fields have.
fn with_tail(connect: &Connect<'_>, tail: &[u8]) -> Vec<u8> {
    let bytes = connect.bytes();
    packet(bytes[0], &[&bytes[2..], tail].concat())
}

/// What the gateway says to `bytes` before it closes the connection.
fn said(gateway: &Gateway<'_>, version: u8, bytes: &[u8]) -> Vec<Frame> {
    let mut client = Raw::open(gateway, version);
    client.send(bytes);
    client.rest()
}

/// Checks that a CONNECT that cannot be read is answered by no word of 3.1.1, and in MQTT 5 by one of these reasons.
#[track_caller]
fn is_unreadable(gateway: &Gateway<'_>, version: u8, bytes: &[u8], reasons: &[u8]) {
    let answer = said(gateway, version, bytes);
    let is_right = match version {
        V5 => reasons
            .iter()
            .any(|reason| answer == [refusal(V5, *reason)]),
        _ => answer.is_empty(),
    };
    assert!(is_right, "{version}: {bytes:02x?}: {answer:?}");
}

#[test]
fn a_connack_says_what_is_granted_and_nothing_else() {
    let asked = [
        None,
        Some(Property::Byte(REQUEST_RESPONSE_INFORMATION, 0)),
        Some(Property::Byte(REQUEST_RESPONSE_INFORMATION, 1)),
        Some(Property::Byte(REQUEST_PROBLEM_INFORMATION, 0)),
    ];
    serve(|gateway| {
        for property in asked {
            let connect = Connect {
                properties: property.into_iter().collect(),
                ..Connect::new(V5, "client")
            };
            let mut client = Raw::open(gateway, V5);
            client.send(&connect.bytes());
            let frame = client.receive().unwrap();
            assert_eq!((frame.first, &frame.body[..2]), (CONNACK << 4, &[0, 0][..]));
            let mut granted = crate::support::frames::read_connack(V5, &frame).2;
            granted.sort_by_key(Property::id);
            let expected = [
                Property::Two(RECEIVE_MAXIMUM, 1000),
                Property::Two(TOPIC_ALIAS_MAXIMUM, 16),
                Property::Four(MAXIMUM_PACKET_SIZE, 256 << 10),
            ];
            assert_eq!(granted, expected);
        }
        let mut client = Raw::open(gateway, V311);
        client.send(&Connect::new(V311, "client").bytes());
        let expected = Frame {
            first: CONNACK << 4,
            body: vec![0, 0],
        };
        assert_eq!(client.receive(), Some(expected));
    });
}

#[test]
fn a_keep_alive_that_is_too_long_is_cut_and_the_client_told() {
    let site = Site::new().environment("EDGE_GATEWAY_MQTT__MAX_KEEP_ALIVE", "1s");
    serve_at(&site, |gateway| {
        for version in BOTH {
            for keep_alive in [0, 1, 600] {
                let connect = Connect {
                    keep_alive,
                    ..Connect::new(version, "silent")
                };
                let started = Instant::now();
                let mut client = Raw::connect_with(gateway, &connect);
                let told = client.granted.iter().find(|p| p.id() == SERVER_KEEP_ALIVE);
                let is_cut = version == V5 && keep_alive != 1;
                let expected = is_cut.then_some(Property::Two(SERVER_KEEP_ALIVE, 1));
                assert_eq!(told, expected.as_ref(), "{keep_alive}");
                client.is_dismissed(0x8D);
                let waited = started.elapsed();
                assert!(Duration::from_millis(1400) < waited, "{waited:?}");
            }
        }
    });
}

#[test]
fn a_keep_alive_that_is_not_cut_is_the_clients() {
    serve(|gateway| {
        let connect = Connect {
            keep_alive: u16::MAX,
            ..Connect::new(V5, "client")
        };
        let client = Raw::connect_with(gateway, &connect);
        let is_told = client.granted.iter().any(|p| p.id() == SERVER_KEEP_ALIVE);
        assert!(!is_told, "{:?}", client.granted);
    });
}

#[test]
fn what_comes_behind_a_refused_connect_is_not_heard() {
    serve(|gateway| {
        let mut watcher = Raw::connect(gateway, V5, "watcher");
        watcher.subscribe("plain/#", 1);
        for (version, reason) in [(V311, 5), (V5, 0x87)] {
            let refused = Connect::new(version, "a").will(Publish::new("alerts/a", "x"));
            let segment = [
                refused.bytes(),
                Publish::new("plain/a", "unheard").qos(1, 1).bytes(version),
                Publish::new("plain/a", "unheard").bytes(version),
                subscribe(version, 2, &[("plain/#", 0)], &[]),
            ]
            .concat();
            assert_eq!(said(gateway, version, &segment), [refusal(version, reason)]);
        }
        watcher.publish(Publish::new("plain/end", "the end").qos(1, 0));
        assert_eq!(watcher.text(), "the end");
    });
}

#[test]
fn an_authentication_that_is_not_offered_is_refused() {
    serve(|gateway| {
        let method = Property::text(AUTHENTICATION_METHOD, "SCRAM-SHA-256");
        let data = Property::Data(AUTHENTICATION_DATA, b"n,,n=a".to_vec());
        let connect = Connect::new(V5, "a").with(method);
        let both = connect.clone().with(data.clone());
        for connect in [connect, both] {
            let answer = said(gateway, V5, &connect.bytes());
            assert_eq!(answer, [refusal(V5, 0x8C)]);
        }
        let without_method = Connect::new(V5, "a").with(data).bytes();
        is_unreadable(gateway, V5, &without_method, &[0x82]);
        // Of who did not ask for it none is taken.
        for flags in [0x00, 0x01] {
            for version in BOTH {
                let mut client = Raw::connect(gateway, version, "a");
                client.send(&packet(0xF0 | flags, &[0x19, 0x00]));
                client.is_dismissed(if flags == 0 { 0x82 } else { 0x81 });
            }
        }
    });
}

#[test]
fn client_ids_of_letters_and_digits_are_taken() {
    const LETTERS: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    serve(|gateway| {
        for version in BOTH {
            for client_id in [&LETTERS[..23], &LETTERS[23..46], &LETTERS[46..], "0"] {
                Raw::connect(gateway, version, client_id).ping();
            }
        }
    });
}

#[test]
fn flags_and_fields_of_a_connect_agree() {
    serve(|gateway| {
        for version in BOTH {
            let plain = Connect::new(version, "a");
            // A will, a name, a name with a password: all said, none there.
            for wrong_flags in [0x04, 0x80, 0xC0] {
                let connect = Connect {
                    wrong_flags,
                    ..plain.clone()
                };
                is_unreadable(gateway, version, &connect.bytes(), &[0x81]);
            }
            // A name that nothing speaks of.
            is_unreadable(gateway, version, &with_tail(&plain, b"\0\x01x"), &[0x81]);
            let named = Connect {
                wrong_flags: 0x80,
                ..plain.clone()
            };
            let connack = Raw::open(gateway, version);
            let mut client = connack;
            client.send(&with_tail(&named, b"\0\x01x"));
            assert_eq!(client.connack().0, 0);
            is_unreadable(gateway, version, &with_tail(&named, b"\0\x02x"), &[0x81]);
        }
    });
}

#[test]
fn a_password_without_a_name_is_for_mqtt_5_alone() {
    let password = |version| Connect {
        wrong_flags: 0x40,
        ..Connect::new(version, "a")
    };
    serve(|gateway| {
        let mut client = Raw::open(gateway, V5);
        client.send(&with_tail(&password(V5), b"\0\x06secret"));
        assert_eq!(client.connack().0, 0);
        client.ping();
        let will = password(V5).will(Publish::new("wills/a", "gone"));
        let mut client = Raw::open(gateway, V5);
        client.send(&with_tail(&will, b"\0\0"));
        assert_eq!(client.connack().0, 0);
        for bad in [&b""[..], b"\0", b"\0\x02x", b"\0\x01xy"] {
            is_unreadable(gateway, V5, &with_tail(&password(V5), bad), &[0x81]);
        }
        let refused = with_tail(&password(V311), b"\0\x06secret");
        is_unreadable(gateway, V311, &refused, &[]);
    });
    // Where there are users, a password alone is nobody's.
    let site = Site::new().environment("EDGE_GATEWAY_MQTT__USERS_FILE", "users");
    std::fs::write(site.path("password"), "secret\n").unwrap();
    let config = site.config();
    let added = command()
        .args(["user", "add", "ada", "--password-file"])
        .arg(site.path("password"))
        .env("EDGE_GATEWAY_MQTT__USERS_FILE", "users")
        .arg("--config")
        .arg(config)
        .output()
        .unwrap();
    assert!(added.status.success(), "{added:?}");
    serve_at(&site, |gateway| {
        let answer = said(gateway, V5, &with_tail(&password(V5), b"\0\x06secret"));
        assert_eq!(answer, [refusal(V5, 0x86)]);
    });
}

#[test]
fn a_property_twice_out_of_place_or_out_of_range_is_no_connect() {
    let wrong = [
        vec![Property::Two(RECEIVE_MAXIMUM, 0)],
        vec![Property::Four(MAXIMUM_PACKET_SIZE, 0)],
        vec![Property::Byte(REQUEST_RESPONSE_INFORMATION, 2)],
        vec![Property::Byte(REQUEST_PROBLEM_INFORMATION, 2)],
        vec![Property::Two(TOPIC_ALIAS, 1)],
        vec![Property::Two(SERVER_KEEP_ALIVE, 1)],
        vec![Property::Byte(0x7E, 1)],
        vec![Property::Four(SESSION_EXPIRY, 1); 2],
        vec![Property::Two(RECEIVE_MAXIMUM, 1); 2],
        vec![Property::Four(MAXIMUM_PACKET_SIZE, 1000); 2],
        vec![Property::Two(TOPIC_ALIAS_MAXIMUM, 1); 2],
        vec![Property::Byte(REQUEST_RESPONSE_INFORMATION, 1); 2],
        vec![Property::Byte(REQUEST_PROBLEM_INFORMATION, 1); 2],
        vec![Property::text(AUTHENTICATION_METHOD, "x"); 2],
    ];
    serve(|gateway| {
        for properties in wrong {
            let connect = Connect {
                properties: properties.clone(),
                ..Connect::new(V5, "a")
            };
            is_unreadable(gateway, V5, &connect.bytes(), &[0x81, 0x82]);
            // None of them belongs to a will either, or not twice.
            if 1 < properties.len() || properties[0].id() == TOPIC_ALIAS {
                let will = Publish {
                    properties,
                    ..Publish::new("wills/a", "x")
                };
                let connect = Connect::new(V5, "a").will(will);
                is_unreadable(gateway, V5, &connect.bytes(), &[0x81, 0x82]);
            }
        }
    });
}

#[test]
fn a_client_without_a_will_leaves_nothing_behind() {
    serve(|gateway| {
        for version in BOTH {
            let mut watcher = Raw::connect(gateway, version, "watcher");
            watcher.subscribe("#", 1);
            let mut lost = Raw::connect(gateway, version, "lost");
            lost.publish(Publish::new("a", "said").qos(1, 0));
            lost.shut_down();
            lost.rest();
            watcher.publish(Publish::new("a", "the end").qos(1, 0));
            assert_eq!([watcher.text(), watcher.text()], ["said", "the end"]);
        }
    });
}

#[test]
fn a_will_is_retained_if_it_says_so() {
    serve(|gateway| {
        for version in BOTH {
            let mut watcher = Raw::connect(gateway, version, "watcher");
            let (kept, said) = (format!("{version}/kept"), format!("{version}/said"));
            watcher.subscribe(&format!("{version}/+"), 1);
            for (topic, is_retained) in [(&kept, true), (&said, false)] {
                let will = Publish {
                    is_retained,
                    ..Publish::new(topic, "gone").qos(1, 0)
                };
                let mut mortal =
                    Raw::connect_with(gateway, &Connect::new(version, "mortal").will(will));
                mortal.shut_down();
                assert_eq!(watcher.message().topic, *topic);
            }
            let mut newcomer = Raw::connect(gateway, version, "newcomer");
            newcomer.subscribe(&format!("{version}/+"), 1);
            let found = newcomer.messages();
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!((&*found[0].topic, found[0].is_retained), (&*kept, true));
        }
    });
}

#[test]
fn nothing_comes_before_the_connack_and_nothing_behind_the_goodbye() {
    serve(|gateway| {
        for version in BOTH {
            let mut watcher = Raw::connect(gateway, version, "watcher");
            watcher.subscribe("plain/a", 1);
            let segment = [
                Connect::new(version, "quick").bytes(),
                Publish::new("plain/a", "heard").qos(1, 1).bytes(version),
                disconnect(),
                Publish::new("plain/a", "unheard").qos(1, 2).bytes(version),
            ]
            .concat();
            let answer = said(gateway, version, &segment);
            let kinds: Vec<u8> = answer.iter().map(Frame::kind).collect();
            assert!(
                kinds == [CONNACK, PUBACK] || kinds == [CONNACK],
                "{kinds:?}"
            );
            watcher.publish(Publish::new("plain/a", "the end").qos(1, 0));
            assert_eq!([watcher.text(), watcher.text()], ["heard", "the end"]);
        }
    });
}

#[test]
fn a_gateway_that_stops_says_so_and_publishes_no_will_of_who_was_there() {
    let site = Site::new();
    let gateway = site.start();
    let mut clients: Vec<Raw> = BOTH
        .iter()
        .map(|version| {
            let will = Publish::new("wills/a", "gone");
            let mut client = Raw::connect_with(&gateway, &Connect::new(*version, "").will(will));
            client.subscribe("wills/#", 0);
            client
        })
        .collect();
    assert_eq!(gateway.stop().code(), Some(0));
    clients[0].is_dismissed(0x8B);
    let said = clients[1].rest();
    assert_eq!(said.len(), 1, "{said:?}");
    // A reason, and no property: least of all a session expiry.
    assert_eq!(said[0].first, 0xE0);
    assert!(matches!(said[0].body[..], [0x8B] | [0x8B, 0]), "{said:?}");
}
