use std::time::{Duration, Instant};

use super::*;
use crate::broker::queue::Outgoing;
use crate::broker::subscribe::{Entry, Granted, Removed, Retained};
use crate::clock;
use crate::domain::message::{Properties, Will};
use crate::domain::subscription::SubscriptionOptions;
use crate::domain::timestamp::Timestamp;
use crate::domain::topic::TopicName;
use crate::ingest::Retention;
use crate::store::sessions::{
    BrokerState, Change, StoredRetained, StoredSession, StoredSubscription,
};

fn hub() -> Arc<Hub> {
    Arc::new(Hub::new(&Limits::default(), Arc::default()))
}

fn newcomer(client_id: &str) -> Newcomer {
    Newcomer {
        client_id: client_id.into(),
        user: None,
        is_clean: true,
        expiry: 0,
        will: None,
    }
}

fn arrive(hub: &Arc<Hub>, newcomer: &Newcomer) -> Arrival {
    match hub.join(newcomer, None) {
        Joined::In(arrival) => *arrival,
        other => panic!("{other:?}"),
    }
}

fn join(hub: &Arc<Hub>, client_id: &str) -> Member {
    arrive(hub, &newcomer(client_id)).member
}

/// A session that outlives its connection.
fn stay(hub: &Arc<Hub>, client_id: &str) -> Arrival {
    let newcomer = Newcomer {
        is_clean: false,
        expiry: 60,
        ..newcomer(client_id)
    };
    arrive(hub, &newcomer)
}

/// As the committer does it.
fn publish(hub: &Arc<Hub>, message: Message) -> Routed {
    let message = Arc::new(message);
    let routed = hub.route(&message);
    let copy = Routed {
        retention: routed.retention,
        queued: routed.queued.clone(),
        chosen: routed.chosen.clone(),
    };
    Outlet::publish(hub, message, routed);
    copy
}

fn message(topic: &str, qos: Qos, retain: bool, payload: &str) -> Message {
    Message {
        topic: TopicName::new(topic).unwrap(),
        payload: payload.as_bytes().to_vec().into(),
        qos,
        retain,
        received_at: clock::now(),
        publisher: "publisher".into(),
        properties: None,
    }
}

fn entry(filter: &str, qos: Qos) -> Entry {
    Entry {
        interest: Interest::new(filter),
        options: SubscriptionOptions {
            qos,
            no_local: false,
            retain_as_published: false,
            id: None,
        },
        retained: Retained::Send,
    }
}

fn stored_subscription(options: SubscriptionOptions) -> StoredSubscription {
    StoredSubscription {
        interest: Interest::new("t").unwrap(),
        options,
        retained: StoredRetained::None,
    }
}

/// Takes all that waits, retained messages too.
fn drain_all(hub: &Hub, member: &mut Member) -> Vec<(String, Qos, bool, Vec<u32>)> {
    let mut all = drain(member);
    loop {
        let is_more = hub.send_retained(member).is_more;
        all.extend(drain(member));
        if !is_more {
            return all;
        }
    }
}

fn drain(member: &Member) -> Vec<(String, Qos, bool, Vec<u32>)> {
    let mut all = Vec::new();
    while let Some(outgoing) = member.queue.next(1) {
        let Outgoing::Publish {
            delivery: d,
            packet_id,
            ..
        } = outgoing
        else {
            panic!("nothing was received");
        };
        let payload = String::from_utf8_lossy(d.message.payload.as_slice()).into_owned();
        all.push((payload, d.qos, d.retain, d.subscription_ids));
        if d.qos != Qos::AtMostOnce {
            member.queue.done(packet_id).unwrap();
        }
    }
    all
}

fn payloads(member: &Member) -> Vec<String> {
    drain(member)
        .into_iter()
        .map(|(payload, ..)| payload)
        .collect()
}

#[test]
fn overlapping_subscriptions_get_one_copy_with_the_best_qos() {
    let hub = hub();
    let mut member = join(&hub, "c");
    let mut first = entry("a/#", Qos::AtMostOnce);
    first.options.id = Some(1);
    let mut second = entry("a/b", Qos::AtLeastOnce);
    second.options.id = Some(2);
    assert_eq!(
        hub.subscribe(&mut member, &first),
        Granted::Yes(Qos::AtMostOnce)
    );
    assert_eq!(
        hub.subscribe(&mut member, &second),
        Granted::Yes(Qos::AtLeastOnce)
    );
    publish(&hub, message("a/b", Qos::ExactlyOnce, false, "x"));
    let mut delivered = drain(&member);
    delivered[0].3.sort_unstable();
    assert_eq!(
        delivered,
        [("x".to_owned(), Qos::AtLeastOnce, false, vec![1, 2])]
    );
}

#[test]
fn qos_is_the_lesser_of_publish_and_subscription() {
    let hub = hub();
    let mut member = join(&hub, "c");
    hub.subscribe(&mut member, &entry("t", Qos::ExactlyOnce));
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        publish(&hub, message("t", qos, false, ""));
        assert_eq!(drain(&member)[0].1, qos);
    }
}

#[test]
fn retained_messages_reach_newcomers_until_they_are_cleared() {
    let hub = hub();
    publish(&hub, message("t/1", Qos::AtLeastOnce, true, "old"));
    publish(&hub, message("t/1", Qos::AtLeastOnce, true, "new"));
    let mut member = join(&hub, "c");
    let new = [("new".to_owned(), Qos::AtLeastOnce, true, vec![])];
    for filter in ["t/+", "t/1", "t/#", "#", "t/1/#", "+/1"] {
        hub.subscribe(&mut member, &entry(filter, Qos::AtLeastOnce));
        assert_eq!(drain_all(&hub, &mut member), new, "{filter}");
    }
    let mut again = entry("t/+", Qos::AtLeastOnce);
    again.retained = Retained::SendIfNew;
    hub.subscribe(&mut member, &again);
    assert_eq!(drain_all(&hub, &mut member), []);
    publish(&hub, message("t/1", Qos::AtLeastOnce, true, ""));
    let clearing = drain_all(&hub, &mut member);
    assert_eq!(
        clearing.len(),
        1,
        "the clearing message itself is delivered"
    );
    hub.subscribe(&mut member, &entry("t/+", Qos::AtLeastOnce));
    assert_eq!(drain_all(&hub, &mut member), []);
}

#[test]
fn more_retained_messages_than_a_queue_holds_all_arrive_once() {
    let hub = hub();
    for number in 0..3000 {
        publish(
            &hub,
            message(&format!("a/{number}"), Qos::AtLeastOnce, true, "x"),
        );
        publish(
            &hub,
            message(&format!("b/{number}"), Qos::AtLeastOnce, true, "x"),
        );
    }
    let mut member = join(&hub, "c");
    for filter in ["a/+", "a/+", "+/7"] {
        hub.subscribe(&mut member, &entry(filter, Qos::AtLeastOnce));
    }
    assert_eq!(drain_all(&hub, &mut member).len(), 3002);
}

#[test]
fn no_local_keeps_a_clients_own_messages_from_it() {
    let hub = hub();
    let mut member = join(&hub, "publisher");
    let mut own = entry("t", Qos::AtMostOnce);
    own.options.no_local = true;
    hub.subscribe(&mut member, &own);
    publish(&hub, message("t", Qos::AtMostOnce, false, "x"));
    assert_eq!(drain(&member), []);
}

#[test]
fn a_takeover_waits_for_the_former_connection_or_is_forced() {
    let hub = hub();
    let old = join(&hub, "c");
    let Joined::Occupied(session, queue) = hub.join(&newcomer("c"), None) else {
        panic!("the place is taken");
    };
    assert!(Arc::ptr_eq(&queue, &old.queue));
    let Joined::In(new) = hub.join(&newcomer("c"), Some(session)) else {
        panic!("it is forced");
    };
    drop(old);
    assert!(matches!(
        hub.join(&newcomer("c"), None),
        Joined::Occupied(..)
    ));
    drop(new);
    join(&hub, "c");
}

#[test]
fn who_left_or_unsubscribed_gets_nothing() {
    let hub = hub();
    let mut member = join(&hub, "c");
    hub.subscribe(&mut member, &entry("a", Qos::AtMostOnce));
    hub.subscribe(&mut member, &entry("b", Qos::AtMostOnce));
    assert_eq!(
        hub.unsubscribe(&mut member, &Interest::new("a")),
        Removed::Yes
    );
    assert_eq!(
        hub.unsubscribe(&mut member, &Interest::new("a")),
        Removed::NoneExisted
    );
    hub.leave(&mut member, None);
    assert!(!hub.has_subscribers());
    publish(&hub, message("b", Qos::AtMostOnce, false, ""));
    assert_eq!(drain(&member), []);
}

#[test]
fn subscriptions_of_a_session_are_bounded() {
    let hub = hub();
    let mut member = join(&hub, "c");
    for number in 0..Limits::default().subscriptions {
        hub.subscribe(&mut member, &entry(&format!("t/{number}"), Qos::AtMostOnce));
    }
    let refused = hub.subscribe(&mut member, &entry("one/more", Qos::AtMostOnce));
    assert_eq!(refused, Granted::QuotaExceeded);
    let again = hub.subscribe(&mut member, &entry("t/0", Qos::AtLeastOnce));
    assert_eq!(again, Granted::Yes(Qos::AtLeastOnce));
}

#[test]
fn a_session_that_outlives_its_connection_is_taken_up_with_what_it_missed() {
    let hub = hub();
    let Arrival {
        mut member,
        is_present,
        changes,
        ..
    } = stay(&hub, "c");
    assert!(!is_present && matches!(changes[..], [Change::Open { .. }]));
    hub.subscribe(&mut member, &entry("t", Qos::AtLeastOnce));
    drop(member);
    assert!(hub.must_store(&message("t", Qos::AtLeastOnce, false, "")));
    assert!(!hub.must_store(&message("t", Qos::AtMostOnce, false, "")));
    assert!(!hub.must_store(&message("u", Qos::AtLeastOnce, false, "")));
    let routed = publish(&hub, message("t", Qos::AtLeastOnce, false, "missed"));
    assert_eq!(routed.queued.len(), 1);
    publish(&hub, message("t", Qos::AtMostOnce, false, "of QoS 0"));
    let again = stay(&hub, "c");
    assert!(again.is_present);
    assert_eq!(payloads(&again.member), ["missed"]);
    drop(again);
    let clean = arrive(&hub, &newcomer("c"));
    assert!(!clean.is_present && matches!(clean.changes[..], [Change::End { .. }]));
    assert!(!hub.has_subscribers());
    assert_eq!(hub.stored_count(), 0);
}

#[test]
fn the_end_of_a_connection_is_not_that_of_the_next_one_of_its_session() {
    let hub = hub();
    let mut first = stay(&hub, "c").member;
    let gone = first.queue.gone();
    hub.leave(&mut first, None);
    let second = stay(&hub, "c").member;
    drop(first);
    assert!(gone.is_cancelled());
    assert!(!second.queue.gone().is_cancelled());
    let gone = second.queue.gone();
    drop(second);
    assert!(gone.is_cancelled());
}

#[test]
fn a_session_is_its_users_own() {
    let hub = hub();
    drop(stay(&hub, "c"));
    let other = Newcomer {
        user: Some("eve".into()),
        is_clean: false,
        ..newcomer("c")
    };
    assert!(!arrive(&hub, &other).is_present);
}

#[test]
fn what_was_stored_is_taken_up_after_a_restart() {
    let hub = hub();
    let delivery = |payload| Delivery {
        message: Arc::new(message("t", Qos::ExactlyOnce, false, payload)),
        qos: Qos::ExactlyOnce,
        retain: false,
        subscription_ids: vec![],
        shared: None,
    };
    let options = entry("t", Qos::ExactlyOnce).options;
    hub.restore(BrokerState {
        sessions: vec![StoredSession {
            session: 41,
            client_id: "c".into(),
            user: None,
            expiry: 60,
            left_at: Some(clock::now()),
            sent_upto: 2,
            will: None,
            subscriptions: vec![stored_subscription(options)],
            queued: vec![
                (1, true, delivery("received")),
                (2, false, delivery("sent")),
                (3, false, delivery("waiting")),
            ],
            exchanges: vec![9],
        }],
        retained: vec![message("r", Qos::AtLeastOnce, true, "kept")],
    });
    assert_eq!((hub.retained_count(), hub.subscription_count()), (1, 1));
    let Arrival {
        member, is_present, ..
    } = stay(&hub, "c");
    assert!(is_present && member.session == 41);
    let sent: Vec<_> = std::iter::from_fn(|| member.queue.next(10)).collect();
    assert!(
        matches!(
            sent[..],
            [
                Outgoing::Pubrel(2),
                Outgoing::Publish {
                    packet_id: 3,
                    is_again: true,
                    ..
                },
                Outgoing::Publish {
                    packet_id: 4,
                    is_again: false,
                    ..
                },
            ]
        ),
        "{sent:?}"
    );
    assert_eq!(join(&hub, "other").session, 42);
}

#[test]
fn a_session_ends_when_its_time_is_over_and_its_will_with_it() {
    let hub = hub();
    let stored = |client_id: &str, waited: u64, will_delay| StoredSession {
        session: 1,
        client_id: client_id.into(),
        user: None,
        expiry: 60,
        left_at: Some(Timestamp::from_millis(
            clock::now().millis() - waited as i64 * 1000,
        )),
        sent_upto: 0,
        will: Some(Will {
            message: message("w", Qos::AtLeastOnce, false, client_id),
            delay: will_delay,
        }),
        subscriptions: vec![],
        queued: vec![],
        exchanges: vec![],
    };
    let mut state = BrokerState::default();
    for (at, (client_id, waited, delay)) in
        [("over", 61, 1000), ("waits", 10, 1000), ("due", 10, 5)]
            .into_iter()
            .enumerate()
    {
        state.sessions.push(StoredSession {
            session: at as i64,
            ..stored(client_id, waited, delay)
        });
    }
    hub.restore(state);
    let (mut changes, mut wills) = (Vec::new(), Vec::new());
    while hub.expire(|more, will| {
        changes.extend(more);
        wills.extend(will);
    }) {}
    let mut wills: Vec<_> = wills
        .iter()
        .map(|will| String::from_utf8_lossy(will.message.payload.as_slice()).into_owned())
        .collect();
    wills.sort_unstable();
    assert_eq!(wills, ["due", "over"]);
    assert_eq!(changes.len(), 2, "{changes:?}");
    assert!(!stay(&hub, "over").is_present);
    assert!(stay(&hub, "waits").is_present);
    assert!(stay(&hub, "due").is_present);
}

#[test]
fn a_session_that_was_to_end_with_its_connection_ends_after_a_kill() {
    let hub = hub();
    let stored = StoredSession {
        session: 7,
        client_id: "c".into(),
        user: None,
        expiry: 0,
        left_at: None,
        sent_upto: 0,
        will: Some(Will {
            message: message("w", Qos::AtLeastOnce, false, ""),
            delay: 60,
        }),
        subscriptions: vec![stored_subscription(entry("t", Qos::AtLeastOnce).options)],
        queued: vec![],
        exchanges: vec![],
    };
    hub.restore(BrokerState {
        sessions: vec![stored],
        ..BrokerState::default()
    });
    let (mut changes, mut wills) = (Vec::new(), Vec::new());
    assert!(hub.expire(|more, will| {
        changes.extend(more);
        wills.extend(will);
    }));
    assert_eq!(wills.len(), 1);
    let last = changes.last();
    assert!(
        matches!(last, Some(Change::End { session: 7 })),
        "{changes:?}"
    );
    assert_eq!((hub.stored_count(), hub.subscription_count()), (0, 0));
}

#[test]
fn a_group_gets_each_message_once_whether_its_members_are_stored_or_not() {
    let hub = hub();
    let mut plain = join(&hub, "plain");
    let mut stored = stay(&hub, "stored").member;
    let shared = entry("$share/g/t", Qos::AtLeastOnce);
    hub.subscribe(&mut plain, &shared);
    hub.subscribe(&mut stored, &shared);
    let mut rows = 0;
    for number in 0..10 {
        let sent = message("t", Qos::AtLeastOnce, false, &number.to_string());
        rows += publish(&hub, sent).queued.len();
    }
    let (of_plain, of_stored) = (payloads(&plain), payloads(&stored));
    assert_eq!((of_plain.len(), of_stored.len(), rows), (5, 5, 5));
    drop(plain);
    drop(stored);
    publish(&hub, message("t", Qos::AtLeastOnce, false, "late"));
    assert_eq!(payloads(&stay(&hub, "stored").member), ["late"]);
}

#[test]
fn what_a_member_of_a_group_left_behind_goes_to_another() {
    let hub = hub();
    let shared = entry("$share/g/t", Qos::AtLeastOnce);
    let mut first = join(&hub, "first");
    hub.subscribe(&mut first, &shared);
    for payload in ["a", "b"] {
        publish(&hub, message("t", Qos::AtLeastOnce, false, payload));
    }
    assert!(first.queue.next(1).is_some());
    let mut second = join(&hub, "second");
    hub.subscribe(&mut second, &shared);
    drop(first);
    assert_eq!(payloads(&second), ["a", "b"]);
}

#[test]
fn sessions_that_outlive_their_connections_are_bounded() {
    let limits = Limits {
        sessions: 1,
        ..Limits::default()
    };
    let hub = Arc::new(Hub::new(&limits, Arc::default()));
    drop(stay(&hub, "c"));
    let another = Newcomer {
        expiry: 60,
        ..newcomer("another")
    };
    assert!(matches!(hub.join(&another, None), Joined::TooMany));
    assert!(stay(&hub, "c").is_present);
    join(&hub, "plain");
}

#[test]
fn what_one_commit_brings_keeps_to_the_bounds_of_retained_messages() {
    let size = message("t/1", Qos::AtLeastOnce, true, "x").size();
    for (retained_messages, retained_bytes) in [(2, 1 << 20), (100, 2 * size)] {
        let limits = Limits {
            retained_messages,
            retained_bytes,
            ..Limits::default()
        };
        let hub = Arc::new(Hub::new(&limits, Arc::default()));
        let mut routed = Vec::new();
        let mut route = |topic, payload| {
            let message = Arc::new(message(topic, Qos::AtLeastOnce, true, payload));
            let promised = hub.route(&message);
            let retention = promised.retention;
            routed.push((message, promised));
            retention
        };
        assert_eq!(route("t/1", "a"), Retention::Keep);
        assert_eq!(route("t/2", "b"), Retention::Keep);
        assert_eq!(route("t/3", "c"), Retention::Forget, "there is no room");
        assert_eq!(route("t/1", "d"), Retention::Keep, "in its own place");
        assert_eq!(route("t/2", ""), Retention::Forget, "it is cleared");
        assert_eq!(route("t/3", "e"), Retention::Keep, "in the place of that");
        assert_eq!(route("t/4", "f"), Retention::Forget);
        assert!(!hub.can_retain(&message("t/2", Qos::AtLeastOnce, true, "g")));
        for (message, routed) in routed {
            Outlet::publish(&hub, message, routed);
        }
        let mut member = join(&hub, "c");
        hub.subscribe(&mut member, &entry("#", Qos::AtLeastOnce));
        let kept: Vec<_> = drain_all(&hub, &mut member)
            .into_iter()
            .map(|m| m.0)
            .collect();
        assert_eq!(kept, ["d", "e"]);
        assert_eq!(
            hub.route(&Arc::new(message("t/3", Qos::AtLeastOnce, true, "")))
                .retention,
            Retention::Forget
        );
        assert!(hub.can_retain(&message("t/2", Qos::AtLeastOnce, true, "g")));
    }
}

#[test]
fn an_expired_retained_message_is_forgotten_and_never_a_newer_one() {
    let hub = hub();
    let brief = |payload| expiring(message("t", Qos::AtLeastOnce, true, payload), 0);
    let newer = || message("t", Qos::AtLeastOnce, true, "newer");
    let mut watcher = stay(&hub, "watcher").member;
    hub.subscribe(&mut watcher, &entry("t", Qos::AtLeastOnce));
    let note = |hub: &Hub| {
        let (mut notes, next) = hub.expired_retained(None);
        assert!(next.is_none());
        notes.pop().map(Arc::new)
    };
    publish(&hub, brief("old"));
    publish(&hub, message("u", Qos::AtLeastOnce, true, "without an end"));
    // What the committer gets in this order is published in this order.
    let in_order = |messages: Vec<Arc<Message>>| {
        let routed: Vec<_> = messages.into_iter().map(|m| (hub.route(&m), m)).collect();
        for (routed, message) in routed {
            Outlet::publish(&hub, message, routed);
        }
    };
    let late = note(&hub).unwrap();
    in_order(vec![Arc::new(newer()), late]);
    assert_eq!(hub.retained_count(), 2);
    publish(&hub, brief("old"));
    let early = note(&hub).unwrap();
    in_order(vec![early, Arc::new(newer())]);
    assert_eq!(hub.retained_count(), 2);
    assert!(note(&hub).is_none());
    publish(&hub, brief("old"));
    let (once, again) = (note(&hub).unwrap(), note(&hub).unwrap());
    in_order(vec![once, again]);
    assert_eq!(hub.retained_count(), 1);
    assert_eq!(payloads(&watcher), ["old", "newer", "old", "newer", "old"]);
}

#[test]
fn a_member_of_a_group_whose_queue_is_full_is_passed_over() {
    let limits = Limits {
        queue_messages: 3,
        ..Limits::default()
    };
    let metrics = Arc::<Metrics>::default();
    let hub = Arc::new(Hub::new(&limits, Arc::clone(&metrics)));
    let [mut first, mut second] = ["first", "second"].map(|name| stay(&hub, name).member);
    for member in [&mut first, &mut second] {
        hub.subscribe(member, &entry("$share/g/t", Qos::AtLeastOnce));
    }
    hub.subscribe(&mut first, &entry("first", Qos::AtLeastOnce));
    for _ in 0..3 {
        publish(&hub, message("first", Qos::AtLeastOnce, false, "own"));
    }
    let send = |payload| publish(&hub, message("t", Qos::AtLeastOnce, false, payload));
    let rows: usize = ["a", "b", "c"]
        .map(|payload| send(payload).queued.len())
        .iter()
        .sum();
    assert_eq!(rows, 3);
    let dropped = || {
        metrics
            .mqtt_dropped
            .with_label_values(&["queue_full"])
            .get()
    };
    assert_eq!(dropped(), 0);
    // Who is connected goes before who is away, but not if there is room only there.
    assert_eq!(payloads(&second), ["a", "b", "c"]);
    drop(second);
    assert_eq!(send("d").queued.len(), 1);
    assert_eq!(payloads(&first), ["own", "own", "own"]);
    assert_eq!(send("e").queued.len(), 1);
    assert_eq!(payloads(&first), ["e"]);
    drop(first);
    for payload in ["f", "g", "h", "i", "j"] {
        assert_eq!(send(payload).queued.len(), 1);
    }
    assert_eq!(send("k").queued.len(), 0, "both are full");
    assert_eq!(dropped(), 1);
}

fn expiring(message: Message, seconds: u32) -> Message {
    let properties = Properties {
        message_expiry: Some(seconds),
        ..Properties::default()
    };
    let mut message = Message {
        properties: Some(Arc::new(properties)),
        ..message
    };
    message.count_expiry(Instant::now(), Duration::ZERO);
    message
}

#[test]
fn a_step_of_the_wall_clock_does_not_expire_a_message() {
    let hub = hub();
    for (topic, received_at, seconds) in [
        ("t/before", Timestamp::MIN, 1000),
        ("t/behind", Timestamp::MAX, 1000),
        ("t/over", Timestamp::MAX, 0),
    ] {
        let sent = Message {
            received_at,
            ..message(topic, Qos::AtMostOnce, true, topic)
        };
        publish(&hub, expiring(sent, seconds));
    }
    let mut member = join(&hub, "c");
    hub.subscribe(&mut member, &entry("#", Qos::AtLeastOnce));
    let found: Vec<_> = drain_all(&hub, &mut member)
        .into_iter()
        .map(|m| m.0)
        .collect();
    assert_eq!(found, ["t/before", "t/behind"]);
    let (notes, _) = hub.expired_retained(None);
    let topics: Vec<_> = notes.iter().map(|note| note.topic.as_str()).collect();
    assert_eq!(topics, ["t/over"]);
}

#[test]
fn what_a_session_takes_is_the_same_after_a_restart() {
    let will = Will {
        message: message("w", Qos::AtLeastOnce, false, "will"),
        delay: 60,
    };
    let before = hub();
    let newcomer = Newcomer {
        is_clean: false,
        expiry: 60,
        will: Some(will.clone()),
        ..newcomer("c")
    };
    let mut member = arrive(&before, &newcomer).member;
    let filter = entry("t", Qos::AtLeastOnce);
    before.subscribe(&mut member, &filter);
    before.leave(&mut member, Some(will.clone()));
    let mut queued = publish(&before, message("t", Qos::AtLeastOnce, false, "x")).queued;
    let delivery = queued.pop().unwrap().delivery;
    let after = hub();
    after.restore(BrokerState {
        sessions: vec![StoredSession {
            session: 1,
            client_id: "c".into(),
            user: None,
            expiry: 60,
            left_at: Some(clock::now()),
            sent_upto: 0,
            will: Some(will),
            subscriptions: vec![stored_subscription(filter.options)],
            queued: vec![(1, false, delivery)],
            exchanges: vec![],
        }],
        ..BrokerState::default()
    });
    assert_eq!(after.stored_bytes(), before.stored_bytes());
    for hub in [before, after] {
        assert!(!arrive(&hub, &self::newcomer("c")).is_present);
        assert_eq!(hub.stored_bytes(), 0);
    }
}

#[test]
fn what_comes_behind_the_end_of_a_session_is_not_stored() {
    let hub = hub();
    let session = 99;
    let handed_over = |changes: Vec<Change>| {
        hub.owe(changes);
        let mut all = Vec::new();
        assert!(hub.expire(|changes, _| all = changes));
        assert!(!hub.has_expired());
        all
    };
    assert!(handed_over(vec![Change::Done { session, seq: 1 }]).is_empty());
    let behind = vec![Change::End { session }, Change::Done { session, seq: 1 }];
    let [Change::End { session: 99 }] = handed_over(behind)[..] else {
        panic!("the end itself is stored");
    };
}
