//! How bytes arrive does not matter, and no bytes stop the gateway.

use std::io::Write;
use std::net::{Shutdown, TcpStream};

use fastrand::Rng;

use super::{serve, serve_at};
use crate::support::frames::{
    BOTH, Connect, PINGRESP, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, Publish, SUBACK, V5, V311,
    ack, disconnect, ping, subscribe,
};
use crate::support::raw::Raw;
use crate::support::{Gateway, LIMIT, Site};

/// A whole session: it stores two readings.
fn session(version: u8) -> Vec<u8> {
    let publish = |topic: &str, qos, id| Publish::new(topic, "80").qos(qos, id).bytes(version);
    [
        Connect::new(version, "quick").bytes(),
        subscribe(version, 1, &[("plain/#", 0)], &[]),
        publish("sensors/s1", 1, 2),
        publish("plain/a", 0, 0),
        publish("sensors/s2", 2, 3),
        ping(),
    ]
    .concat()
}

#[track_caller]
fn check_answers(client: &mut Raw) {
    let version = client.version;
    assert_eq!(client.connack().0, 0);
    let mut kinds = Vec::new();
    for _ in 0..5 {
        let frame = client.receive().unwrap();
        let id_and_reason = match frame.kind() {
            PUBLISH => {
                assert_eq!(Publish::read(version, &frame).topic, "plain/a");
                (0, 0)
            }
            PINGRESP => (0, 0),
            _ => frame.acknowledged(version),
        };
        kinds.push((frame.kind(), id_and_reason));
    }
    kinds.sort_unstable();
    let expected = [
        (PUBLISH, (0, 0)),
        (PUBACK, (2, 0)),
        (PUBREC, (3, 0)),
        (SUBACK, (1, 0)),
        (PINGRESP, (0, 0)),
    ];
    assert_eq!(kinds, expected);
    client.send(&ack(PUBREL, 3));
    assert_eq!(client.acknowledged(PUBCOMP), (3, 0));
    client.send(&disconnect());
    assert_eq!(client.rest(), []);
}

#[test]
fn a_whole_session_may_come_in_one_segment() {
    let site = Site::new();
    serve_at(&site, |gateway| {
        for version in BOTH {
            let mut client = Raw::open(gateway, version);
            client.send(&session(version));
            check_answers(&mut client);
        }
        assert_eq!(site.sql::<i64>("SELECT count(*) FROM readings"), 4);
    });
}

#[test]
fn each_byte_may_come_alone() {
    let site = Site::new();
    serve_at(&site, |gateway| {
        for version in BOTH {
            let mut client = Raw::open(gateway, version);
            for byte in session(version) {
                client.send(&[byte]);
            }
            check_answers(&mut client);
        }
        assert_eq!(site.sql::<i64>("SELECT count(*) FROM readings"), 4);
    });
}

#[test]
fn a_session_that_ends_with_its_segment_is_stored_whole() {
    let site = Site::new();
    serve_at(&site, |gateway| {
        for version in BOTH {
            let mut client = Raw::open(gateway, version);
            client.send(&[session(version), disconnect()].concat());
            client.rest();
        }
        // A commit behind all others.
        Raw::connect(gateway, V5, "last").publish(Publish::new("sensors/s3", "1").qos(1, 0));
        assert_eq!(site.sql::<i64>("SELECT count(*) FROM readings"), 5);
    });
}

/// Bytes that no client sends, some of them behind a good beginning.
fn garbage(random: &mut Rng) -> Vec<u8> {
    let version = if random.bool() { V5 } else { V311 };
    let mut bytes = match random.u8(0..4) {
        0 => Vec::new(),
        1 => Connect::new(version, "garbage").bytes(),
        _ => session(version),
    };
    match random.u8(0..3) {
        // Noise behind it.
        0 => bytes.extend((0..random.usize(1..200)).map(|_| random.u8(..))),
        // A packet type that exists, and noise for a body.
        1 => {
            let body: Vec<u8> = (0..random.usize(0..60)).map(|_| random.u8(..)).collect();
            bytes.extend([random.u8(..), body.len() as u8]);
            bytes.extend(body);
        }
        // Some bytes of it are wrong.
        _ => {
            for _ in 0..random.usize(1..5) {
                if !bytes.is_empty() {
                    let at = random.usize(..bytes.len());
                    bytes[at] = random.u8(..);
                }
            }
        }
    }
    bytes
}

fn throw(gateway: &Gateway<'_>, bytes: &[u8]) {
    let mut stream = TcpStream::connect(gateway.mqtt).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    // The gateway may have closed it already.
    stream.write_all(bytes).ok();
    stream.shutdown(Shutdown::Write).ok();
    std::io::copy(&mut stream, &mut std::io::sink()).ok();
}

#[test]
fn garbage_never_stops_the_gateway() {
    let seed = 20_260_730;
    // A lucky byte turns a topic into one of the gateway's own.
    let site = Site::new().allow(&["publish refused"]);
    serve_at(&site, |gateway| {
        let mut random = Rng::with_seed(seed);
        for _ in 0..2000 {
            throw(gateway, &garbage(&mut random));
        }
        for version in BOTH {
            let mut client = Raw::connect(gateway, version, "normal");
            client.subscribe("sensors/normal", 1);
            assert_eq!(
                client.publish(Publish::new("sensors/normal", "1").qos(2, 0)),
                0
            );
            assert_eq!(client.text(), "1");
        }
        let log = gateway.log();
        assert!(!log.contains("panicked"), "{log}");
    });
}

#[test]
fn half_a_packet_holds_nobody_up() {
    serve(|gateway| {
        let mut half: Vec<Raw> = (0..20).map(|_| Raw::open(gateway, V5)).collect();
        for client in &mut half {
            client.send(&Connect::new(V5, "half").bytes()[..9]);
        }
        Raw::connect(gateway, V311, "whole").ping();
    });
}
