//! Shared subscriptions: each message goes to one member of a group.

use super::serve;
use crate::support::Gateway;
use crate::support::frames::{BOTH, Connect, Publish, V5, V311, disconnect};
use crate::support::properties::{Property, SESSION_EXPIRY};
use crate::support::raw::Raw;

fn publish(gateway: &Gateway<'_>, topic: &str, numbers: std::ops::Range<u32>, qos: u8) {
    let mut publisher = Raw::connect(gateway, V5, "publisher");
    for number in numbers {
        publisher.publish(Publish::new(topic, number.to_string()).qos(qos, 0));
    }
}

fn numbers(client: &mut Raw) -> Vec<u32> {
    let found = client.messages();
    found.iter().map(|m| m.text().parse().unwrap()).collect()
}

#[test]
fn a_group_gets_each_message_once_and_everybody_else_too() {
    serve(|gateway| {
        let mut group = [V311, V5, V5].map(|version| {
            let mut client = Raw::connect(gateway, version, "");
            assert_eq!(client.subscribe("$share/g/a/+", 1), 1);
            client
        });
        let mut other = Raw::connect(gateway, V5, "other");
        other.subscribe("$share/other/a/#", 0);
        let mut plain = Raw::connect(gateway, V5, "plain");
        plain.subscribe("a/1", 2);
        publish(gateway, "a/1", 0..30, 1);
        let mut shared = Vec::new();
        for client in &mut group {
            let found = numbers(client);
            assert_eq!(found.len(), 10, "they take turns");
            shared.extend(found);
        }
        shared.sort_unstable();
        let all: Vec<u32> = (0..30).collect();
        assert_eq!(shared, all);
        assert_eq!(numbers(&mut other), all);
        assert_eq!(numbers(&mut plain), all);
    });
}

#[test]
fn a_member_that_leaves_with_messages_unacknowledged_leaves_them_to_the_others() {
    serve(|gateway| {
        for version in BOTH {
            let mut first = Raw::connect(gateway, version, "first");
            first.subscribe("$share/g/a", 1);
            publish(gateway, "a", 0..3, 1);
            first.unacknowledged();
            let mut second = Raw::connect(gateway, version, "second");
            second.subscribe("$share/g/a", 1);
            first.shut_down();
            first.rest();
            assert_eq!(numbers(&mut second), [0, 1, 2]);
            publish(gateway, "a", 3..5, 1);
            assert_eq!(numbers(&mut second), [3, 4]);
            assert_eq!(second.unsubscribe("$share/g/a"), 0);
            publish(gateway, "a", 5..6, 1);
            assert_eq!(numbers(&mut second).len(), 0);
        }
    });
}

#[test]
fn a_member_with_several_shared_filters_and_a_session_keeps_what_it_was_given() {
    serve(|gateway| {
        let connect = Connect {
            is_clean: false,
            ..Connect::new(V5, "member")
        };
        let connect = connect.with(Property::Four(SESSION_EXPIRY, 60));
        let mut member = Raw::connect_with(gateway, &connect);
        member.subscribe("$share/g/a", 1);
        member.subscribe("$share/g/b/#", 2);
        member.send(&disconnect());
        member.rest();
        publish(gateway, "a", 0..2, 1);
        publish(gateway, "b/c", 2..4, 2);
        let mut member = Raw::resume(gateway, &connect);
        assert_eq!(numbers(&mut member), [0, 1, 2, 3]);
        // Who is there goes before who is away.
        let mut other = Raw::connect(gateway, V5, "other");
        other.subscribe("$share/g/a", 1);
        member.send(&disconnect());
        member.rest();
        publish(gateway, "a", 4..6, 1);
        assert_eq!(numbers(&mut other), [4, 5]);
        assert_eq!(numbers(&mut Raw::resume(gateway, &connect)).len(), 0);
    });
}

#[test]
fn a_shared_subscription_gets_no_retained_messages_and_may_not_be_local() {
    serve(|gateway| {
        let mut client = Raw::connect(gateway, V5, "client");
        client.publish(Publish::new("a", "kept").qos(1, 0).retained());
        client.subscribe("$share/g/a", 1);
        assert_eq!(client.messages(), []);
        for filter in ["$share//a", "$share/g", "$share/g/a#"] {
            let mut client = Raw::connect(gateway, V311, "wrong");
            assert_eq!(client.subscribe(filter, 1), 0x80, "{filter}");
        }
        let packet_id = client.next_packet_id();
        let no_local = 0x04;
        client.send(&crate::support::frames::subscribe(
            V5,
            packet_id,
            &[("$share/g/a", no_local)],
            &[],
        ));
        client.is_dismissed(0x82);
    });
}
