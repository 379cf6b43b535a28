use std::sync::Arc;

use super::*;
use crate::domain::{message::Message, timestamp::Timestamp, topic::TopicName};

const MESSAGES: usize = 10;
const BYTES: usize = 10_000;

fn contents() -> Contents {
    Contents::new(&Limits {
        queue_messages: MESSAGES,
        queue_bytes: BYTES,
        ..Limits::default()
    })
}

fn one(limit: Limit) -> Option<LeftOut> {
    Some(LeftOut { count: 1, limit })
}

fn delivery(qos: Qos, payload: &str) -> Delivery {
    let message = Message {
        topic: TopicName::new("t").unwrap(),
        payload: payload.as_bytes().to_vec().into(),
        qos,
        retain: false,
        received_at: Timestamp::MIN,
        publisher: "".into(),
        properties: None,
    };
    Delivery {
        message: Arc::new(message),
        qos,
        retain: false,
        subscription_ids: Vec::new(),
        shared: None,
    }
}

/// As in `a1` for payload a under identifier 1, `A1` if it is sent again, `>1` for PUBREL.
fn sent(contents: &mut Contents, window: usize) -> Vec<String> {
    std::iter::from_fn(|| contents.next(window))
        .map(|outgoing| match outgoing {
            Outgoing::Pubrel(packet_id) => format!(">{packet_id}"),
            Outgoing::Publish {
                delivery,
                packet_id,
                is_again,
            } => {
                let payload = String::from_utf8_lossy(delivery.message.payload.as_slice());
                let payload = if is_again {
                    payload.to_uppercase()
                } else {
                    payload.into_owned()
                };
                format!("{payload}{packet_id}")
            }
        })
        .collect()
}

#[test]
fn a_full_queue_loses_qos_0_first() {
    let mut contents = contents();
    for _ in 1..MESSAGES {
        assert_eq!(contents.push(delivery(Qos::AtLeastOnce, "a")), None);
    }
    assert_eq!(contents.push(delivery(Qos::AtMostOnce, "queued")), None);
    assert_eq!(
        contents.push(delivery(Qos::AtMostOnce, "not taken")),
        one(Limit::QueueMessages)
    );
    assert_eq!(
        contents.push(delivery(Qos::ExactlyOnce, "in its place")),
        one(Limit::QueueMessages)
    );
    assert_eq!(
        contents.push(delivery(Qos::AtLeastOnce, "not taken")),
        one(Limit::QueueMessages)
    );
    let all = sent(&mut contents, 100);
    assert_eq!(all.len(), MESSAGES);
    assert_eq!(all.last().unwrap(), "in its place11");
}

#[test]
fn bytes_are_bounded_but_one_message_always_fits() {
    let mut contents = contents();
    let large = "x".repeat(BYTES);
    assert_eq!(contents.push(delivery(Qos::AtLeastOnce, &large)), None);
    assert_eq!(
        contents.push(delivery(Qos::AtLeastOnce, "y")),
        one(Limit::QueueBytes)
    );
    assert!(contents.next(1).is_some());
    assert_eq!(contents.push(delivery(Qos::AtLeastOnce, "y")), None);
}

#[test]
fn the_window_bounds_what_is_unacknowledged_and_any_of_it_may_be_done_first() {
    let mut contents = contents();
    for payload in ["a", "b", "c", "d"] {
        contents.push(delivery(Qos::AtLeastOnce, payload));
    }
    assert_eq!(sent(&mut contents, 2), ["a2", "b3"]);
    assert_eq!(contents.done(3), Some(2));
    assert_eq!(contents.done(3), None);
    assert_eq!(sent(&mut contents, 2), ["c4"]);
    assert_eq!(contents.done(2), Some(1));
    assert_eq!(sent(&mut contents, 2), ["d5"]);
    assert_eq!(contents.done(4), Some(3));
    assert_eq!(contents.done(5), Some(4));
    assert_eq!(contents.bytes(), 0);
}

#[test]
fn what_was_under_way_is_sent_again_in_its_order_under_the_same_identifiers() {
    let mut contents = contents();
    contents.push(delivery(Qos::ExactlyOnce, "a"));
    contents.push(delivery(Qos::AtLeastOnce, "b"));
    contents.push(delivery(Qos::ExactlyOnce, "c"));
    contents.push(delivery(Qos::AtLeastOnce, "d"));
    assert_eq!(sent(&mut contents, 3), ["a2", "b3", "c4"]);
    assert_eq!(contents.received(2), Some(1));
    assert_eq!(contents.received(3), None);
    contents.resume();
    assert!(!contents.is_empty());
    assert_eq!(sent(&mut contents, 3), [">2", "B3", "C4"]);
    assert_eq!(contents.done(2), Some(1));
    assert_eq!(sent(&mut contents, 3), ["d5"]);
}

#[test]
fn what_is_acknowledged_while_it_waits_to_be_sent_again_is_not_sent() {
    let mut contents = contents();
    contents.push(delivery(Qos::AtLeastOnce, "a"));
    contents.push(delivery(Qos::AtLeastOnce, "b"));
    assert_eq!(sent(&mut contents, 5), ["a2", "b3"]);
    contents.resume();
    assert_eq!(contents.done(2), Some(1));
    assert_eq!(sent(&mut contents, 5), ["B3"]);
    assert!(contents.is_empty());
}

#[test]
fn a_reserved_place_is_kept() {
    let mut contents = contents();
    let first = delivery(Qos::AtLeastOnce, "a");
    assert_eq!(contents.reserve(&first), (Some(1), None));
    for _ in 1..MESSAGES {
        assert_eq!(contents.push(delivery(Qos::AtLeastOnce, "b")), None);
    }
    assert_eq!(
        contents.push(delivery(Qos::AtLeastOnce, "c")),
        one(Limit::QueueMessages)
    );
    assert_eq!(contents.reserve(&first), (None, one(Limit::QueueMessages)));
    contents.push_reserved(1, first);
    assert_eq!(sent(&mut contents, 100).len(), MESSAGES);
}

#[test]
fn what_is_read_from_the_store_goes_on_where_it_stood() {
    let mut contents = contents();
    contents.restore(70_000, delivery(Qos::ExactlyOnce, "a"), true, true);
    contents.restore(70_001, delivery(Qos::AtLeastOnce, "b"), true, false);
    contents.restore(70_002, delivery(Qos::AtLeastOnce, "c"), false, false);
    contents.resume();
    contents.push(delivery(Qos::AtLeastOnce, "d"));
    assert_eq!(
        sent(&mut contents, 10),
        [">4466", "B4467", "c4468", "d4469"]
    );
    assert_eq!(contents.sent_upto(), 70_003);
}

#[test]
fn an_identifier_that_is_under_way_is_not_used_again() {
    let mut contents = contents();
    contents.push(delivery(Qos::AtLeastOnce, "first"));
    assert_eq!(sent(&mut contents, 2), ["first2"]);
    for _ in 1..PACKET_IDS {
        contents.push(delivery(Qos::AtLeastOnce, "x"));
        let packet_id = packet_id_of(contents.last_seq);
        assert_eq!(sent(&mut contents, 2).len(), 1);
        assert!(contents.done(packet_id).is_some());
    }
    contents.push(delivery(Qos::AtLeastOnce, "y"));
    assert_eq!(sent(&mut contents, 2), Vec::<String>::new());
    assert!(contents.done(2).is_some());
    assert_eq!(sent(&mut contents, 2), ["y2"]);
}

#[test]
fn what_a_client_may_have_got_with_qos_2_goes_to_nobody_else() {
    let mut contents = contents();
    contents.push(delivery(Qos::ExactlyOnce, "a"));
    contents.push(delivery(Qos::AtLeastOnce, "b"));
    contents.push(delivery(Qos::ExactlyOnce, "c"));
    assert_eq!(sent(&mut contents, 2).len(), 2);
    let left: Vec<Qos> = contents.take_undelivered().iter().map(|d| d.qos).collect();
    assert_eq!(left, [Qos::AtLeastOnce, Qos::ExactlyOnce]);
    assert_eq!(contents.bytes(), 0);
}

#[test]
fn what_is_sent_again_keeps_to_the_window_of_the_new_connection() {
    let mut contents = contents();
    for (qos, payload) in [
        (Qos::ExactlyOnce, "a"),
        (Qos::AtLeastOnce, "b"),
        (Qos::AtLeastOnce, "c"),
    ] {
        contents.push(delivery(qos, payload));
    }
    assert_eq!(sent(&mut contents, 3).len(), 3);
    contents.resume();
    assert_eq!(sent(&mut contents, 1), ["A2"]);
    assert_eq!(contents.received(2), Some(1));
    assert_eq!(contents.done(2), Some(1));
    assert_eq!(sent(&mut contents, 1), ["B3"]);
    contents.resume();
    assert_eq!(sent(&mut contents, 2), ["B3", "C4"]);
}

#[test]
fn what_has_room_is_what_is_taken() {
    let size = delivery(Qos::AtLeastOnce, "").message.size();
    let mut contents = contents();
    for _ in 0..MESSAGES - 1 {
        assert_eq!(contents.push(delivery(Qos::AtLeastOnce, "")), None);
    }
    assert!(contents.has_room_for(Qos::AtMostOnce, size));
    assert_eq!(contents.push(delivery(Qos::AtMostOnce, "")), None);
    assert!(!contents.has_room_for(Qos::AtMostOnce, size));
    assert!(contents.has_room_for(Qos::AtLeastOnce, size), "QoS 0 goes");
    assert!(!contents.has_room_for(Qos::AtLeastOnce, BYTES));
    assert!(contents.push(delivery(Qos::AtLeastOnce, "")).is_some());
    assert!(!contents.has_room_for(Qos::AtLeastOnce, size));
}
