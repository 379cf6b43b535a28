use super::*;
use crate::domain::topic::TopicName;

fn hub() -> Arc<Hub> {
    Arc::new(Hub::new(&Limits::default(), Arc::default()))
}

fn join(hub: &Arc<Hub>, client_id: &str) -> Member {
    hub.join(client_id.into()).0
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
        filter: TopicFilter::new(filter),
        options: SubscriptionOptions {
            qos,
            no_local: false,
            retain_as_published: false,
            id: None,
        },
        retained: Retained::Send,
        is_shared: false,
    }
}

/// Takes all that waits, retained messages too.
fn drain_all(hub: &Hub, member: &mut Member) -> Vec<(String, Qos, bool, Vec<u32>)> {
    let mut all = drain(member);
    loop {
        let is_more = hub.send_retained(member);
        all.extend(drain(member));
        if !is_more {
            return all;
        }
    }
}

fn drain(member: &Member) -> Vec<(String, Qos, bool, Vec<u32>)> {
    std::iter::from_fn(|| member.queue.pop(|_| true))
        .map(|d| {
            let payload = String::from_utf8_lossy(d.message.payload.as_slice()).into_owned();
            (payload, d.qos, d.retain, d.subscription_ids)
        })
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
        hub.subscribe(&mut member, first),
        Granted::Yes(Qos::AtMostOnce)
    );
    assert_eq!(
        hub.subscribe(&mut member, second),
        Granted::Yes(Qos::AtLeastOnce)
    );
    hub.publish(message("a/b", Qos::ExactlyOnce, false, "x"))
        .unwrap();
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
    hub.subscribe(&mut member, entry("t", Qos::ExactlyOnce));
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        hub.publish(message("t", qos, false, "")).unwrap();
        assert_eq!(drain(&member)[0].1, qos);
    }
}

#[test]
fn retained_messages_reach_newcomers_until_they_are_cleared() {
    let hub = hub();
    hub.publish(message("t/1", Qos::AtLeastOnce, true, "old"))
        .unwrap();
    hub.publish(message("t/1", Qos::AtLeastOnce, true, "new"))
        .unwrap();
    let mut member = join(&hub, "c");
    let new = [("new".to_owned(), Qos::AtLeastOnce, true, vec![])];
    for filter in ["t/+", "t/1", "t/#", "#", "t/1/#", "+/1"] {
        hub.subscribe(&mut member, entry(filter, Qos::AtLeastOnce));
        assert_eq!(drain_all(&hub, &mut member), new, "{filter}");
    }
    let mut again = entry("t/+", Qos::AtLeastOnce);
    again.retained = Retained::SendIfNew;
    hub.subscribe(&mut member, again);
    assert_eq!(drain_all(&hub, &mut member), []);
    hub.publish(message("t/1", Qos::AtLeastOnce, true, ""))
        .unwrap();
    let clearing = drain_all(&hub, &mut member);
    assert_eq!(
        clearing.len(),
        1,
        "the clearing message itself is delivered"
    );
    hub.subscribe(&mut member, entry("t/+", Qos::AtLeastOnce));
    assert_eq!(drain_all(&hub, &mut member), []);
}

#[test]
fn more_retained_messages_than_a_queue_holds_all_arrive_once() {
    let hub = hub();
    for number in 0..3000 {
        hub.publish(message(&format!("a/{number}"), Qos::AtLeastOnce, true, "x"))
            .unwrap();
        hub.publish(message(&format!("b/{number}"), Qos::AtLeastOnce, true, "x"))
            .unwrap();
    }
    let mut member = join(&hub, "c");
    for filter in ["a/+", "a/+", "+/7"] {
        hub.subscribe(&mut member, entry(filter, Qos::AtLeastOnce));
    }
    assert_eq!(drain_all(&hub, &mut member).len(), 3002);
}

#[test]
fn no_local_keeps_a_clients_own_messages_from_it() {
    let hub = hub();
    let mut member = join(&hub, "publisher");
    let mut own = entry("t", Qos::AtMostOnce);
    own.options.no_local = true;
    hub.subscribe(&mut member, own);
    hub.publish(message("t", Qos::AtMostOnce, false, "x"))
        .unwrap();
    assert_eq!(drain(&member), []);
}

#[test]
fn a_takeover_leaves_the_newcomer_in_its_place() {
    let hub = hub();
    let mut old = join(&hub, "c");
    let new = join(&hub, "c");
    assert!(old.queue.is_taken_over());
    hub.leave(&mut old);
    let third = join(&hub, "c");
    assert!(new.queue.is_taken_over() && !third.queue.is_taken_over());
}

#[test]
fn who_left_or_unsubscribed_gets_nothing() {
    let hub = hub();
    let mut member = join(&hub, "c");
    hub.subscribe(&mut member, entry("a", Qos::AtMostOnce));
    hub.subscribe(&mut member, entry("b", Qos::AtMostOnce));
    assert_eq!(
        hub.unsubscribe(&mut member, TopicFilter::new("a")),
        Removed::Yes
    );
    assert_eq!(
        hub.unsubscribe(&mut member, TopicFilter::new("a")),
        Removed::NoneExisted
    );
    hub.leave(&mut member);
    assert!(!hub.has_subscribers());
    hub.publish(message("b", Qos::AtMostOnce, false, ""))
        .unwrap();
    assert_eq!(drain(&member), []);
}

#[test]
fn subscriptions_of_a_session_are_bounded() {
    let hub = hub();
    let mut member = join(&hub, "c");
    for number in 0..Limits::default().subscriptions {
        hub.subscribe(&mut member, entry(&format!("t/{number}"), Qos::AtMostOnce));
    }
    let refused = hub.subscribe(&mut member, entry("one/more", Qos::AtMostOnce));
    assert_eq!(refused, Granted::QuotaExceeded);
    let again = hub.subscribe(&mut member, entry("t/0", Qos::AtLeastOnce));
    assert_eq!(again, Granted::Yes(Qos::AtLeastOnce));
}
