//! Wills of clients whose sessions are kept.

use super::{expiry, leave, serve};
use crate::support::Site;
use crate::support::frames::{Connect, Publish, V5, packet};
use crate::support::properties::{Property, WILL_DELAY};
use crate::support::raw::Raw;

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
    let mut watcher = Raw::connect_with(&gateway, &super::keeper(V5, "watcher"));
    watcher.subscribe("wills/#", 1);
    gateway.kill();
    drop(client);
    let gateway = site.start();
    let mut watcher = Raw::resume(&gateway, &super::keeper(V5, "watcher"));
    assert_eq!(watcher.text(), "gone");
    watcher.ping();
    assert_eq!(gateway.stop().code(), Some(0));
    let gateway = site.start();
    let mut watcher = Raw::resume(&gateway, &super::keeper(V5, "watcher"));
    assert_eq!(watcher.messages(), [], "once is enough");
    leave(Raw::resume(&gateway, &mortal(3600, 0)));
    assert_eq!(gateway.stop().code(), Some(0));
}
