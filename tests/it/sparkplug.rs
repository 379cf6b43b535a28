//! Sparkplug B over MQTT: what nodes publish is stored, ruled and handed on, what is missing is asked for, births and deaths are
//! statuses.

use serde_json::json;

use crate::support::frames::{Connect, Publish, V311};
use crate::support::http::{get_json, post};
use crate::support::program::ask;
use crate::support::raw::Raw;
use crate::support::{Gateway, Site, wait_until};

/// A field of bytes, of a number, and of a double (Protocol Buffers, "Encoding").
fn bytes(field: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).unwrap();
    [&[field << 3 | 2, length], bytes].concat()
}

fn number(field: u8, number: u8) -> Vec<u8> {
    assert!(number < 128);
    vec![field << 3, number]
}

fn double(field: u8, value: f64) -> Vec<u8> {
    [&[field << 3 | 1][..], &value.to_le_bytes()].concat()
}

/// A metric by its alias, of a birth by its name as well.
fn metric(name: &str, alias: u8, value: f64) -> Vec<u8> {
    let name = if name.is_empty() {
        Vec::new()
    } else {
        [bytes(1, name.as_bytes()), number(4, 10)].concat()
    };
    bytes(2, &[name, number(2, alias), double(13, value)].concat())
}

fn session(number_of_it: u8) -> Vec<u8> {
    let metric = [bytes(1, b"bdSeq"), number(4, 4), number(11, number_of_it)];
    bytes(2, &metric.concat())
}

fn payload(seq: u8, metrics: &[Vec<u8>]) -> Vec<u8> {
    [metrics.concat(), number(3, seq)].concat()
}

fn site() -> Site {
    Site::with("[ingest.formats]\n\"spBv1.0/#\" = \"sparkplug-b\"\n")
}

fn node<'t>() -> Connect<'t> {
    let death = Publish::new("spBv1.0/plant/NDEATH/n1", session(3));
    Connect::new(V311, "n1").will(death)
}

fn serve(test: impl FnOnce(&Site, &Gateway<'_>)) {
    let site = site();
    let gateway = site.start();
    test(&site, &gateway);
    assert_eq!(gateway.stop().code(), Some(0));
}

fn say(node: &mut Raw, topic: &str, payload: &[u8]) {
    node.send(&Publish::new(&format!("spBv1.0/plant/{topic}"), payload).bytes(V311));
    node.ping();
}

#[test]
fn what_nodes_publish_is_stored_ruled_and_handed_on() {
    serve(|site, gateway| {
        let mut alerts = Raw::connect(gateway, V311, "alerts");
        alerts.subscribe("alerts/#", 1);
        let mut host = Raw::connect(gateway, V311, "host");
        host.subscribe("spBv1.0/#", 0);
        let mut node = Raw::connect_with(gateway, &node());
        let birth = payload(0, &[session(3), metric("boiler/temperature", 1, 20.0)]);
        say(&mut node, "NBIRTH/n1", &birth);
        let device = payload(1, &[metric("speed", 2, 1.5)]);
        say(&mut node, "DBIRTH/n1/pump", &device);
        let data = payload(2, &[metric("", 1, 80.5)]);
        say(&mut node, "NDATA/n1", &data);
        let payloads = [birth, device, data];
        for payload in &payloads {
            assert_eq!(host.message().payload, *payload);
        }
        let alert = alerts.message();
        assert_eq!(alert.topic, "alerts/plant/n1/boiler/temperature");
        let readings = "SELECT sensor_id || ' ' || value FROM readings ORDER BY id";
        let expected = [
            "plant/n1/boiler/temperature 20.0",
            "plant/n1/pump/speed 1.5",
            "plant/n1/boiler/temperature 80.5",
        ];
        assert_eq!(site.sql_all::<String>(readings), expected);
        let online = json!({"plant:n1": "online", "plant:n1:pump": "online"});
        assert_eq!(get_json(gateway, "/status"), online);
        // Without a good-bye.
        drop(node);
        let offline = json!({"plant:n1": "offline", "plant:n1:pump": "offline"});
        wait_until("its will is told", || {
            get_json(gateway, "/status") == offline
        });
        assert_eq!(site.sql::<i64>("SELECT count(*) FROM rejects"), 0);
    });
}

#[test]
fn a_birth_that_was_not_seen_is_asked_for_and_what_it_explains_can_be_read_then() {
    serve(|site, gateway| {
        let mut node = Raw::connect_with(gateway, &node());
        node.subscribe("spBv1.0/plant/NCMD/n1", 1);
        let data = payload(7, &[metric("", 1, 55.5)]);
        say(&mut node, "NDATA/n1", &data);
        let request = node.message();
        assert_eq!(request.topic, "spBv1.0/plant/NCMD/n1");
        assert!(
            request
                .payload
                .windows(20)
                .any(|part| part == b"Node Control/Rebirth")
        );
        wait_until("it is among the rejects", || {
            site.sql::<i64>("SELECT count(*) FROM rejects") == 1
        });
        let (code, _, told) = ask(gateway, &["rejects", "retry", "1"]);
        assert_ne!(code, Some(0));
        assert!(told.contains("birth"), "{told}");
        let birth = payload(0, &[session(3), metric("temperature", 1, 20.0)]);
        say(&mut node, "NBIRTH/n1", &birth);
        let retried = post(gateway, "/api/v1/rejects/1/retry", "");
        assert_eq!(retried.status, 200, "{retried:?}");
        let readings = "SELECT sensor_id || ' ' || value FROM readings ORDER BY id";
        let expected = ["plant/n1/temperature 20.0", "plant/n1/temperature 55.5"];
        assert_eq!(site.sql_all::<String>(readings), expected);
        assert_eq!(site.sql::<i64>("SELECT count(*) FROM rejects"), 0);
        // The next in its order is no reason to ask.
        say(&mut node, "NDATA/n1", &payload(1, &[metric("", 1, 2.0)]));
        assert!(!node.has_message());
    });
}

/// What they are called is not in a node's death: it is remembered over a restart.
#[test]
fn a_death_reaches_devices_that_were_born_before_a_restart() {
    let site = site();
    let gateway = site.start();
    // A node's name may look like another's device.
    let mut odd = Raw::connect(&gateway, V311, "odd");
    say(&mut odd, "NBIRTH/n1:odd", &payload(0, &[session(3)]));
    for name in ["n1", "n2", "n10"] {
        let mut node = Raw::connect(&gateway, V311, name);
        say(
            &mut node,
            &format!("NBIRTH/{name}"),
            &payload(0, &[session(3)]),
        );
        for device in ["pump", "valve"] {
            let birth = payload(1, &[metric("speed", 2, 1.5)]);
            say(&mut node, &format!("DBIRTH/{name}/{device}"), &birth);
        }
    }
    wait_until("all are told", || {
        site.sql::<i64>("SELECT count(*) FROM statuses") == 10
    });
    gateway.kill();
    let gateway = site.start();
    let mut odd = Raw::connect(&gateway, V311, "odd");
    say(&mut odd, "NBIRTH/n1:odd", &payload(0, &[session(4)]));
    let mut n1 = Raw::connect(&gateway, V311, "n1");
    say(
        &mut n1,
        "DBIRTH/n1/valve",
        &payload(1, &[metric("speed", 2, 1.5)]),
    );
    say(&mut n1, "NDEATH/n1", &session(3));
    let mut n2 = Raw::connect(&gateway, V311, "n2");
    say(&mut n2, "NBIRTH/n2", &payload(0, &[session(4)]));
    say(
        &mut n2,
        "DBIRTH/n2/valve",
        &payload(1, &[metric("speed", 2, 1.5)]),
    );
    let expected = json!({
        "plant:n1:odd": "online",
        "plant:n1": "offline", "plant:n1:pump": "offline", "plant:n1:valve": "offline",
        // Born anew, without one of its devices.
        "plant:n2": "online", "plant:n2:pump": "offline", "plant:n2:valve": "online",
        "plant:n10": "online", "plant:n10:pump": "online", "plant:n10:valve": "online",
    });
    wait_until("all is told", || get_json(&gateway, "/status") == expected);
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn commands_and_states_are_ordinary_messages() {
    serve(|site, gateway| {
        let mut node = Raw::connect(gateway, V311, "n1");
        node.subscribe("spBv1.0/#", 1);
        let mut host = Raw::connect(gateway, V311, "host");
        let topics = ["plant/NCMD/n1", "plant/DCMD/n1/pump", "STATE/host"];
        for topic in topics {
            let topic = format!("spBv1.0/{topic}");
            host.publish(Publish::new(&topic, "of others").qos(1, 0));
            assert_eq!(node.message().topic, topic);
        }
        for view in ["readings", "rejects", "statuses"] {
            assert_eq!(site.sql::<i64>(&format!("SELECT count(*) FROM {view}")), 0);
        }
    });
}
