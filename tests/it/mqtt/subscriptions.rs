//! Subscriptions: who gets which message, and how often.

use super::serve;
use crate::support::frames::{BOTH, DISCONNECT, Publish, SUBACK, V5, subscribe, unsubscribe};
use crate::support::properties::{Property, SUBSCRIPTION_ID};
use crate::support::raw::Raw;

const NO_LOCAL: u8 = 0x04;

#[test]
fn wildcards_match_by_levels_and_do_not_see_dollar_topics() {
    const TOPICS: &[&str] = &["a", "a/b", "a/b/c", "/a", "a/", "b", "$own/a", "传感器/1"];
    serve(|gateway| {
        for version in BOTH {
            let mut publisher = Raw::connect(gateway, version, "publisher");
            let mut check = |filter: &str, expected: &[&str]| {
                let mut subscriber = Raw::connect(gateway, version, "subscriber");
                assert_eq!(subscriber.subscribe(filter, 0), 0);
                subscriber.subscribe("end", 0);
                for topic in TOPICS.iter().chain(&["end"]) {
                    publisher.publish(Publish::new(topic, "x"));
                }
                let mut found = Vec::new();
                while found.last().is_none_or(|topic| topic != "end") {
                    found.push(subscriber.message().topic);
                }
                found.pop();
                assert_eq!(found, expected, "{filter}");
            };
            check("a", &["a"]);
            check("a/b", &["a/b"]);
            check("a/+", &["a/b", "a/"]);
            check("a/#", &["a", "a/b", "a/b/c", "a/"]);
            check("+/b/#", &["a/b", "a/b/c"]);
            check("+/+", &["a/b", "/a", "a/", "传感器/1"]);
            check("/+", &["/a"]);
            check("+/a", &["/a"]);
            check("$own/#", &["$own/a"]);
            check("$own/+", &["$own/a"]);
            check("传感器/+", &["传感器/1"]);
        }
    });
}

#[test]
fn a_hash_alone_does_not_see_dollar_topics() {
    serve(|gateway| {
        for version in BOTH {
            let mut client = Raw::connect(gateway, version, "client");
            client.subscribe("#", 0);
            client.publish(Publish::new("$own/a", "hidden"));
            client.publish(Publish::new("a", "seen"));
            assert_eq!(client.text(), "seen");
        }
    });
}

#[test]
fn overlapping_subscriptions_bring_one_copy_with_the_best_quality() {
    serve(|gateway| {
        for version in BOTH {
            let mut publisher = Raw::connect(gateway, version, "publisher");
            let mut subscriber = Raw::connect(gateway, version, "subscriber");
            for (filter, qos) in [("a/#", 0), ("a/+", 2), ("+/b", 1)] {
                subscriber.subscribe(filter, qos);
            }
            publisher.publish(Publish::new("a/b", "1").qos(2, 0));
            publisher.publish(Publish::new("a/b", "2").qos(1, 0));
            for expected in [("1", 2), ("2", 1)] {
                let found = subscriber.message();
                assert_eq!((found.text(), found.qos), expected);
            }
        }
    });
}

#[test]
fn a_subscription_made_again_replaces_the_first() {
    serve(|gateway| {
        for version in BOTH {
            let mut client = Raw::connect(gateway, version, "client");
            client.subscribe("a", 2);
            client.subscribe("a", 0);
            client.publish(Publish::new("a", "1").qos(2, 0));
            client.publish(Publish::new("a", "2").qos(2, 0));
            for expected in [("1", 0), ("2", 0)] {
                let found = client.message();
                assert_eq!((found.text(), found.qos), expected);
            }
        }
    });
}

#[test]
fn what_was_unsubscribed_comes_no_more() {
    serve(|gateway| {
        for version in BOTH {
            let not_there = if version == V5 { 0x11 } else { 0 };
            let mut client = Raw::connect(gateway, version, "client");
            client.subscribe("a", 1);
            client.subscribe("b", 1);
            assert_eq!(client.unsubscribe("a"), 0);
            assert_eq!(client.unsubscribe("a"), not_there);
            client.publish(Publish::new("a", "1").qos(1, 0));
            client.publish(Publish::new("b", "2").qos(1, 0));
            assert_eq!(client.text(), "2");
        }
    });
}

#[test]
fn malformed_filters_are_refused_and_the_others_of_the_packet_granted() {
    serve(|gateway| {
        for version in BOTH {
            let refused = if version == V5 { 0x8F } else { 0x80 };
            let mut client = Raw::connect(gateway, version, "client");
            for filter in ["a/#/b", "a#", "#/a", "a/b+", "+a", "a/+b/c"] {
                assert_eq!(client.subscribe(filter, 1), refused, "{filter}");
            }
            let entries = [("good", 1), ("a/#/b", 1), ("fine/+", 2)];
            client.send(&subscribe(version, 99, &entries, &[]));
            let answer = client.wait_for(SUBACK).body;
            assert!(answer.ends_with(&[1, refused, 2]), "{answer:02x?}");
            client.publish(Publish::new("good", "x"));
            assert_eq!(client.text(), "x");
        }
    });
}

#[test]
fn a_client_that_wants_no_local_messages_does_not_hear_itself() {
    serve(|gateway| {
        let mut client = Raw::connect(gateway, V5, "client");
        let mut other = Raw::connect(gateway, V5, "other");
        client.subscribe("+/s1", NO_LOCAL);
        for topic in ["a/s1", "sensors/s1"] {
            client.publish(Publish::new(topic, "1").qos(1, 0));
            other.publish(Publish::new(topic, "2").qos(1, 0));
            assert_eq!(client.text(), "2");
        }
    });
}

#[test]
fn a_message_names_the_subscriptions_it_comes_for() {
    serve(|gateway| {
        let mut client = Raw::connect(gateway, V5, "client");
        let id = |number| Property::Varying(SUBSCRIPTION_ID, number);
        client.subscribe_with("a/#", 0, &[id(7)]);
        client.subscribe_with("a/+", 0, &[id(200_000)]);
        client.subscribe("+/x", 0);
        for (topic, expected) in [
            ("a/x", vec![id(7), id(200_000)]),
            ("a/b/c", vec![id(7)]),
            ("b/x", vec![]),
        ] {
            client.publish(Publish::new(topic, "1"));
            let mut found = client.message().properties;
            found.sort_by_key(|property| match property {
                Property::Varying(_, number) => *number,
                _ => 0,
            });
            assert_eq!(found, expected, "{topic}");
        }
        client.publish(Publish::new("a/kept", "1").retained());
        client.message();
        client.subscribe_with("a/kept", 0, &[id(3)]);
        assert_eq!(client.message().properties, [id(3)], "a retained message");
    });
}

#[test]
fn a_filter_with_a_null_character_closes_the_connection() {
    serve(|gateway| {
        for version in BOTH {
            for packet in [
                subscribe(version, 1, &[("a", 0), ("a\0b", 0)], &[]),
                unsubscribe(version, 1, "a\0b"),
            ] {
                let mut client = Raw::connect(gateway, version, "client");
                client.send(&packet);
                let said = client.rest();
                let is_answered = said.iter().any(|frame| frame.kind() != DISCONNECT);
                assert!(!is_answered, "{said:?}");
            }
        }
    });
}
