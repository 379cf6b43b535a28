//! More readings than can be stored: those of QoS 0 are lost and counted, the others wait.

use std::thread;

use rusqlite::Connection;
use serde_json::json;

use crate::support::frames::{PUBACK, Publish, V5, V311, acked, reading};
use crate::support::http::{get_json, metric};
use crate::support::process::peak_mib;
use crate::support::raw::Raw;
use crate::support::{Gateway, Site, wait_until};

const CLIENTS: usize = 4;
const MOST_MIB: f64 = 64.0;

/// Holds the store's write lock: nothing is committed until it is dropped.
#[expect(clippy::disallowed_methods, reason = "a stranger that gets in the way")]
fn hold_up_commits(site: &Site) -> Connection {
    let connection = Connection::open(site.path("gateway.db")).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    connection
}

/// Each client publishes so many readings at QoS 0; returns when the gateway has read them all.
fn flood(gateway: &Gateway<'_>, readings: u64) -> Vec<Raw> {
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn(move || {
                    let name = format!("f{client}");
                    let mut peer = Raw::connect(gateway, V311, &name);
                    for first in (0..readings).step_by(500) {
                        let some: Vec<u8> = (first..first + 500)
                            .flat_map(|n| {
                                Publish::new("sensors/f", reading(&name, 80.0, n)).bytes(V311)
                            })
                            .collect();
                        peer.send(&some);
                    }
                    peer.ping();
                    peer
                })
            })
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    })
}

fn assert_all_accounted_for(gateway: &Gateway<'_>, site: &Site, received: f64) -> f64 {
    let stored: i64 = site.sql("SELECT count(*) FROM readings");
    let committed = metric(gateway, "gateway_readings_committed_total");
    let lost = metric(gateway, "gateway_readings_lost_total");
    println!("{received} received, {committed} committed, {lost} lost");
    assert_eq!(metric(gateway, "gateway_readings_received_total"), received);
    assert_eq!(committed, stored as f64);
    assert_eq!(committed + lost, received);
    lost
}

/// A reading of QoS 1 behind the flood of each connection: once it is acknowledged, all before it is settled.
fn settle(clients: &mut [Raw]) {
    for client in clients {
        let last = Publish::new("sensors/f", reading("last", 80.0, 1)).qos(1, 1);
        client.send(&last.bytes(V311));
        assert_eq!(client.receive(), Some(acked(PUBACK, 1)));
    }
}

#[test]
fn a_flood_of_qos_0_is_stored_or_counted_as_lost() {
    const READINGS: u64 = 25_000;
    let site = Site::new();
    let gateway = site.start();
    drop(flood(&gateway, 500));
    let before = peak_mib(&gateway);
    let mut clients = flood(&gateway, READINGS);
    settle(&mut clients);
    let received = CLIENTS as f64 * (READINGS + 500 + 1) as f64;
    assert_all_accounted_for(&gateway, &site, received);
    let grown = peak_mib(&gateway) - before;
    println!("grown by {grown:.1} MiB");
    assert!(grown < MOST_MIB, "grown by {grown} MiB");
    gateway.stop();
}

#[test]
fn a_flood_while_nothing_can_be_stored_is_bounded_and_its_losses_are_counted() {
    const READINGS: u64 = 75_000;
    let site = Site::new().allow(&["commit failed"]);
    let gateway = site.start();
    drop(flood(&gateway, 500));
    let before = peak_mib(&gateway);
    let held = hold_up_commits(&site);
    let mut clients = flood(&gateway, READINGS);
    drop(held);
    settle(&mut clients);
    let received = CLIENTS as f64 * (READINGS + 500 + 1) as f64;
    let lost = assert_all_accounted_for(&gateway, &site, received);
    assert!(0.0 < lost);
    let grown = peak_mib(&gateway) - before;
    println!("grown by {grown:.1} MiB");
    assert!(grown < MOST_MIB, "grown by {grown} MiB");
    gateway.stop();
}

#[test]
fn messages_of_qos_0_that_found_no_room_are_counted_apart_from_readings() {
    const MESSAGES: u64 = 300;
    let site = Site::new().allow(&["commit failed"]);
    let gateway = site.start();
    let held = hold_up_commits(&site);
    let mut client = Raw::connect(&gateway, V5, "client");
    for number in 0..MESSAGES {
        let message = Publish::new(&format!("a/{number}"), vec![b'x'; 100 << 10]);
        client.publish(message.retained());
        client.publish(Publish::new("sensors/s", "80").retained());
    }
    client.ping();
    drop(held);
    assert_eq!(client.publish(Publish::new("sensors/s", "1").qos(1, 0)), 0);
    let kept: i64 = site.sql("SELECT count(*) FROM retained WHERE topic LIKE 'a/%'");
    let dropped = metric(&gateway, "gateway_mqtt_dropped_total{reason=\"overload\"}");
    assert!(0.0 < dropped);
    assert_eq!(kept as f64 + dropped, MESSAGES as f64);
    let received = MESSAGES as f64 + 1.0;
    assert_all_accounted_for(&gateway, &site, received);
    gateway.stop();
}

#[test]
fn what_a_device_says_of_itself_waits_for_room_also_at_qos_0() {
    let site = Site::new().allow(&["commit failed"]);
    let gateway = site.start();
    let held = hold_up_commits(&site);
    let mut client = Raw::connect(&gateway, V5, "client");
    let lost = || metric(&gateway, "gateway_mqtt_dropped_total{reason=\"overload\"}");
    // Until there is no room for a large one, and then for a small one.
    for size in [100 << 10, 1] {
        let before = lost();
        while lost() == before {
            client.publish(Publish::new("a/b", vec![b'x'; size]).retained());
            client.ping();
        }
    }
    let before = lost();
    let mut device = Raw::connect(&gateway, V5, "device");
    device.publish(Publish::new("status/d1", "online"));
    drop(held);
    wait_until("it is on disk", || {
        get_json(&gateway, "/status") == json!({"d1": "online"})
    });
    assert_eq!(lost(), before);
    gateway.stop();
}
