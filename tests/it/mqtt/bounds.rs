//! The limits of `[mqtt.limits]`: what a client beyond one hears, and that it is counted by its key.

use std::net::{SocketAddr, TcpStream};

use tokio::net::TcpSocket;

use super::serve_at;
use crate::support::frames::{
    BOTH, Connect, PUBACK, Publish, SUBACK, V5, V311, ack, disconnect, subscribe,
};
use crate::support::http::{get, metric, post};
use crate::support::properties::{CONTENT_TYPE, Property};
use crate::support::raw::{Raw, refusal};
use crate::support::{Gateway, Site};

fn site(keys: &str) -> Site {
    Site::with(&format!("[mqtt.limits]\n{keys}\n"))
}

#[track_caller]
fn was_limited(gateway: &Gateway<'_>, key: &str, times: usize) {
    let name = format!("gateway_mqtt_limited_total{{limit={key:?}}}");
    assert_eq!(metric(gateway, &name), times as f64, "{key}");
}

#[track_caller]
fn were_dropped(gateway: &Gateway<'_>, reason: &str, count: usize) {
    let name = format!("gateway_mqtt_dropped_total{{reason={reason:?}}}");
    assert_eq!(metric(gateway, &name), count as f64, "{reason}");
}

/// Checks the answer to a CONNECT: the reasons are those of 3.1.1 and of 5.
#[track_caller]
fn is_refused(gateway: &Gateway<'_>, connect: &Connect<'_>, reasons: [u8; 2]) {
    let mut client = Raw::open(gateway, connect.version);
    client.send(&connect.bytes());
    let reason = reasons[usize::from(connect.version == V5)];
    assert_eq!(client.rest(), [refusal(connect.version, reason)]);
}

#[test]
fn each_limit_is_counted_from_the_start() {
    serve_at(&Site::new(), |gateway| {
        for key in [
            "max_connections",
            "max_packet",
            "connections_per_address",
            "connect_timeout",
            "client_id_bytes",
            "topic_bytes",
            "topic_levels",
            "will_bytes",
            "publish_rate",
            "subscriptions",
            "queue_messages",
            "queue_bytes",
            "in_flight",
            "retained_messages",
            "retained_bytes",
            "devices",
        ] {
            let text = get(gateway, "/metrics").body;
            let line = format!("gateway_mqtt_limited_total{{limit={key:?}}} 0\n");
            assert!(text.contains(&line), "{key}: {text}");
        }
    });
}

#[test]
fn a_client_id_that_is_too_long_is_refused() {
    serve_at(&site("client_id_bytes = \"30B\""), |gateway| {
        for version in BOTH {
            Raw::connect(gateway, version, &"x".repeat(30)).ping();
            let long = "x".repeat(31);
            is_refused(gateway, &Connect::new(version, &long), [2, 0x85]);
        }
        was_limited(gateway, "client_id_bytes", 2);
    });
}

#[test]
fn a_will_that_is_too_large_is_refused() {
    serve_at(&site("will_bytes = \"1000B\""), |gateway| {
        for version in BOTH {
            let sized = |bytes| Publish::new("a", vec![b'x'; bytes]);
            let fitting = Connect::new(version, "fitting").will(sized(1000));
            Raw::connect_with(gateway, &fitting).ping();
            let large = Connect::new(version, "large").will(sized(1001));
            is_refused(gateway, &large, [5, 0x95]);
        }
        let property = Property::Text(CONTENT_TYPE, "x".repeat(1001));
        let with_properties = Publish::new("a", "").with(property);
        let large = Connect::new(V5, "large").will(with_properties);
        is_refused(gateway, &large, [5, 0x95]);
        was_limited(gateway, "will_bytes", 3);
    });
}

#[test]
fn a_topic_that_is_too_long_or_too_deep_is_refused() {
    serve_at(
        &site("topic_bytes = \"20B\"\ntopic_levels = 3"),
        |gateway| {
            for version in BOTH {
                let refused = if version == V5 { 0x8F } else { 0x80 };
                for (fitting, beyond) in [
                    ("x".repeat(20), "x".repeat(21)),
                    ("a//b".into(), "a///b".into()),
                ] {
                    let mut client = Raw::connect(gateway, version, "client");
                    assert_eq!(client.subscribe(&fitting, 1), 1);
                    assert_eq!(client.subscribe(&beyond, 1), refused);
                    assert_eq!(client.publish(Publish::new(&fitting, "hello").qos(1, 0)), 0);
                    assert_eq!(client.text(), "hello");
                    client.send(&Publish::new(&beyond, "x").qos(1, 100).bytes(version));
                    client.is_dismissed(0x90);
                    let connect = Connect::new(version, "client").will(Publish::new(&beyond, "x"));
                    is_refused(gateway, &connect, [5, 0x90]);
                }
            }
            was_limited(gateway, "topic_bytes", 6);
            was_limited(gateway, "topic_levels", 6);
        },
    );
}

#[test]
fn a_topic_deeper_than_the_gateway_can_walk_is_counted_too() {
    serve_at(&Site::new(), |gateway| {
        let mut client = Raw::connect(gateway, V5, "client");
        assert_eq!(client.subscribe(&"/".repeat(199), 0), 0);
        assert_eq!(client.subscribe(&"/".repeat(200), 0), 0x8F);
        client.send(&Publish::new(&"/".repeat(200), "x").bytes(V5));
        client.is_dismissed(0x90);
        was_limited(gateway, "topic_levels", 2);
    });
}

#[test]
fn a_subscription_too_many_is_refused_alone() {
    serve_at(&site("subscriptions = 2"), |gateway| {
        for version in BOTH {
            let refused = if version == V5 { 0x97 } else { 0x80 };
            let mut client = Raw::connect(gateway, version, "client");
            let entries = [("a", 1), ("b", 1), ("c", 1), ("a", 0)];
            client.send(&subscribe(version, 1, &entries, &[]));
            let answer = client.wait_for(SUBACK).body;
            assert!(answer.ends_with(&[1, 1, refused, 0]), "{answer:?}");
            client.unsubscribe("b");
            assert_eq!(client.subscribe("c", 1), 1);
        }
        was_limited(gateway, "subscriptions", 2);
    });
}

#[test]
fn a_client_that_does_not_say_connect_in_time_is_left() {
    serve_at(&site("connect_timeout = \"1s\""), |gateway| {
        let mut patient = Raw::connect(gateway, V5, "patient");
        let mut slow = Vec::new();
        for (version, sent) in [(V311, 0), (V311, 5), (V5, 0), (V5, 5)] {
            let mut client = Raw::open(gateway, version);
            client.send(&Connect::new(version, "slow").bytes()[..sent]);
            slow.push(client);
        }
        for mut client in slow {
            assert_eq!(client.rest(), []);
        }
        patient.ping();
        was_limited(gateway, "connect_timeout", 4);
    });
}

#[test]
fn a_slow_subscriber_loses_what_its_queue_does_not_hold() {
    let keys = "in_flight = 1\nqueue_messages = 2\nqueue_bytes = \"4KiB\"";
    let site = site(keys).allow(&["subscriber is too slow"]);
    serve_at(&site, |gateway| {
        let mut publisher = Raw::connect(gateway, V311, "publisher");
        let mut publish = |payload: &str| {
            assert_eq!(publisher.publish(Publish::new("a", payload).qos(1, 0)), 0);
        };
        let mut slow = Raw::connect(gateway, V5, "slow");
        slow.subscribe("a", 1);
        publish("1");
        let first = slow.unacknowledged();
        ["2", "3", "4", "5"].into_iter().for_each(&mut publish);
        was_limited(gateway, "queue_messages", 2);
        slow.send(&ack(PUBACK, first.packet_id));
        assert_eq!([slow.text(), slow.text()], ["2", "3"]);
        slow.ping();

        publish("6");
        let first = slow.unacknowledged();
        let large = "x".repeat(3000);
        [&*large, &*large, "7"].into_iter().for_each(&mut publish);
        was_limited(gateway, "queue_bytes", 1);
        slow.send(&ack(PUBACK, first.packet_id));
        assert_eq!([slow.text(), slow.text()], [&*large, "7"]);
        slow.ping();

        were_dropped(gateway, "queue_full", 3);
        was_limited(gateway, "queue_messages", 2);
        was_limited(gateway, "in_flight", 6);
    });
}

/// Waits until all that `$SYS` retains is there: it counts too.
fn wait_for_sys(gateway: &Gateway<'_>) {
    let mut client = Raw::connect(gateway, V5, "sys");
    client.subscribe("$SYS/#", 0);
    let last = "$SYS/broker/retained messages/count";
    while client.message().topic != last {}
}

#[test]
fn a_message_that_finds_no_room_among_the_retained_is_only_delivered() {
    let sys = 8;
    let site = site(&format!("retained_messages = {}", sys + 2));
    serve_at(&site.allow(&["too many retained messages"]), |gateway| {
        wait_for_sys(gateway);
        let mut watcher = Raw::connect(gateway, V5, "watcher");
        watcher.subscribe("a/+", 0);
        let mut publish = |version, topic: &str, qos, expected| {
            let mut client = Raw::connect(gateway, version, "client");
            let message = Publish::new(topic, topic).qos(qos, 0).retained();
            assert_eq!(client.publish(message), expected, "{topic} {version}");
            assert_eq!(watcher.text(), topic);
        };
        publish(V5, "a/1", 1, 0);
        publish(V5, "a/2", 2, 0);
        publish(V5, "a/3", 1, 0x97);
        publish(V5, "a/3", 2, 0x97);
        publish(V311, "a/3", 1, 0);
        publish(V311, "a/3", 2, 0);
        publish(V5, "a/1", 1, 0);
        was_limited(gateway, "retained_messages", 4);
        were_dropped(gateway, "retained_full", 4);
        let mut newcomer = Raw::connect(gateway, V5, "newcomer");
        newcomer.subscribe("a/+", 0);
        assert_eq!([newcomer.text(), newcomer.text()], ["a/1", "a/2"]);
        assert_eq!(newcomer.messages(), []);
    });
}

#[test]
fn retained_messages_take_so_much_memory_and_no_more() {
    let site = site("retained_bytes = \"16KiB\"");
    serve_at(&site.allow(&["too many retained messages"]), |gateway| {
        wait_for_sys(gateway);
        let mut client = Raw::connect(gateway, V5, "client");
        let mut publish = |topic: &str, bytes: usize| {
            let message = Publish::new(topic, vec![b'x'; bytes]).retained();
            client.publish(message.qos(1, 0))
        };
        assert_eq!(publish("a", 10_000), 0);
        assert_eq!(publish("b", 10_000), 0x97);
        was_limited(gateway, "retained_bytes", 1);
        assert_eq!(publish("a", 0), 0);
        assert_eq!(publish("b", 10_000), 0);
        was_limited(gateway, "retained_bytes", 1);
    });
}

#[test]
fn a_reading_that_cannot_be_retained_is_acknowledged_for_being_on_disk() {
    let site = site("retained_messages = 1").allow(&["too many retained messages"]);
    serve_at(&site, |gateway| {
        let mut sensor = Raw::connect(gateway, V5, "sensor");
        for number in 1..=2 {
            let reading = Publish::new(&format!("sensors/{number}"), "1").retained();
            assert_eq!(sensor.publish(reading.qos(1, 0)), 0);
        }
        assert_eq!(site.sql::<i64>("SELECT count(*) FROM readings"), 2);
    });
}

#[test]
fn a_device_too_many_goes_to_the_rejects() {
    let site = site("devices = 2");
    let say_by_http = |gateway: &Gateway<'_>, device: &str| {
        let path = format!("/status?device_id={device}&status=on");
        post(gateway, &path, "")
    };
    serve_at(&site, |gateway| {
        let mut device = Raw::connect(gateway, V5, "device");
        let mut say = |name: &str| {
            let word = Publish::new(&format!("status/{name}"), "online").qos(1, 0);
            assert_eq!(device.publish(word), 0);
        };
        ["a", "b", "c", "a"].into_iter().for_each(&mut say);
        let kept: Vec<String> = site.sql_all("SELECT device_id FROM statuses ORDER BY 1");
        assert_eq!(kept, ["a", "b"]);
        let rejected = "SELECT topic || ' ' || CAST(payload AS TEXT) || ' ' || reason FROM rejects";
        let rejected: Vec<String> = site.sql_all(rejected);
        let expected =
            "status/c {\"status\":\"online\"} there are more devices than the gateway can hold";
        assert_eq!(rejected, [expected]);
        was_limited(gateway, "devices", 1);
        let name = "gateway_readings_rejected_total{reason=\"devices\"}";
        assert_eq!(metric(gateway, name), 1.0);
    });
    serve_at(&site, |gateway| {
        let answer = say_by_http(gateway, "c");
        assert_eq!(answer.status, 507, "{answer:?}");
        assert!(answer.body.contains("more devices"), "{answer:?}");
        assert_eq!(say_by_http(gateway, "b").status, 200);
        was_limited(gateway, "devices", 1);
        assert_eq!(site.sql::<i64>("SELECT count(*) FROM rejects"), 1);
    });
}

/// A connection from another address of this machine.
fn from_address(gateway: &Gateway<'_>, address: &str) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let own: SocketAddr = format!("{address}:0").parse().unwrap();
    let connected = runtime.block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(own).unwrap();
        socket.connect(gateway.mqtt).await.unwrap()
    });
    let stream = connected.into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    stream
}

#[test]
fn a_connection_too_many_from_one_address_is_told_so() {
    serve_at(&site("connections_per_address = 2"), |gateway| {
        let mut clients = vec![
            Raw::connect(gateway, V311, "a"),
            Raw::connect(gateway, V5, "b"),
        ];
        for version in BOTH {
            is_refused(gateway, &Connect::new(version, "c"), [3, 0x97]);
        }
        // As many as may be served may wait to hear it; nobody listens to more.
        let waiting = [Raw::open(gateway, V5), Raw::open(gateway, V5)];
        assert_eq!(Raw::open(gateway, V5).rest(), []);
        was_limited(gateway, "connections_per_address", 5);
        let elsewhere = from_address(gateway, "127.0.0.2");
        let elsewhere = Raw::over(elsewhere, V5, |socket| Box::new(socket));
        elsewhere.let_in(&Connect::new(V5, "elsewhere")).ping();
        clients.iter_mut().for_each(Raw::ping);
        drop(waiting);
        // Whose place is free may come again, once the gateway has seen that.
        let mut last = clients.pop().unwrap();
        last.send(&disconnect());
        assert_eq!(last.rest(), []);
        drop(last);
        let mut attempts = 0;
        loop {
            let mut again = Raw::open(gateway, V5);
            again.send(&Connect::new(V5, "again").bytes());
            if again.receive().is_some_and(|frame| frame.body[1] == 0) {
                return again.ping();
            }
            attempts += 1;
            assert!(attempts < 1000, "the place is never free");
        }
    });
}
