//! A client that comes back finds its session, and what it missed.

use super::{keeper, leave, serve};
use crate::support::frames::{
    BOTH, Connect, PUBACK, PUBCOMP, PUBREC, PUBREL, Publish, V5, V311, ack,
};
use crate::support::properties::{Property, RECEIVE_MAXIMUM, SUBSCRIPTION_ID};
use crate::support::raw::Raw;

#[test]
fn a_client_gets_what_it_missed_in_order_and_nothing_of_qos_0() {
    serve(|gateway| {
        let mut publisher = Raw::connect(gateway, V311, "publisher");
        for version in BOTH {
            let connect = keeper(version, "keeper");
            let mut client = Raw::connect_with(gateway, &connect);
            assert_eq!(client.subscribe("a/+", 2), 2);
            leave(client);
            for number in 0..20 {
                let text = number.to_string();
                publisher.publish(Publish::new("a/b", text).qos(number % 3, 0));
            }
            let mut client = Raw::resume(gateway, &connect);
            let found = client.messages();
            let expected = (0..20).filter(|number| number % 3 != 0);
            assert_eq!(
                found
                    .iter()
                    .map(|m| m.text().to_owned())
                    .collect::<Vec<_>>(),
                expected
                    .map(|number| number.to_string())
                    .collect::<Vec<_>>(),
            );
            assert!(found.iter().all(|m| !m.is_duplicate && !m.is_retained));
            assert_eq!(client.messages(), []);
            client.unsubscribe("a/+");
            leave(client);
            publisher.publish(Publish::new("a/b", "unsubscribed").qos(1, 0));
            let mut client = Raw::resume(gateway, &connect);
            assert_eq!(client.messages(), []);
            leave(client);
            leave(Raw::connect(gateway, version, "keeper"));
        }
    });
}

#[test]
fn what_was_not_acknowledged_comes_again_under_its_identifier() {
    serve(|gateway| {
        let mut publisher = Raw::connect(gateway, V5, "publisher");
        for version in BOTH {
            let connect = keeper(version, "keeper");
            let mut client = Raw::connect_with(gateway, &connect);
            client.subscribe("a", 2);
            for (text, qos) in [("1", 1), ("2", 2), ("3", 2), ("4", 1)] {
                publisher.publish(Publish::new("a", text).qos(qos, 0));
            }
            let first = [(); 4].map(|()| client.unacknowledged());
            assert!(first.iter().all(|message| !message.is_duplicate));
            // The second is half done, the fourth is done.
            client.send(&ack(PUBREC, first[1].packet_id));
            assert_eq!(client.acknowledged(PUBREL), (first[1].packet_id, 0));
            client.send(&ack(PUBACK, first[3].packet_id));
            client.ping();
            client.shut_down();
            client.rest();

            let mut client = Raw::resume(gateway, &connect);
            let again = client.unacknowledged();
            assert_eq!(again, first[0].clone().again());
            assert_eq!(client.acknowledged(PUBREL), (first[1].packet_id, 0));
            client.send(&ack(PUBCOMP, first[1].packet_id));
            client.send(&ack(PUBACK, again.packet_id));
            assert_eq!(client.message(), first[2].clone().again());
            assert_eq!(client.messages(), []);
            leave(client);
            leave(Raw::connect(gateway, version, "keeper"));
        }
    });
}

#[test]
fn a_publish_that_is_sent_again_after_a_broken_connection_is_taken_once() {
    serve(|gateway| {
        let mut watcher = Raw::connect(gateway, V5, "watcher");
        watcher.subscribe("#", 2);
        for version in BOTH {
            let connect = keeper(version, "keeper");
            let mut client = Raw::connect_with(gateway, &connect);
            for topic in ["sensors/a", "plain"] {
                let publish = Publish::new(topic, "1").qos(2, 7);
                client.send(&publish.bytes(version));
                assert_eq!(client.acknowledged(PUBREC), (7, 0));
                client.shut_down();
                client.rest();
                client = Raw::resume(gateway, &connect);
                client.send(&publish.clone().again().bytes(version));
                assert_eq!(client.acknowledged(PUBREC), (7, 0));
                client.send(&ack(PUBREL, 7));
                assert_eq!(client.acknowledged(PUBCOMP), (7, 0));
                // Now it is another one.
                client.send(&publish.bytes(version));
                assert_eq!(client.acknowledged(PUBREC), (7, 0));
                client.send(&ack(PUBREL, 7));
                assert_eq!(client.acknowledged(PUBCOMP), (7, 0));
                let topics: Vec<String> = watcher.messages().into_iter().map(|m| m.topic).collect();
                assert_eq!(topics, [topic, topic]);
            }
            leave(client);
            leave(Raw::connect(gateway, version, "keeper"));
        }
    });
}

#[test]
fn a_takeover_hands_the_session_on_with_what_is_on_its_way() {
    serve(|gateway| {
        let mut publisher = Raw::connect(gateway, V5, "publisher");
        let connect = keeper(V5, "keeper");
        let mut first = Raw::connect_with(gateway, &connect);
        first.subscribe("a", 1);
        publisher.publish(Publish::new("a", "1").qos(1, 0));
        let message = first.unacknowledged();
        let mut second = Raw::resume(gateway, &connect);
        first.is_dismissed(0x8E);
        assert_eq!(second.message(), message.again());
        publisher.publish(Publish::new("a", "2").qos(1, 0));
        assert_eq!(second.text(), "2");
    });
}

#[test]
fn a_client_that_takes_one_at_a_time_gets_all() {
    serve(|gateway| {
        let one = Property::Two(RECEIVE_MAXIMUM, 1);
        let connect = keeper(V5, "keeper").with(one);
        let mut client = Raw::connect_with(gateway, &connect);
        client.subscribe_with("a", 2, &[Property::Varying(SUBSCRIPTION_ID, 3)]);
        leave(client);
        let mut publisher = Raw::connect(gateway, V5, "publisher");
        for number in 0..50 {
            let text = number.to_string();
            publisher.publish(Publish::new("a", text).qos(1 + number % 2, 0));
        }
        let mut client = Raw::resume(gateway, &connect);
        for number in 0..50 {
            let message = client.message();
            assert_eq!(message.text(), number.to_string());
            assert_eq!(message.properties, [Property::Varying(SUBSCRIPTION_ID, 3)]);
        }
    });
}

#[test]
fn a_session_of_one_version_is_taken_up_by_the_other() {
    serve(|gateway| {
        let mut client = Raw::connect_with(gateway, &keeper(V311, "keeper"));
        client.subscribe("a", 1);
        leave(client);
        let mut publisher = Raw::connect(gateway, V5, "publisher");
        publisher.publish(Publish::new("a", "1").qos(1, 0));
        let mut client = Raw::resume(gateway, &keeper(V5, "keeper"));
        assert_eq!(client.text(), "1");
        leave(client);
        // It ends with a connection that does not want it kept.
        let last = Connect {
            is_clean: false,
            ..Connect::new(V5, "keeper")
        };
        leave(Raw::resume(gateway, &last));
        leave(Raw::connect_with(gateway, &keeper(V5, "keeper")));
    });
}
