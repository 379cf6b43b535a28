//! Who may come, and what they may do: users and ACL, enforced at CONNECT, publish, will, subscribe and delivery, and for
//! living connections when the files are read anew.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::frames::{Connect, Publish, V5, V311};
use crate::support::raw::{Raw, refusal};
use crate::support::{Gateway, Site, command, signal};

const ACL: &str = r#"
[groups]
staff = ["ann"]

[[rule]]
allow = "publish"
filter = "sensors/%u/#"

[[rule]]
allow = "subscribe"
filter = "alerts/#"
group = "staff"

[[rule]]
allow = "both"
filter = "open/#"

[[rule]]
deny = "both"
filter = "open/secret"
"#;

/// A site where ann (password "a") and bob (password "b") may come, and the ACL stands.
fn site() -> Site {
    let site = Site::new()
        .environment("EDGE_GATEWAY_MQTT__ANONYMOUS", "never")
        .environment("EDGE_GATEWAY_MQTT__USERS_FILE", "users")
        .environment("EDGE_GATEWAY_MQTT__ACL_FILE", "acl.toml");
    fs::write(site.path("acl.toml"), ACL).unwrap();
    for (name, password) in [("ann", "a"), ("bob", "b")] {
        change_users(&site, &["add", name], password);
    }
    site
}

fn change_users(site: &Site, arguments: &[&str], password: &str) {
    fs::write(site.path("password"), password).unwrap();
    let mut command = command();
    command.arg("user").args(arguments);
    if arguments[0] == "add" {
        command.arg("--password-file").arg(site.path("password"));
    }
    let done = command
        .arg("--users-file")
        .arg(site.path("users"))
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
}

fn serve(site: Site, test: impl FnOnce(&Site, &Gateway<'_>)) {
    let site = site.allow(&["publish refused"]);
    let gateway = site.start();
    test(&site, &gateway);
    assert_eq!(gateway.stop().code(), Some(0));
}

fn connect(gateway: &Gateway<'_>, version: u8, name: &str) -> Raw {
    let credentials = Connect::new(version, name).credentials(name, &name[..1]);
    Raw::connect_with(gateway, &credentials)
}

#[test]
fn only_who_has_the_password_comes_in_and_a_failed_login_waits() {
    serve(site(), |_, gateway| {
        for (version, bad_credentials, not_authorized) in [(V311, 4, 5), (V5, 0x86, 0x87)] {
            connect(gateway, version, "ann");
            for (name, password) in [("ann", "wrong"), ("carl", "a"), ("", "a")] {
                let asked = Instant::now();
                let mut client = Raw::open(gateway, version);
                client.send(
                    &Connect::new(version, "x")
                        .credentials(name, password)
                        .bytes(),
                );
                assert_eq!(client.rest(), [refusal(version, bad_credentials)]);
                assert!(Duration::from_secs(1) <= asked.elapsed(), "{name}");
            }
            let mut stranger = Raw::open(gateway, version);
            stranger.send(&Connect::new(version, "x").bytes());
            assert_eq!(stranger.rest(), [refusal(version, not_authorized)]);
        }
    });
}

#[test]
fn publishes_wills_and_subscriptions_need_a_grant() {
    serve(site(), |site, gateway| {
        let mut ann = connect(gateway, V5, "ann");
        assert_eq!(
            ann.publish(Publish::new("sensors/ann/s1", "1").qos(1, 1)),
            0
        );
        assert_eq!(
            ann.publish(Publish::new("sensors/bob/s2", "2").qos(1, 1)),
            0x87
        );
        assert_eq!(
            ann.publish(Publish::new("open/secret", "x").qos(2, 1)),
            0x87
        );
        assert_eq!(ann.subscribe("alerts/#", 1), 1);
        assert_eq!(ann.subscribe("sensors/#", 1), 0x87);
        assert_eq!(ann.subscribe("open/secret", 1), 0x87);

        let mut bob = connect(gateway, V311, "bob");
        assert_eq!(
            bob.publish(Publish::new("sensors/ann/s3", "3").qos(1, 1)),
            0
        );
        assert_eq!(bob.subscribe("alerts/#", 1), 0x80);

        let mut mortal = Raw::open(gateway, V5);
        let will = Publish::new("sensors/ann/s4", "4");
        let connect = Connect::new(V5, "m").credentials("bob", "b").will(will);
        mortal.send(&connect.bytes());
        assert_eq!(mortal.rest(), [refusal(V5, 0x87)]);

        let stored: Vec<String> = site.sql_all("SELECT sensor_id FROM readings");
        assert_eq!(
            stored,
            ["s1"],
            "what was refused is not stored, whatever 3.1.1 is told"
        );
    });
}

#[test]
fn a_message_is_delivered_only_to_who_may_receive_it() {
    let site = site();
    let acl = format!(
        "{ACL}\n[[rule]]\nallow = \"publish\"\nfilter = \"open/secret/x\"\n\n[[rule]]\ndeny = \"subscribe\"\nfilter = \"open/secret/x\"\n"
    );
    fs::write(site.path("acl.toml"), acl).unwrap();
    serve(site, |_, gateway| {
        let mut bob = connect(gateway, V5, "bob");
        assert_eq!(bob.subscribe("open/#", 1), 1);
        let mut ann = connect(gateway, V5, "ann");
        assert_eq!(
            ann.publish(Publish::new("open/secret/x", "hidden").qos(1, 1)),
            0
        );
        assert_eq!(ann.publish(Publish::new("open/door", "seen").qos(1, 1)), 0);
        assert_eq!(bob.text(), "seen");
    });
}

#[test]
fn a_reload_applies_to_living_connections() {
    serve(site(), |site, gateway| {
        let mut ann = connect(gateway, V5, "ann");
        let mut bob = connect(gateway, V5, "bob");
        assert_eq!(bob.publish(Publish::new("new/place", "x").qos(1, 1)), 0x87);
        let acl = format!("{ACL}\n[[rule]]\nallow = \"both\"\nfilter = \"new/#\"\n");
        fs::write(site.path("acl.toml"), acl).unwrap();
        change_users(site, &["remove", "ann"], "");
        signal(gateway.pid(), "HUP");
        ann.is_dismissed(0x87);
        assert_eq!(bob.publish(Publish::new("new/place", "x").qos(1, 1)), 0);
    });
}
