//! What counts as delivered by a broker: the acknowledgement of that very publish on that very connection.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, sync_channel};

use serde_json::Value;

use crate::support::frames::{PUBACK, PUBLISH, Publish, SUBACK, V311, ack, packet};
use crate::support::http::post_readings;
use crate::support::plain_broker::PlainBroker;
use crate::support::raw::Raw;
use crate::support::{LIMIT, Site, eventually};

const ALLOWED: &[&str] = &["no connection to the broker", "batch not delivered"];

/// Reads up to the next publish; `None` if the gateway has gone.
fn next_publish(raw: &mut Raw) -> Option<Publish> {
    loop {
        let frame = raw.receive()?;
        if frame.kind() == PUBLISH {
            return Some(Publish::read(V311, &frame));
        }
    }
}

fn waiting(site: &Site) -> i64 {
    site.sql("SELECT count(*) FROM outbox")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_never_acknowledged_is_sent_again() {
    let (sender, publishes): (_, Receiver<Publish>) = sync_channel(100);
    let broker = PlainBroker::start(move |number, raw| {
        while let Some(publish) = next_publish(raw) {
            let id = publish.packet_id;
            sender.send(publish).unwrap();
            if 3 <= number {
                raw.send(&ack(PUBACK, id));
            }
        }
    });
    let keys = "timeout = \"200ms\"\nconcurrency = 1\n";
    let site = Site::with(&broker.section(keys)).allow(ALLOWED);
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..20);
    let next = || publishes.recv_timeout(LIMIT).unwrap();
    let first = next();
    for _ in 1..3 {
        assert_eq!(next().payload, first.payload, "the same bytes");
        assert_eq!(waiting(&site), 20, "nothing is confirmed");
    }
    assert_eq!(next().payload, first.payload);
    eventually("the outbox is empty", || {
        (waiting(&site) == 0).then_some(())
    })
    .await;
    assert!(gateway.log().contains("no PUBACK in time"));
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_of_an_earlier_connection_confirms_nothing() {
    let (sender, publishes): (_, Receiver<(usize, Publish)>) = sync_channel(100);
    let mut ids: Vec<u16> = Vec::new();
    let broker = PlainBroker::start(move |number, raw| {
        let Some(publish) = next_publish(raw) else {
            return;
        };
        let id = publish.packet_id;
        sender.send((number, publish)).unwrap();
        match number {
            // Three are on their way, and the connection breaks.
            0 => {
                ids.push(id);
                for _ in 1..3 {
                    ids.push(next_publish(raw).unwrap().packet_id);
                }
            }
            // The late acknowledgements of the other two come before anything was sent by those ids.
            1 => {
                for stale in ids.iter().filter(|stale| **stale != id) {
                    raw.send(&ack(PUBACK, *stale));
                }
                raw.rest();
            }
            _ => {
                raw.send(&ack(PUBACK, id));
                while let Some(publish) = next_publish(raw) {
                    raw.send(&ack(PUBACK, publish.packet_id));
                    sender.send((number, publish)).unwrap();
                }
            }
        }
    });
    // A backlog leaves one place to what is fresh.
    let keys = "batch_max_readings = 10\nconcurrency = 4\ndownlink = false\n";
    let site = Site::with(&broker.section(keys)).allow(ALLOWED);
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..30);
    let next = || publishes.recv_timeout(LIMIT).unwrap();
    let (_, first) = next();
    let (number, second) = next();
    assert_eq!(
        (number, second.packet_id),
        (1, first.packet_id),
        "ids begin anew"
    );
    // Who acknowledges what was not sent is left; all that was on its way goes to the next connection.
    let mut ids = BTreeSet::new();
    while ids.len() < 30 {
        let (number, publish) = next();
        assert_eq!(number, 2);
        let batch: Value = serde_json::from_slice(&publish.payload).unwrap();
        let readings = batch["readings"].as_array().unwrap();
        ids.extend(readings.iter().map(|reading| reading["id"].as_i64()));
    }
    eventually("the outbox is empty", || {
        (waiting(&site) == 0).then_some(())
    })
    .await;
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_that_comes_with_the_connections_end_counts() {
    let (sender, publishes): (_, Receiver<(usize, Publish)>) = sync_channel(100);
    let broker = PlainBroker::start(move |number, raw| {
        while let Some(publish) = next_publish(raw) {
            let mut answer = ack(PUBACK, publish.packet_id);
            sender.send((number, publish)).unwrap();
            if number == 0 {
                // A packet of no type ends the connection in the same read.
                answer.extend([0, 0]);
            }
            raw.send(&answer);
        }
    });
    let keys = "concurrency = 1\ndownlink = false\n";
    let site = Site::with(&broker.section(keys)).allow(ALLOWED);
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..1);
    let (first, publish) = publishes.recv_timeout(LIMIT).unwrap();
    eventually("it is delivered", || (waiting(&site) == 0).then_some(())).await;
    post_readings(&gateway, "s1", 81.0, 1..2);
    let (second, next) = publishes.recv_timeout(LIMIT).unwrap();
    assert_eq!((first, second), (0, 1));
    assert_ne!(publish.payload, next.payload, "it is not sent again");
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_needs_no_connection_that_outlasts_its_time_at_the_rate() {
    let (sender, publishes): (_, Receiver<usize>) = sync_channel(100);
    let broker = PlainBroker::start(move |_, raw| {
        if let Some(publish) = next_publish(raw) {
            sender.send(publish.payload.len()).unwrap();
        }
    });
    let keys = "max_rate = \"1KiB/s\"\n";
    let site = Site::with(&broker.section(keys)).allow(ALLOWED);
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..1000);
    let bytes = publishes.recv_timeout(LIMIT).unwrap();
    assert!(LIMIT.as_secs() < bytes as u64 / 1024, "{bytes}");
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_downlink_there_is_no_connection_before_there_is_something_to_send() {
    let (sender, first) = sync_channel(100);
    let broker = PlainBroker::start(move |_, raw| {
        while let Some(frame) = raw.receive() {
            sender.send(frame.kind()).unwrap();
            if frame.kind() == PUBLISH {
                let publish = Publish::read(V311, &frame);
                raw.send(&ack(PUBACK, publish.packet_id));
            }
        }
    });
    let site = Site::with(&broker.section("downlink = false\n"));
    let gateway = site.start();
    post_readings(&gateway, "s1", 10.0, 0..20);
    assert!(!gateway.log().contains("connected to the broker"));
    post_readings(&gateway, "s1", 80.0, 0..20);
    assert_eq!(first.recv_timeout(LIMIT), Ok(PUBLISH), "and no SUBSCRIBE");
    eventually("the outbox is empty", || {
        (waiting(&site) == 0).then_some(())
    })
    .await;
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_acknowledged_when_it_is_committed() {
    let (sender, took) = sync_channel(1);
    let broker = PlainBroker::start(move |_, raw| {
        let subscribe = raw.receive().unwrap();
        assert_eq!(subscribe.first, 0x82);
        raw.send(&packet(
            SUBACK << 4,
            &[subscribe.body[0], subscribe.body[1], 1],
        ));
        let started = std::time::Instant::now();
        raw.send(&Publish::new("commands/test/x", "on").qos(1, 7).bytes(V311));
        let answer = raw.receive().unwrap();
        sender
            .send((answer.acknowledged(V311).0, started.elapsed()))
            .unwrap();
        raw.rest();
    });
    // Nothing is committed before that.
    let site =
        Site::with(&broker.section("")).environment("EDGE_GATEWAY_STORE__GROUP_COMMIT", "1s");
    let gateway = site.start();
    let (id, took) = took.recv_timeout(LIMIT).unwrap();
    assert_eq!(id, 7);
    assert!(std::time::Duration::from_secs(1) <= took, "{took:?}");
    gateway.stop();
}
