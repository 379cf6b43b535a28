//! When a session ends, who may take it up, and how many there may be.

use super::{expiry, keeper, leave, serve};
use crate::support::frames::{Connect, Publish, V5, V311, packet};
use crate::support::http::metric;
use crate::support::properties::SESSION_EXPIRY;
use crate::support::raw::{Raw, refusal};
use crate::support::{Gateway, Site, wait_until};

#[test]
fn a_session_ends_when_its_time_is_over() {
    let site = Site::new();
    let gateway = site.start();
    let brief = Connect {
        is_clean: false,
        ..Connect::new(V5, "brief").with(expiry(1))
    };
    let mut client = Raw::connect_with(&gateway, &brief);
    client.subscribe("a", 1);
    leave(client);
    wait_until("the session is gone", || {
        site.sql::<i64>("SELECT count(*) FROM session") == 0
    });
    assert_eq!(site.sql::<i64>("SELECT count(*) FROM subscription"), 0);
    leave(Raw::connect_with(&gateway, &brief));
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn goodbye_may_change_how_long_a_session_is_kept() {
    serve(|gateway| {
        let goodbye = |seconds: u32| {
            let mut body = vec![0, 5, SESSION_EXPIRY];
            body.extend(seconds.to_be_bytes());
            packet(0xE0, &body)
        };
        let connect = keeper(V5, "keeper");
        let mut client = Raw::connect_with(gateway, &connect);
        client.send(&goodbye(60));
        assert_eq!(client.rest(), []);
        let mut client = Raw::resume(gateway, &connect);
        client.send(&goodbye(0));
        assert_eq!(client.rest(), []);
        leave(Raw::connect_with(gateway, &connect));
        let mut client = Raw::connect(gateway, V5, "plain");
        client.send(&goodbye(60));
        client.is_dismissed(0x82);
    });
}

#[test]
fn a_session_that_ends_with_goodbye_is_followed_by_a_new_one_at_once() {
    serve(|gateway| {
        for _ in 0..20 {
            let mut client = Raw::connect_with(gateway, &keeper(V5, "c"));
            client.publish(Publish::new("sensors/s", "1").qos(1, 0));
            client.send(&packet(0xE0, &[0, 5, SESSION_EXPIRY, 0, 0, 0, 0]));
            // Not waiting for its end: whether the newcomer comes before or behind it, it is served.
            let mut next = Raw::open(gateway, V311);
            next.send(&keeper(V311, "c").bytes());
            assert_eq!(next.receive().map(|connack| connack.body[1]), Some(0));
            assert_eq!(next.publish(Publish::new("a", "1").qos(2, 0)), 0);
            leave(next);
            leave(Raw::connect(gateway, V5, "c"));
        }
    });
}

#[test]
fn a_client_is_told_how_long_its_session_is_kept() {
    let site = Site::new().environment("EDGE_GATEWAY_MQTT__LIMITS__SESSION_EXPIRY", "1h");
    let gateway = site.start();
    for asked in [3601, u32::MAX] {
        let connect = Connect::new(V5, "c").with(expiry(asked));
        let client = Raw::connect_with(&gateway, &connect);
        assert!(
            client.granted.contains(&expiry(3600)),
            "{:?}",
            client.granted
        );
    }
    let client = Raw::connect_with(&gateway, &Connect::new(V5, "c").with(expiry(3600)));
    let is_told = client.granted.iter().any(|p| p.id() == SESSION_EXPIRY);
    assert!(!is_told, "it is as it asked: {:?}", client.granted);
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn nobody_takes_up_another_users_session() {
    let site = Site::new();
    let gateway = site.start();
    let mut client = Raw::connect_with(&gateway, &keeper(V5, "keeper"));
    client.subscribe("a", 1);
    leave(client);
    assert_eq!(gateway.stop().code(), Some(0));
    site.change("UPDATE session SET user = 'ann'");
    let gateway = site.start();
    let mut client = Raw::connect_with(&gateway, &keeper(V5, "keeper"));
    client.publish(Publish::new("a", "1").qos(1, 0));
    assert_eq!(client.messages(), []);
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn sessions_that_are_kept_are_so_many_and_no_more() {
    let site = Site::new().environment("EDGE_GATEWAY_MQTT__LIMITS__SESSIONS", "2");
    let gateway = site.start();
    for name in ["one", "two"] {
        leave(Raw::connect_with(&gateway, &keeper(V5, name)));
    }
    for (version, reason) in [(V311, 3), (V5, 0x97)] {
        let mut client = Raw::open(&gateway, version);
        client.send(&keeper(version, "three").bytes());
        assert_eq!(client.rest(), [refusal(version, reason)]);
        leave(Raw::connect(&gateway, version, "three"));
    }
    let limited = metric(&gateway, "gateway_mqtt_limited_total{limit=\"sessions\"}");
    assert_eq!(limited, 2.0);
    leave(Raw::resume(&gateway, &keeper(V5, "one")));
    leave(Raw::connect(&gateway, V5, "two"));
    leave(Raw::connect_with(&gateway, &keeper(V311, "three")));
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn what_waits_for_sessions_is_bounded_for_each_and_for_all() {
    let site = Site::new()
        .environment("EDGE_GATEWAY_MQTT__LIMITS__QUEUE_MESSAGES", "3")
        .environment("EDGE_GATEWAY_MQTT__LIMITS__SESSIONS_BYTES", "27KiB")
        .allow(&["subscriber is too slow"]);
    let gateway = site.start();
    for name in ["one", "two"] {
        let mut client = Raw::connect_with(&gateway, &keeper(V5, name));
        client.subscribe(name, 1);
        leave(client);
    }
    let mut publisher = Raw::connect(&gateway, V5, "publisher");
    for number in 0..5 {
        publisher.publish(Publish::new("one", number.to_string()).qos(1, 0));
    }
    for _ in 0..3 {
        publisher.publish(Publish::new("two", vec![b'x'; 9000]).qos(1, 0));
    }
    let limited = |key: &str| {
        let name = format!("gateway_mqtt_limited_total{{limit=\"{key}\"}}");
        metric(&gateway, &name)
    };
    assert_eq!(
        (limited("queue_messages"), limited("sessions_bytes")),
        (2.0, 1.0)
    );
    // What waits leaves a quarter to who comes now.
    let will = Publish::new("wills/a", "gone");
    leave(Raw::connect_with(&gateway, &keeper(V5, "three").will(will)));
    let mut one = Raw::resume(&gateway, &keeper(V5, "one"));
    let texts: Vec<String> = one.messages().iter().map(|m| m.text().to_owned()).collect();
    assert_eq!(texts, ["0", "1", "2"]);
    assert_eq!(
        Raw::resume(&gateway, &keeper(V5, "two")).messages().len(),
        2
    );
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn filters_and_wills_of_sessions_count_in_their_memory() {
    let site = Site::new().environment("EDGE_GATEWAY_MQTT__LIMITS__SESSIONS_BYTES", "2KiB");
    let filter = |name: &str| format!("{name}/{}", "x".repeat(400));
    let with_will =
        |version, bytes| keeper(version, "mortal").will(Publish::new("wills/a", vec![b'x'; bytes]));
    let is_refused = |gateway: &Gateway<'_>| {
        for (version, reason) in [(V311, 3), (V5, 0x97)] {
            let mut client = Raw::open(gateway, version);
            client.send(&with_will(version, 1000).bytes());
            assert_eq!(client.rest(), [refusal(version, reason)]);
            // Where no session is kept nothing of it counts.
            let will = with_will(version, 1000).will.unwrap();
            let mut plain = Raw::connect_with(gateway, &Connect::new(version, "p").will(will));
            assert_eq!(plain.subscribe(&filter("p"), 1), 1);
            leave(plain);
        }
    };
    let gateway = site.start();
    let mut full = Raw::connect_with(&gateway, &keeper(V5, "full"));
    for name in ["a", "b", "c", "d"] {
        assert_eq!(full.subscribe(&filter(name), 1), 1);
        assert_eq!(full.subscribe(&filter(name), 2), 2, "again is the same");
    }
    assert_eq!(full.subscribe(&filter("e"), 1), 0x97);
    let mut old = Raw::connect_with(&gateway, &keeper(V311, "old"));
    assert_eq!(old.subscribe(&filter("e"), 1), 0x80);
    is_refused(&gateway);
    let limited = |gateway: &Gateway<'_>| {
        metric(
            gateway,
            "gateway_mqtt_limited_total{limit=\"sessions_bytes\"}",
        )
    };
    assert_eq!(limited(&gateway), 4.0);
    gateway.kill();

    let gateway = site.start();
    let mut full = Raw::resume(&gateway, &keeper(V5, "full"));
    assert_eq!(full.subscribe(&filter("e"), 1), 0x97);
    is_refused(&gateway);
    for name in ["a", "b", "c"] {
        assert_eq!(full.unsubscribe(&filter(name)), 0);
    }
    let mortal = Raw::connect_with(&gateway, &with_will(V5, 1200));
    assert_eq!(full.subscribe(&filter("a"), 1), 0x97, "the will counts");
    gateway.kill();
    drop(mortal);

    let gateway = site.start();
    let mut full = Raw::resume(&gateway, &keeper(V5, "full"));
    // Its will has been published; the one it brings takes the place of the other.
    for _ in 0..2 {
        let mut mortal = Raw::resume(&gateway, &with_will(V5, 1200));
        assert_eq!(full.subscribe(&filter("a"), 1), 0x97, "the will counts");
        mortal.shut_down();
        mortal.rest();
    }
    leave(Raw::resume(&gateway, &with_will(V5, 1200)));
    assert_eq!(full.subscribe(&filter("a"), 1), 1, "its will is no more");
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn sessions_of_one_user_are_so_many_and_no_more() {
    let site = Site::new().environment("EDGE_GATEWAY_MQTT__LIMITS__SESSIONS_PER_USER", "2");
    let gateway = site.start();
    for name in ["one", "two"] {
        leave(Raw::connect_with(&gateway, &keeper(V5, name)));
    }
    let is_refused = |gateway: &Gateway<'_>, name: &'static str| {
        for (version, reason) in [(V311, 3), (V5, 0x97)] {
            let mut client = Raw::open(gateway, version);
            client.send(&keeper(version, name).bytes());
            assert_eq!(client.rest(), [refusal(version, reason)]);
        }
        let name = "gateway_mqtt_limited_total{limit=\"sessions_per_user\"}";
        assert_eq!(metric(gateway, name), 2.0);
    };
    is_refused(&gateway, "three");
    leave(Raw::connect(&gateway, V5, "three"));
    leave(Raw::resume(&gateway, &keeper(V5, "one")));
    assert_eq!(gateway.stop().code(), Some(0));
    site.change("UPDATE session SET user = 'ann' WHERE client_id = 'one'");
    let gateway = site.start();
    leave(Raw::connect_with(&gateway, &keeper(V5, "three")));
    // It would be one more of this user's, in the place of another's.
    is_refused(&gateway, "one");
    leave(Raw::connect(&gateway, V5, "two"));
    leave(Raw::connect_with(&gateway, &keeper(V5, "one")));
    assert_eq!(gateway.stop().code(), Some(0));
}
