//! What speaks against rumqttd 0.20 as our broker, shown on it from outside. A test passes while its fault is there:
//! one that fails is good news, and docs/decisions/0002 is to be looked at again.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod support;

use support::{
    Broker, assert_fault,
    wire::{Client, Connect},
};

#[test]
fn a_publish_to_a_topic_that_begins_with_an_accent_makes_the_broker_deaf() {
    for topic in ["étage/1", "传感器/1"] {
        let broker = Broker::start();
        broker.connect("subscriber").subscribe("floor/#", 0);
        assert!(!broker.is_deaf());
        broker.connect("publisher").publish(topic, 0, false, b"1");
        assert_fault(broker.goes_deaf(), topic);
    }
}

#[test]
fn the_only_member_of_a_shared_subscription_leaves_with_a_message_in_flight_and_the_broker_is_deaf()
{
    let broker = Broker::start();
    let persistent = Connect {
        clean: false,
        ..Connect::new("member")
    };
    let mut member = Client::connect(broker.v4, &persistent).unwrap();
    member.subscribe("$share/group/jobs", 1);
    broker
        .connect("publisher")
        .publish_acked("jobs", false, b"1");
    assert_eq!(member.next_publish().unwrap().payload, b"1");
    drop(member);
    assert_fault(broker.goes_deaf(), "a shared subscription's last member");
}

#[test]
fn a_paused_subscribers_stray_puback_makes_the_broker_deaf() {
    // The acknowledgement must reach the router between two of the subscriber's pauses: not each try hits that.
    const TRIES: usize = 30;
    const MESSAGES: usize = 4_000;
    let broker = Broker::start();
    let mut publisher = broker.connect("publisher");
    let hit = (0..TRIES).any(|attempt| {
        let mut subscriber = broker.connect(&format!("subscriber-{attempt}"));
        subscriber.subscribe("flood", 0);
        for _ in 0..MESSAGES {
            publisher.publish("flood", 0, false, &[0; 1_000]);
        }
        subscriber.ack(77);
        subscriber.read_to_end();
        broker.is_deaf()
    });
    assert_fault(hit, "an acknowledgement nobody asked for");
}

#[test]
fn two_connects_with_a_slash_in_the_client_id_close_the_listener() {
    let broker = Broker::start();
    let mut before = broker.connect("before");
    for _ in 0..2 {
        assert!(Client::connect(broker.v4, &Connect::new("line/1")).is_err());
    }
    assert!(before.is_alive());
    assert_fault(broker.goes_deaf(), "a client id with a slash");
}

#[test]
fn a_client_without_keep_alive_is_refused() {
    let broker = Broker::start();
    let connect = Connect {
        keep_alive: 0,
        ..Connect::new("always-on")
    };
    assert_fault(
        Client::connect(broker.v4, &connect).is_err(),
        "keep-alive 0",
    );
    assert!(!broker.is_deaf());
}

#[test]
fn a_slow_subscriber_loses_acked_messages_and_nobody_is_told() {
    const MESSAGES: usize = 6_000;
    // Ten segments of a log that is small, so that the test is: at its shipped size it takes a gigabyte.
    let broker = Broker::start_with(&["--segment-bytes", "10240"]);
    let mut subscriber = broker.connect("slow");
    subscriber.subscribe("work", 1);
    let mut publisher = broker.connect("publisher");
    for number in 0..MESSAGES {
        publisher.publish_acked("work", false, format!("message {number:056}").as_bytes());
    }
    let arrived = subscriber.take_all().len();
    println!("{arrived} of {MESSAGES} arrived");
    assert!(subscriber.is_alive());
    assert_fault(arrived < MESSAGES, "loss without a signal");
}

#[test]
fn with_a_topic_alias_a_payload_comes_under_another_topic() {
    const TOPIC_ALIAS_MAXIMUM_10: [u8; 3] = [0x22, 0, 10];
    let broker = Broker::start();
    let connect = Connect {
        v5: Some(&TOPIC_ALIAS_MAXIMUM_10),
        ..Connect::new("subscriber")
    };
    let mut subscriber = Client::connect(broker.v5, &connect).unwrap();
    subscriber.subscribe("w/#", 0);
    let mut publisher = broker.connect("publisher");
    publisher.publish_acked("w/0", false, b"of w/0");
    let first = subscriber.next_publish().unwrap();
    publisher.publish_acked("w/1", false, b"of w/1");
    let second = subscriber.next_publish().unwrap();
    assert_eq!(
        (first.topic.as_str(), &first.payload[..]),
        ("w/0", &b"of w/0"[..])
    );
    assert_eq!(second.payload, b"of w/1");
    assert_fault(
        first.alias.is_some() && second.topic.is_empty() && second.alias == first.alias,
        "the second says by its alias that it belongs to w/0",
    );
}

#[test]
fn of_500_retained_messages_a_newcomer_gets_a_part() {
    const MESSAGES: usize = 500;
    let broker = Broker::start();
    let mut publisher = broker.connect("publisher");
    for number in 0..MESSAGES {
        publisher.publish_acked(&format!("state/{number}"), true, b"on");
    }
    for qos in [0, 1] {
        let mut newcomer = broker.connect(&format!("newcomer-{qos}"));
        newcomer.subscribe("state/#", qos);
        let arrived = newcomer.take_all().len();
        println!("{arrived} of {MESSAGES} arrived at QoS {qos}");
        assert_fault(arrived < MESSAGES, "retained messages");
    }
}

#[test]
fn the_qos_of_a_delivery_is_that_of_the_subscription_alone() {
    let broker = Broker::start();
    let mut subscriber = broker.connect("subscriber");
    subscriber.subscribe("t", 1);
    broker.connect("publisher").publish("t", 0, false, b"1");
    let delivered = subscriber.next_publish().unwrap().qos;
    assert_fault(delivered == 1, "min(0, 1) = 0");
}

#[test]
fn the_receive_maximum_of_a_client_is_ignored() {
    const RECEIVE_MAXIMUM_1: [u8; 3] = [0x21, 0, 1];
    let broker = Broker::start();
    let connect = Connect {
        v5: Some(&RECEIVE_MAXIMUM_1),
        ..Connect::new("subscriber")
    };
    let mut subscriber = Client::connect(broker.v5, &connect).unwrap();
    subscriber.subscribe("t", 1);
    let mut publisher = broker.connect("publisher");
    for _ in 0..3 {
        publisher.publish_acked("t", false, b"1");
    }
    subscriber.next_publish().unwrap();
    assert_fault(
        subscriber.next_publish().is_some(),
        "a second message while the first is not acked",
    );
}

#[test]
fn sessions_and_retained_messages_die_with_the_process() {
    let persistent = Connect {
        clean: false,
        ..Connect::new("device")
    };
    let broker = Broker::start();
    Client::connect(broker.v4, &persistent)
        .unwrap()
        .subscribe("t", 1);
    broker.connect("publisher").publish_acked("t", true, b"1");
    let resumed = Client::connect(broker.v4, &persistent).unwrap();
    assert!(resumed.session_present);
    drop(broker);

    let broker = Broker::start();
    let mut resumed = Client::connect(broker.v4, &persistent).unwrap();
    assert_fault(!resumed.session_present, "sessions");
    resumed.subscribe("t", 1);
    assert_fault(resumed.next_publish().is_none(), "retained messages");
}

#[test]
fn a_client_of_mqtt_5_needs_another_port() {
    let broker = Broker::start();
    let connect = Connect {
        v5: Some(&[]),
        ..Connect::new("client")
    };
    assert!(Client::connect(broker.v5, &connect).is_ok());
    assert_fault(
        Client::connect(broker.v4, &connect).is_err(),
        "both versions on one port",
    );
}

#[test]
fn logs_of_filters_that_nobody_subscribes_to_are_kept() {
    const FILTERS: usize = 20;
    const MESSAGES: usize = 64;
    const PAYLOAD: [u8; 16_000] = [7; 16_000];
    let broker = Broker::start();
    let mut subscriber = broker.connect("subscriber");
    let mut publisher = broker.connect("publisher");
    let mut resident_after = |round: usize| {
        for filter in (0..FILTERS).map(|number| format!("round-{round}/{number}")) {
            subscriber.subscribe(&filter, 0);
            for _ in 0..MESSAGES {
                publisher.publish_acked(&filter, false, &PAYLOAD);
                subscriber.next_publish().unwrap();
            }
            subscriber.unsubscribe(&filter);
        }
        broker.resident_bytes()
    };
    // The second round would live in what the first had freed.
    let (first, second) = (resident_after(1), resident_after(2));
    let published = FILTERS * MESSAGES * PAYLOAD.len();
    println!("{first} bytes, then {second}");
    assert_fault(
        published / 2 < second.saturating_sub(first),
        "filters' logs",
    );
}
