//! Wills: published when a client is lost, and only then.

use super::serve;
use crate::support::frames::{BOTH, Connect, Publish, V5, V311, disconnect, packet};
use crate::support::http::get_json;
use crate::support::raw::Raw;

/// What ends the client's connection, and whether its will is due.
type Ending = (&'static str, fn(&mut Raw), bool);

#[test]
fn a_will_is_published_when_the_client_did_not_say_goodbye() {
    let endings: [Ending; 3] = [
        ("a broken connection", Raw::shut_down, true),
        (
            "a violation",
            |client| client.send(&packet(0x00, &[])),
            true,
        ),
        ("a goodbye", |client| client.send(&disconnect()), false),
    ];
    let only_v5: [Ending; 2] = [
        (
            "a goodbye with will",
            |client| client.send(&packet(0xE0, &[0x04])),
            true,
        ),
        (
            "a normal goodbye",
            |client| client.send(&packet(0xE0, &[0x00])),
            false,
        ),
    ];
    serve(|gateway| {
        let mut watcher = Raw::connect(gateway, V311, "watcher");
        watcher.subscribe("wills/#", 2);
        for version in BOTH {
            let more = if version == V5 { &only_v5[..] } else { &[] };
            for (what, end, is_due) in endings.iter().chain(more) {
                for qos in [0, 1, 2] {
                    let will = Publish::new("wills/a", what).qos(qos, 0);
                    let connect = Connect::new(version, "mortal").will(will);
                    let mut mortal = Raw::connect_with(gateway, &connect);
                    end(&mut mortal);
                    mortal.rest();
                    // The gateway knows of the end: the next client with the same name finds no one.
                    if *is_due {
                        let found = watcher.message();
                        assert_eq!((found.text(), found.qos), (*what, qos), "{version}");
                    }
                }
            }
        }
        watcher.publish(Publish::new("wills/end", "the end"));
        assert_eq!(watcher.text(), "the end", "a will that was not due");
    });
}

#[test]
fn a_will_on_a_status_topic_is_the_devices_last_status() {
    serve(|gateway| {
        let mut watcher = Raw::connect(gateway, V5, "watcher");
        watcher.subscribe("status/+", 1);
        for version in BOTH {
            let will = Publish::new("status/d1", "offline").qos(1, 0).retained();
            let connect = Connect::new(version, "d1").will(will);
            let mut device = Raw::connect_with(gateway, &connect);
            device.publish(Publish::new("status/d1", r#"{"status":"online"}"#).qos(1, 0));
            assert_eq!(get_json(gateway, "/status")["d1"], "online");
            watcher.message();
            device.shut_down();
            assert_eq!(watcher.text(), "offline");
            assert_eq!(get_json(gateway, "/status")["d1"], "offline");
        }
        let mut newcomer = Raw::connect(gateway, V311, "newcomer");
        newcomer.subscribe("status/d1", 1);
        let found = newcomer.message();
        assert_eq!((found.text(), found.is_retained), ("offline", true));
    });
}

#[test]
fn a_will_on_a_topic_of_the_gateway_is_refused() {
    serve(|gateway| {
        for (version, reason) in [(V311, 5), (V5, 0x87)] {
            let connect = Connect::new(version, "liar").will(Publish::new("alerts/s1", "fake"));
            let mut client = Raw::open(gateway, version);
            client.send(&connect.bytes());
            assert_eq!(client.connack().0, reason);
            assert_eq!(client.rest(), []);
        }
    });
}
