//! Too many clients, silent clients, clients that send too much.

use crate::support::Site;
use crate::support::frames::{Connect, PUBACK, Publish, V311, acked, reading};
use crate::support::http::metric;
use crate::support::process::resident_mib;
use crate::support::raw::Raw;

fn a_reading() -> Vec<u8> {
    let reading = Publish::new("sensors/a", reading("a", 80.0, 1)).qos(1, 1);
    reading.bytes(V311)
}

fn picture(bytes: usize) -> Vec<u8> {
    let picture = Publish::new("chat/a", vec![b'x'; bytes]).qos(1, 1);
    picture.bytes(V311)
}

#[test]
fn a_client_beyond_max_connections_waits_and_the_others_go_on() {
    const MOST: usize = 5;
    let site = Site::new().environment("EDGE_GATEWAY_MQTT__MAX_CONNECTIONS", MOST.to_string());
    let gateway = site.start();
    let mut clients: Vec<Raw> = (0..MOST)
        .map(|n| Raw::connect(&gateway, V311, &format!("client-{n}")))
        .collect();
    let mut late = Raw::open(&gateway, V311);
    late.send(&Connect::new(V311, "late").bytes());
    for client in &mut clients {
        client.send(&a_reading());
        assert_eq!(client.receive(), Some(acked(PUBACK, 1)));
    }
    assert!(late.is_silent());
    assert_eq!(metric(&gateway, "gateway_mqtt_connections"), MOST as f64);
    let limited = "gateway_mqtt_limited_total{limit=\"max_connections\"}";
    assert_eq!(metric(&gateway, limited), 1.0);
    clients.pop();
    assert_eq!(late.connack(), (0, Vec::new()));
    clients.iter_mut().for_each(Raw::ping);
    gateway.stop();
}

#[test]
fn clients_that_say_nothing_do_not_delay_the_next() {
    let site = Site::new();
    let gateway = site.start();
    let mut silent: Vec<Raw> = (0..200)
        .map(|n| {
            let mut peer = Raw::open(&gateway, V311);
            // Every other one stops in the middle of its CONNECT.
            peer.send(&Connect::new(V311, "half").bytes()[..if n % 2 == 0 { 0 } else { 7 }]);
            peer
        })
        .collect();
    let mut sensor = Raw::connect(&gateway, V311, "sensor");
    sensor.send(&a_reading());
    assert_eq!(sensor.receive(), Some(acked(PUBACK, 1)));
    // None of them had to be thrown out for that.
    assert!(silent.iter_mut().all(Raw::is_silent));
    gateway.stop();
}

#[test]
fn a_packet_that_is_too_large_closes_only_its_sender() {
    let site = Site::new();
    let gateway = site.start();
    let mut other = Raw::connect(&gateway, V311, "other");
    other.send(&a_reading());
    assert_eq!(other.receive(), Some(acked(PUBACK, 1)));
    let before = resident_mib(&gateway);
    for _ in 0..20 {
        let mut sender = Raw::connect(&gateway, V311, "sender");
        // The connection may be closed before all of it is sent.
        sender.send(&picture(300 << 10));
        assert_eq!(sender.receive(), None);
        let mut boaster = Raw::connect(&gateway, V311, "boaster");
        // Announces as much as MQTT allows and sends none of it.
        boaster.send(&[0x32, 0xff, 0xff, 0xff, 0x7f]);
        assert_eq!(boaster.receive(), None);
    }
    let grown = resident_mib(&gateway) - before;
    assert!(grown < 10.0, "grown by {grown} MiB");
    other.ping();
    let mut fitting = Raw::connect(&gateway, V311, "fitting");
    fitting.send(&picture(250 << 10));
    assert_eq!(fitting.receive(), Some(acked(PUBACK, 1)));
    gateway.stop();
}
