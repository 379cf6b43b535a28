//! Wills of clients whose sessions are kept.

use std::fs;

use super::{expiry, keeper, leave, serve};
use crate::support::frames::{Connect, Publish, V5, packet};
use crate::support::http::metric;
use crate::support::properties::{Property, WILL_DELAY};
use crate::support::raw::Raw;
use crate::support::{Gateway, Site, signal, wait_until};

fn mortal(session_expiry: u32, delay: u32) -> Connect<'static> {
    let delay = Property::Four(WILL_DELAY, delay);
    let will = Publish::new("wills/a", "gone").qos(1, 0).with(delay);
    let connect = Connect {
        is_clean: false,
        ..Connect::new(V5, "mortal")
    };
    connect.will(will).with(expiry(session_expiry))
}

fn lose(mut client: Raw) {
    client.shut_down();
    client.rest();
}

#[test]
fn a_delayed_will_comes_after_its_time_unless_the_client_is_back() {
    serve(|gateway| {
        let mut watcher = Raw::connect(gateway, V5, "watcher");
        watcher.subscribe("wills/#", 1);
        lose(Raw::connect_with(gateway, &mortal(3600, 3600)));
        let client = Raw::resume(gateway, &mortal(3600, 1));
        assert_eq!(watcher.messages(), [], "it is back in time");
        lose(client);
        assert_eq!(watcher.text(), "gone");
        // The session's end is the latest time, a clean start is its end.
        lose(Raw::resume(gateway, &mortal(1, 3600)));
        assert_eq!(watcher.text(), "gone");
        lose(Raw::connect_with(gateway, &mortal(3600, 3600)));
        leave(Raw::connect(gateway, V5, "mortal"));
        assert_eq!(watcher.text(), "gone");
        let mut client = Raw::connect_with(gateway, &mortal(3600, 1));
        client.send(&packet(0xE0, &[0]));
        client.rest();
        leave(Raw::resume(gateway, &mortal(0, 0)));
        assert_eq!(watcher.messages(), []);
    });
}

#[test]
fn a_will_is_not_forgotten_over_a_kill() {
    let site = Site::new();
    let gateway = site.start();
    let client = Raw::connect_with(&gateway, &mortal(3600, 0));
    let mut watcher = Raw::connect_with(&gateway, &keeper(V5, "watcher"));
    watcher.subscribe("wills/#", 1);
    gateway.kill();
    drop(client);
    let gateway = site.start();
    let mut watcher = Raw::resume(&gateway, &keeper(V5, "watcher"));
    assert_eq!(watcher.text(), "gone");
    watcher.ping();
    assert_eq!(gateway.stop().code(), Some(0));
    let gateway = site.start();
    let mut watcher = Raw::resume(&gateway, &keeper(V5, "watcher"));
    assert_eq!(watcher.messages(), [], "once is enough");
    leave(Raw::resume(&gateway, &mortal(3600, 0)));
    assert_eq!(gateway.stop().code(), Some(0));
}

const EVERYTHING: &str = "[[rule]]\nallow = \"both\"\nfilter = \"#\"\n";
const NO_WILLS: &str = "[[rule]]\nallow = \"both\"\nfilter = \"#\"\n\
                        [[rule]]\ndeny = \"publish\"\nfilter = \"wills/%c\"\n";

/// A client whose will comes when its session ends, which is when it cleans up.
fn named(name: &str) -> Connect<'_> {
    let delay = Property::Four(WILL_DELAY, 3600);
    let will = Publish::new(&format!("wills/{name}"), name).with(delay);
    keeper(V5, name).will(will)
}

#[test]
fn a_delayed_will_is_dropped_if_its_client_may_not_publish_it_any_more() {
    let site = Site::new()
        .environment("EDGE_GATEWAY_MQTT__ACL_FILE", "acl.toml")
        .allow(&["will refused"]);
    fs::write(site.path("acl.toml"), EVERYTHING).unwrap();
    let gateway = site.start();
    for name in ["first", "second"] {
        lose(Raw::connect_with(&gateway, &named(name)));
    }
    let is_refused = |gateway: &Gateway<'_>, name: &str| {
        let mut watcher = Raw::connect(gateway, V5, "watcher");
        watcher.subscribe("wills/#", 1);
        leave(Raw::connect(gateway, V5, name));
        // Behind the will at the committer.
        watcher.publish(Publish::new("sensors/s", "1").qos(1, 0));
        assert_eq!(watcher.messages(), [], "{name}");
        let name = "gateway_mqtt_dropped_total{reason=\"not_authorized\"}";
        assert_eq!(metric(gateway, name), 1.0);
        assert!(gateway.log().contains("will refused"));
    };
    fs::write(site.path("acl.toml"), NO_WILLS).unwrap();
    signal(gateway.pid(), "HUP");
    wait_until("the ACL is reloaded", || {
        gateway.log().contains("tokens are reloaded")
    });
    is_refused(&gateway, "first");
    gateway.kill();
    let gateway = site.start();
    is_refused(&gateway, "second");
    assert_eq!(gateway.stop().code(), Some(0));

    // Without the rule it comes.
    fs::write(site.path("acl.toml"), EVERYTHING).unwrap();
    let gateway = site.start();
    let mut watcher = Raw::connect(&gateway, V5, "watcher");
    watcher.subscribe("wills/#", 1);
    lose(Raw::connect_with(&gateway, &named("third")));
    leave(Raw::connect(&gateway, V5, "third"));
    assert_eq!(watcher.text(), "third");
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn a_delayed_will_that_is_due_after_a_restart_asks_the_acl() {
    let site = Site::new()
        .environment("EDGE_GATEWAY_MQTT__ACL_FILE", "acl.toml")
        .allow(&["will refused"]);
    fs::write(site.path("acl.toml"), EVERYTHING).unwrap();
    let gateway = site.start();
    let client = Raw::connect_with(&gateway, &mortal(3600, 0));
    gateway.kill();
    drop(client);
    let denied = NO_WILLS.replace("wills/%c", "wills/#");
    fs::write(site.path("acl.toml"), denied).unwrap();
    let gateway = site.start();
    wait_until("the will is refused", || {
        gateway.log().contains("will refused")
    });
    assert_eq!(gateway.stop().code(), Some(0));
}
