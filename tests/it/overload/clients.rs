//! Too many clients, silent clients, clients that send too much.

use std::net::TcpStream;

use crate::support::Site;
use crate::support::call::metric;
use crate::support::packets::{Packet, Peer, connect, publish, reading};
use crate::support::process::resident_mib;

#[test]
fn a_client_beyond_max_connections_waits_and_the_others_go_on() {
    const MOST: usize = 5;
    let site = Site::new().environment("EDGE_GATEWAY_MQTT__MAX_CONNECTIONS", MOST.to_string());
    let gateway = site.start();
    let mut clients: Vec<Peer> = (0..MOST)
        .map(|n| Peer::connect(gateway.mqtt, &format!("client-{n}")))
        .collect();
    let mut late = Peer::over(TcpStream::connect(gateway.mqtt).unwrap());
    late.send(&connect("late"));
    for client in &mut clients {
        client.send(&publish("sensors/a", 1, 1, &reading("a", 80.0, 1)));
        assert_eq!(client.receive(), Packet::Puback(1));
    }
    assert!(late.is_silent());
    assert_eq!(metric(&gateway, "gateway_mqtt_connections"), MOST as f64);
    let limited = "gateway_mqtt_limited_total{limit=\"max_connections\"}";
    assert_eq!(metric(&gateway, limited), 1.0);
    clients.pop();
    assert_eq!(late.receive(), Packet::Connack);
    clients.iter_mut().for_each(Peer::ping);
    gateway.stop();
}

#[test]
fn clients_that_say_nothing_do_not_delay_the_next() {
    let site = Site::new();
    let gateway = site.start();
    let mut silent: Vec<Peer> = (0..200)
        .map(|n| {
            let mut peer = Peer::over(TcpStream::connect(gateway.mqtt).unwrap());
            // Every other one stops in the middle of its CONNECT.
            peer.send(&connect("half")[..if n % 2 == 0 { 0 } else { 7 }]);
            peer
        })
        .collect();
    let mut sensor = Peer::connect(gateway.mqtt, "sensor");
    sensor.send(&publish("sensors/a", 1, 1, &reading("a", 80.0, 1)));
    assert_eq!(sensor.receive(), Packet::Puback(1));
    // None of them had to be thrown out for that.
    assert!(silent.iter_mut().all(Peer::is_silent));
    gateway.stop();
}

#[test]
fn a_packet_that_is_too_large_closes_only_its_sender() {
    let site = Site::new();
    let gateway = site.start();
    let mut other = Peer::connect(gateway.mqtt, "other");
    other.send(&publish("sensors/a", 1, 1, &reading("a", 80.0, 1)));
    assert_eq!(other.receive(), Packet::Puback(1));
    let before = resident_mib(&gateway);
    for _ in 0..20 {
        let mut sender = Peer::connect(gateway.mqtt, "sender");
        let large = publish("chat/a", 1, 1, &vec![b'x'; 300 << 10]);
        // The connection may be closed before all of it is sent.
        sender.try_send(&large).ok();
        assert_eq!(sender.next(), None);
        let mut boaster = Peer::connect(gateway.mqtt, "boaster");
        // Announces as much as MQTT allows and sends none of it.
        boaster.send(&[0x32, 0xff, 0xff, 0xff, 0x7f]);
        assert_eq!(boaster.next(), None);
    }
    let grown = resident_mib(&gateway) - before;
    assert!(grown < 10.0, "grown by {grown} MiB");
    other.ping();
    let mut fitting = Peer::connect(gateway.mqtt, "fitting");
    fitting.send(&publish("chat/a", 1, 1, &vec![b'x'; 250 << 10]));
    assert_eq!(fitting.receive(), Packet::Puback(1));
    gateway.stop();
}
