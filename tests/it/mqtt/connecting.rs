//! CONNECT: who is let in, who is not, and when a connection ends.

use std::time::{Duration, Instant};

use super::{serve, serve_at};
use crate::support::Site;
use crate::support::frames::{
    BOTH, CONNACK, Connect, Frame, PUBACK, Publish, V5, V311, disconnect, packet, ping, subscribe,
};
use crate::support::properties::{ASSIGNED_CLIENT_ID, Property};
use crate::support::raw::{Raw, refusal};

#[test]
fn a_first_packet_that_is_no_connect_closes_the_connection() {
    serve(|gateway| {
        for version in BOTH {
            let publish = Publish::new("a", "x").bytes(version);
            let subscribe = subscribe(version, 1, &[("a", 0)], &[]);
            let reserved = packet(0x00, &[]);
            let authentication = packet(0xF0, &[]);
            for first in [
                ping(),
                publish,
                subscribe,
                disconnect(),
                reserved,
                authentication,
            ] {
                let mut client = Raw::open(gateway, version);
                client.send(&first);
                assert_eq!(client.rest(), [], "{first:02x?}");
            }
        }
    });
}

#[test]
fn an_unknown_protocol_name_closes_the_connection() {
    serve(|gateway| {
        for version in BOTH {
            let connect = Connect {
                protocol_name: "MQTx",
                ..Connect::new(version, "a")
            };
            let mut client = Raw::open(gateway, version);
            client.send(&connect.bytes());
            let answer = client.rest();
            assert!(
                !answer.iter().any(|f| f.kind() == CONNACK && f.body[1] == 0),
                "{answer:?}"
            );
        }
    });
}

#[test]
fn a_client_without_an_id_is_given_one_of_its_own() {
    serve(|gateway| {
        for version in BOTH {
            let mut first = Raw::connect(gateway, version, "");
            let mut second = Raw::connect(gateway, version, "");
            first.ping();
            second.ping();
            if version == V5 {
                let assigned = [&first, &second].map(|client| {
                    let found = client.granted.iter().find(|p| p.id() == ASSIGNED_CLIENT_ID);
                    found.expect("no Assigned Client Identifier").clone()
                });
                assert_ne!(assigned[0], assigned[1]);
                let Property::Text(_, client_id) = &assigned[0] else {
                    panic!("{assigned:?}");
                };
                let _same = Raw::connect(gateway, V5, client_id);
                first.is_dismissed(0x8E);
            }
        }
        let named = Raw::connect(gateway, V5, "named");
        let is_assigned = |p: &Property| p.id() == ASSIGNED_CLIENT_ID;
        assert!(!named.granted.iter().any(is_assigned));
    });
}

#[test]
fn a_client_without_an_id_that_wants_its_session_kept_is_refused() {
    serve(|gateway| {
        let connect = Connect {
            is_clean: false,
            ..Connect::new(V311, "")
        };
        let mut client = Raw::open(gateway, V311);
        client.send(&connect.bytes());
        assert_eq!(client.rest(), [refusal(V311, 2)]);
    });
}

#[test]
fn a_silent_client_is_closed_at_one_and_a_half_times_its_keep_alive() {
    serve(|gateway| {
        for version in BOTH {
            let (silent, busy) = (format!("silent-{version}"), format!("busy-{version}"));
            let with_keep_alive = |client_id| Connect {
                keep_alive: 1,
                ..Connect::new(version, client_id)
            };
            let mut without = Raw::connect(gateway, version, "without");
            let mut watcher = Raw::connect(gateway, version, "watcher");
            watcher.subscribe("wills/#", 0);
            let mut busy = Raw::connect_with(gateway, &with_keep_alive(&busy));
            let will = Publish::new("wills/silent", "gone");
            let mut silent = Raw::connect_with(gateway, &with_keep_alive(&silent).will(will));
            let started = Instant::now();
            while !silent.is_closed_within(Duration::from_millis(300)) {
                busy.ping();
            }
            let waited = started.elapsed().as_millis();
            assert!((1400..5000).contains(&waited), "{waited} ms");
            silent.is_dismissed(0x8D);
            assert_eq!(watcher.text(), "gone");
            busy.ping();
            without.ping();
        }
    });
}

#[test]
fn a_second_connect_closes_the_connection() {
    serve(|gateway| {
        for version in BOTH {
            let mut client = Raw::connect(gateway, version, "twice");
            client.send(&Connect::new(version, "twice").bytes());
            client.is_dismissed(0x82);
        }
    });
}

#[test]
fn a_client_id_belongs_to_who_came_last() {
    serve(|gateway| {
        for version in BOTH {
            let mut old = Raw::connect(gateway, version, "same");
            old.subscribe("a", 0);
            let mut new = Raw::connect(gateway, version, "same");
            old.is_dismissed(0x8E);
            // Nothing of the old session is left, and the new one is not disturbed by its end.
            new.publish(Publish::new("a", "1").qos(1, 0));
            assert_eq!(new.messages(), []);
            new.subscribe("a", 0);
            new.publish(Publish::new("a", "2").qos(1, 0));
            assert_eq!(new.text(), "2");
        }
    });
}

#[test]
fn nobody_comes_in_where_anonymous_clients_never_may() {
    let site = Site::new().environment("EDGE_GATEWAY_MQTT__ANONYMOUS", "never");
    serve_at(&site, |gateway| {
        for (version, reason) in [(V311, 5), (V5, 0x87)] {
            let mut client = Raw::open(gateway, version);
            client.send(&Connect::new(version, "stranger").bytes());
            assert_eq!(client.rest(), [refusal(version, reason)]);
        }
    });
}

#[test]
fn an_unknown_protocol_level_is_refused_and_the_connection_closed() {
    serve(|gateway| {
        for (protocol_name, version) in [("MQIsdp", 3), ("MQTT", 3), ("MQTT", 2)] {
            let connect = Connect {
                protocol_name,
                ..Connect::new(version, "old")
            };
            let mut client = Raw::open(gateway, version);
            client.send(&connect.bytes());
            let answer = client.rest();
            assert_eq!(answer, [refusal(version, 1)], "{protocol_name} {version}");
        }
        // MQTT 5.0, section 3.1.2.2: 0x84 may be said in the shape of MQTT 5.
        let connect = Connect {
            version: 6,
            ..Connect::new(V5, "new")
        };
        let mut client = Raw::open(gateway, V5);
        client.send(&connect.bytes());
        let answer = client.rest();
        let is_refused = answer == [refusal(V311, 1)] || answer == [refusal(V5, 0x84)];
        assert!(is_refused, "{answer:?}");
    });
}

/// What a client hears whose CONNECT cannot be read.
fn malformed(version: u8) -> Vec<Frame> {
    match version {
        V5 => vec![refusal(V5, 0x81)],
        _ => vec![],
    }
}

#[test]
fn reserved_and_contradictory_connect_flags_close_the_connection() {
    serve(|gateway| {
        for version in BOTH {
            // The reserved bit; a will's QoS and its retain without a will.
            for wrong_flags in [0x01, 0x08, 0x20] {
                let connect = Connect {
                    wrong_flags,
                    ..Connect::new(version, "a")
                };
                let mut client = Raw::open(gateway, version);
                client.send(&connect.bytes());
                assert_eq!(client.rest(), malformed(version), "{wrong_flags:#x}");
            }
            let will = Publish::new("wills/a", "x").qos(3, 0);
            let mut client = Raw::open(gateway, version);
            client.send(&Connect::new(version, "a").will(will).bytes());
            assert_eq!(client.rest(), malformed(version), "a will of QoS 3");
        }
    });
}

#[test]
fn what_stands_before_a_violation_in_one_segment_is_answered_and_the_will_is_published() {
    serve(|gateway| {
        for version in BOTH {
            let mut watcher = Raw::connect(gateway, version, "watcher");
            watcher.subscribe("#", 1);
            let will = Publish::new("wills/a", "gone").qos(1, 0);
            let mut segment = Connect::new(version, "a").will(will).bytes();
            segment.extend(Publish::new("plain/a", "said").qos(1, 7).bytes(version));
            // Reserved packet type 0.
            segment.extend([0x00, 0x00]);
            let mut client = Raw::open(gateway, version);
            client.send(&segment);
            assert_eq!(client.connack().0, 0);
            assert_eq!(client.acknowledged(PUBACK), (7, 0));
            client.rest();
            assert_eq!(watcher.text(), "said");
            assert_eq!(watcher.text(), "gone");
        }
    });
}
