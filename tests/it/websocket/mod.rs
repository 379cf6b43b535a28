//! MQTT over WebSocket: who is let in, what frames carry, and how connections end.

mod closing;
mod framing;
mod handshake;
mod secure;

use std::thread;
use std::time::{Duration, Instant};

use crate::support::Site;
use crate::support::frames::{BOTH, Connect, Publish, V5, V311};
use crate::support::http::metric;
use crate::support::raw::Raw;
use crate::support::websocket::mqtt;

#[test]
fn a_reading_over_websocket_is_stored_before_it_is_acknowledged() {
    let site = Site::new();
    let gateway = site.start();
    for version in BOTH {
        let sensor = format!("s{version}");
        let mut client = mqtt(&gateway, version).let_in(&Connect::new(version, &sensor));
        for qos in [1, 2] {
            let topic = format!("sensors/{sensor}-{qos}");
            assert_eq!(client.publish(Publish::new(&topic, "80.5").qos(qos, 1)), 0);
            let stored = format!("SELECT value FROM readings WHERE sensor_id = '{sensor}-{qos}'");
            assert_eq!(site.sql_all::<f64>(&stored), [80.5]);
        }
    }
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn messages_travel_between_clients_with_and_without_websocket() {
    let site = Site::new();
    let gateway = site.start();
    for version in BOTH {
        let connect = Connect::new(version, "web");
        let mut web = mqtt(&gateway, version).let_in(&connect);
        assert_eq!(web.subscribe("to/web/#", 2), 2);
        let mut plain = Raw::connect(&gateway, if version == V5 { V311 } else { V5 }, "plain");
        assert_eq!(plain.subscribe("to/plain/#", 2), 2);
        for qos in 0..=2 {
            let text = format!("hello {qos}");
            plain.publish(Publish::new("to/web/1", text.as_str()).qos(qos, 1));
            let message = web.message();
            assert_eq!((message.text(), message.qos), (text.as_str(), qos));
            web.publish(Publish::new("to/plain/1", text.as_str()).qos(qos, 1));
            let message = plain.message();
            assert_eq!((message.text(), message.qos), (text.as_str(), qos));
        }
    }
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn it_shares_the_limit_of_connections() {
    let site = Site::new().environment("EDGE_GATEWAY_MQTT__MAX_CONNECTIONS", "1");
    let gateway = site.start();
    let plain = Raw::connect(&gateway, V5, "plain");
    thread::scope(|scope| {
        let late = scope.spawn(|| {
            mqtt(&gateway, V5).let_in(&Connect::new(V5, "late")).ping();
            Instant::now()
        });
        // So long at least nobody comes in; that this is waited for changes nothing if it is right.
        let mut second = Raw::open(&gateway, V5);
        second.send(&Connect::new(V5, "second").bytes());
        assert!(!second.is_closed_within(Duration::from_millis(300)));
        drop(second);
        let freed = Instant::now();
        drop(plain);
        assert!(freed <= late.join().unwrap(), "there was room for one only");
    });
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn it_shares_the_limit_of_connections_per_address() {
    let site = Site::with("[mqtt.limits]\nconnections_per_address = 2\n");
    let gateway = site.start();
    let mut plain = Raw::connect(&gateway, V5, "plain");
    let mut web = mqtt(&gateway, V5).let_in(&Connect::new(V5, "web"));
    let mut late = mqtt(&gateway, V5);
    late.send(&Connect::new(V5, "late").bytes());
    assert_eq!(late.connack().0, 0x97);
    plain.ping();
    web.ping();
    let limited = "gateway_mqtt_limited_total{limit=\"connections_per_address\"}";
    assert_eq!(metric(&gateway, limited), 1.0);
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn it_can_be_turned_off() {
    let site = Site::new().environment("EDGE_GATEWAY_MQTT__WEBSOCKET_LISTEN", "");
    let gateway = site.start();
    Raw::connect(&gateway, V5, "plain").ping();
    assert!(!gateway.log().contains(r#""transport":"ws""#));
    assert_eq!(gateway.stop().code(), Some(0));
}
