//! A client that publishes faster than `publish_rate` is read slower, and loses nothing.

use std::time::Instant;

use super::serve_at;
use crate::support::Site;
use crate::support::frames::{BOTH, Connect, PUBACK, PUBLISH, Publish, V5, disconnect};
use crate::support::http::metric;
use crate::support::raw::Raw;

fn site(rate: usize) -> Site {
    Site::with(&format!("[mqtt.limits]\npublish_rate = {rate}\n"))
}

fn numbered(version: u8, topic: &str, qos: u8, count: u16) -> Vec<u8> {
    (1..=count)
        .flat_map(|id| {
            Publish::new(topic, id.to_string())
                .qos(qos, id)
                .bytes(version)
        })
        .collect()
}

#[test]
fn no_more_is_taken_than_the_rate_allows_and_nothing_is_lost() {
    const RATE: u16 = 100;
    const COUNT: u16 = 250;
    serve_at(&site(RATE.into()), |gateway| {
        for version in BOTH {
            let mut watcher = Raw::connect(gateway, V5, "watcher");
            watcher.subscribe("a", 0);
            // Its keep-alive passes while it is held up, and must not count.
            let connect = Connect {
                keep_alive: 1,
                ..Connect::new(version, "fast")
            };
            let started = Instant::now();
            let mut fast = Raw::connect_with(gateway, &connect);
            fast.send(&numbered(version, "a", 1, COUNT));
            for id in 1..=COUNT {
                assert_eq!(fast.acknowledged(PUBACK), (id, 0));
                let most = f64::from(RATE) * (1.0 + started.elapsed().as_secs_f64());
                assert!(f64::from(id) <= most, "{id} taken, {most} allowed");
            }
            fast.ping();
            for id in 1..=COUNT {
                assert_eq!(watcher.text(), id.to_string());
            }
        }
        assert_eq!(metric(gateway, "gateway_mqtt_dropped_total"), 0.0);
        let limited = "gateway_mqtt_limited_total{limit=\"publish_rate\"}";
        assert!(2.0 <= metric(gateway, limited));
    });
}

#[test]
fn who_is_held_up_still_gets_its_own_messages_and_holds_up_nobody() {
    // Its burst is one publish; the rest would take minutes.
    serve_at(&site(1), |gateway| {
        let mut fast = Raw::connect(gateway, V5, "fast");
        fast.subscribe("to/fast", 1);
        fast.send(&numbered(V5, "a", 1, 200));
        assert_eq!(fast.acknowledged(PUBACK), (1, 0));
        let mut other = Raw::connect(gateway, V5, "other");
        assert_eq!(other.publish(Publish::new("to/fast", "hello").qos(1, 0)), 0);
        loop {
            let frame = fast.receive().unwrap();
            if frame.kind() == PUBLISH {
                assert_eq!(Publish::read(V5, &frame).text(), "hello");
                break;
            }
            assert_ne!(
                frame.acknowledged(V5),
                (200, 0),
                "all taken before the message"
            );
        }
    });
}

#[test]
fn readings_before_a_disconnect_are_taken_whatever_the_rate() {
    let site = site(20);
    serve_at(&site, |gateway| {
        for version in BOTH {
            let mut sensor = Raw::connect(gateway, version, "sensor");
            let mut packets = numbered(version, "sensors/s", 0, 40);
            packets.extend(disconnect());
            sensor.send(&packets);
            sensor.shut_down();
            // It is closed once the DISCONNECT has been read, which is behind all of them.
            assert_eq!(sensor.rest(), []);
        }
        let mut last = Raw::connect(gateway, V5, "last");
        last.publish(Publish::new("sensors/last", "1").qos(1, 0));
        assert_eq!(site.sql::<i64>("SELECT count(*) FROM readings"), 81);
    });
}
