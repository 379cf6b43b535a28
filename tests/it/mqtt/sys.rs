//! `$SYS/broker/…` under the names that Mosquitto gives.

use super::serve;
use crate::support::frames::{BOTH, Publish};
use crate::support::raw::Raw;

#[test]
fn the_broker_says_how_it_goes_under_sys() {
    serve(|gateway| {
        for version in BOTH {
            let mut client = Raw::connect(gateway, version, "watcher");
            client.subscribe("$SYS/#", 0);
            let found = client.messages();
            let shown = |name: &str| {
                let topic = format!("$SYS/broker/{name}");
                let message = found.iter().find(|message| message.topic == topic);
                let message = message.unwrap_or_else(|| panic!("no {topic} in {found:?}"));
                assert!(message.is_retained);
                message.text().to_owned()
            };
            let expected = format!("edge-gateway version {}", env!("CARGO_PKG_VERSION"));
            assert_eq!(shown("version"), expected);
            assert!(shown("uptime").ends_with(" seconds"));
            for name in [
                "clients/connected",
                "messages/received",
                "messages/sent",
                "publish/messages/dropped",
                "subscriptions/count",
                "retained messages/count",
            ] {
                shown(name).parse::<u64>().unwrap();
            }
        }
    });
}

#[test]
fn who_subscribes_to_everything_is_not_told_of_sys() {
    serve(|gateway| {
        let mut client = Raw::connect(gateway, BOTH[0], "everything");
        client.subscribe("#", 0);
        client.subscribe("+/broker/#", 0);
        client.publish(Publish::new("plain", "x"));
        assert_eq!(client.text(), "x");
        assert_eq!(client.messages(), []);
    });
}
