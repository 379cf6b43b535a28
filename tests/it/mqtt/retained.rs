//! Retained messages: the last word of a topic, for who comes later.

use super::serve;
use crate::support::frames::{BOTH, Publish, V5, V311};
use crate::support::raw::Raw;

/// Subscription options of MQTT 5 (section 3.8.3.1).
const RETAIN_AS_PUBLISHED: u8 = 0x08;
const RETAINED_IF_NEW: u8 = 0x10;
const RETAINED_NEVER: u8 = 0x20;

#[test]
fn a_newcomer_gets_the_last_retained_message_and_an_empty_one_clears_it() {
    serve(|gateway| {
        for version in BOTH {
            let mut publisher = Raw::connect(gateway, version, "publisher");
            let mut present = Raw::connect(gateway, version, "present");
            present.subscribe("#", 1);
            for (topic, payload) in [("plain/a", "hello"), ("sensors/s1", "21.5")] {
                publisher.publish(Publish::new(topic, "1").qos(1, 0).retained());
                publisher.publish(Publish::new(topic, payload).qos(1, 0).retained());
                publisher.publish(Publish::new(topic, "3").qos(1, 0));
                for expected in ["1", payload, "3"] {
                    let live = present.message();
                    assert_eq!((live.text(), live.is_retained), (expected, false));
                }
                let mut newcomer = Raw::connect(gateway, version, "newcomer");
                newcomer.subscribe(topic, 1);
                let found = newcomer.message();
                let shown = (found.text(), found.is_retained, found.qos);
                assert_eq!(shown, (payload, true, 1), "{topic}");
                assert_eq!(
                    publisher.publish(Publish::new(topic, "").qos(1, 0).retained()),
                    0
                );
                assert_eq!(present.text(), "");
                let mut late = Raw::connect(gateway, version, "late");
                late.subscribe(topic, 1);
                assert_eq!(late.messages(), [], "{topic}");
            }
        }
    });
}

#[test]
fn wildcards_find_retained_messages() {
    serve(|gateway| {
        let mut publisher = Raw::connect(gateway, V311, "publisher");
        for topic in ["a/1", "a/2", "a/2/x", "b/1", "$hidden/1"] {
            publisher.publish(Publish::new(topic, topic).qos(1, 0).retained());
        }
        for version in BOTH {
            let check = |filter: &str, expected: &[&str]| {
                let mut newcomer = Raw::connect(gateway, version, "newcomer");
                newcomer.subscribe(filter, 0);
                let messages = newcomer.messages();
                assert!(messages.iter().all(|message| message.is_retained));
                let mut topics: Vec<&str> = messages.iter().map(|m| &*m.topic).collect();
                topics.sort_unstable();
                assert_eq!(topics, expected, "{filter}");
            };
            check("a/+", &["a/1", "a/2"]);
            check("a/#", &["a/1", "a/2", "a/2/x"]);
            check("+/1", &["a/1", "b/1"]);
            check("#", &["a/1", "a/2", "a/2/x", "b/1"]);
            check("$hidden/+", &["$hidden/1"]);
            check("a", &[]);
        }
    });
}

#[test]
fn a_subscriber_says_when_it_wants_retained_messages() {
    serve(|gateway| {
        let mut publisher = Raw::connect(gateway, V5, "publisher");
        publisher.publish(Publish::new("a", "kept").qos(1, 0).retained());
        let mut subscriber = Raw::connect(gateway, V5, "subscriber");
        for (options, expected) in [
            (RETAINED_NEVER, 0),
            (RETAINED_IF_NEW, 0),
            (0, 1),
            (RETAINED_NEVER, 0),
            (0, 1),
        ] {
            subscriber.subscribe("a", options);
            assert_eq!(subscriber.messages().len(), expected, "{options:#x}");
        }
        subscriber.unsubscribe("a");
        subscriber.subscribe("a", RETAINED_IF_NEW);
        assert_eq!(subscriber.messages().len(), 1, "the subscription is new");
    });
}

#[test]
fn the_retain_flag_travels_on_if_the_subscriber_wants_it() {
    serve(|gateway| {
        let mut publisher = Raw::connect(gateway, V311, "publisher");
        let mut plain = Raw::connect(gateway, V5, "plain");
        let mut exact = Raw::connect(gateway, V5, "exact");
        plain.subscribe("+/s1", 0);
        exact.subscribe("+/s1", RETAIN_AS_PUBLISHED);
        for topic in ["a/s1", "sensors/s1"] {
            publisher.publish(Publish::new(topic, "1").qos(1, 0).retained());
            publisher.publish(Publish::new(topic, "2").qos(1, 0));
            assert!(!plain.message().is_retained);
            assert!(!plain.message().is_retained);
            assert!(exact.message().is_retained);
            assert!(!exact.message().is_retained);
        }
    });
}

#[test]
fn a_reading_and_what_clears_it_keep_their_order() {
    serve(|gateway| {
        for version in BOTH {
            for topic in ["sensors/s1", "status/d1", "plain/a"] {
                let mut watcher = Raw::connect(gateway, version, "watcher");
                watcher.subscribe(topic, 1);
                let mut publisher = Raw::connect(gateway, version, "publisher");
                let set = Publish::new(topic, "1").qos(1, 1).retained();
                let clear = Publish::new(topic, "").qos(1, 2).retained();
                publisher.send(&[set.bytes(version), clear.bytes(version)].concat());
                assert_eq!([watcher.text(), watcher.text()], ["1", ""], "{topic}");
                let mut newcomer = Raw::connect(gateway, version, "newcomer");
                newcomer.subscribe(topic, 1);
                assert_eq!(newcomer.messages(), [], "{topic}");
            }
        }
    });
}

#[test]
fn a_subscription_of_3_1_1_made_again_brings_retained_messages_again() {
    serve(|gateway| {
        let mut client = Raw::connect(gateway, V311, "client");
        client.publish(Publish::new("a", "kept").qos(1, 0).retained());
        for qos in [1, 1, 0] {
            client.subscribe("a", qos);
            let found = client.message();
            let shown = (found.text(), found.qos, found.is_retained);
            assert_eq!(shown, ("kept", qos, true));
        }
        client.publish(Publish::new("a", "new").qos(1, 0));
        assert_eq!(client.text(), "new");
        assert_eq!(client.messages(), []);
    });
}
