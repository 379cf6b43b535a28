//! What `docs/monitoring` names is there: metrics, their types, their labels and the values of these.

mod exposition;
mod expressions;
mod files;

use std::collections::BTreeSet;
use std::fs;

use exposition::Exposition;

use crate::support::frames::{Publish, V5};
use crate::support::http::{get, post};
use crate::support::raw::Raw;
use crate::support::{Gateway, Site, repository};

/// Name, type and labels.
const CONTRACT: &[(&str, &str, &[&str])] = &[
    ("gateway_readings_received_total", "counter", &["transport"]),
    ("gateway_readings_committed_total", "counter", &[]),
    ("gateway_readings_rejected_total", "counter", &["reason"]),
    ("gateway_readings_lost_total", "counter", &["reason"]),
    ("gateway_alerts_total", "counter", &["rule", "state"]),
    ("gateway_commit_seconds", "histogram", &[]),
    ("gateway_commit_readings", "histogram", &[]),
    ("gateway_store_bytes", "gauge", &[]),
    ("gateway_store_written_bytes_total", "counter", &[]),
    ("gateway_outbox_pending", "gauge", &[]),
    ("gateway_outbox_oldest_seconds", "gauge", &[]),
    ("gateway_uplink_requests_total", "counter", &["verdict"]),
    ("gateway_uplink_readings_total", "counter", &[]),
    ("gateway_mqtt_connections", "gauge", &[]),
    (
        "gateway_mqtt_messages_total",
        "counter",
        &["direction", "qos"],
    ),
    ("gateway_queue_depth", "gauge", &["queue"]),
    ("gateway_dead_letters", "gauge", &[]),
];

/// A site with an uplink where nobody listens.
fn site() -> Site {
    Site::with("[cloud]\nurl = \"https://127.0.0.1:9/\"\n").allow(&["batch not delivered"])
}

fn scrape(gateway: &Gateway<'_>) -> Exposition {
    let answer = get(gateway, "/metrics");
    assert_eq!(answer.status, 200, "{answer:?}");
    Exposition::read(&answer.body)
}

#[test]
fn every_name_of_the_contract_has_its_type_and_labels_from_the_start() {
    let site = site();
    let gateway = site.start();
    let found = scrape(&gateway);
    for (name, kind, labels) in CONTRACT {
        let family = &found.families[*name];
        assert_eq!(
            (&*family.kind, family.help.is_empty()),
            (*kind, false),
            "{name}"
        );
        assert_eq!(family.labels(), labels.iter().copied().collect(), "{name}");
    }
    for (name, family) in &found.families {
        assert!(
            !family.series.is_empty(),
            "{name} has no series before the first event"
        );
        if name.contains("seconds") {
            assert!(family.help.contains("seconds"), "{name}: {}", family.help);
        }
        if name.contains("bytes") {
            assert!(
                family.help.to_lowercase().contains("bytes"),
                "{name}: {}",
                family.help
            );
        }
    }
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn no_traffic_adds_a_series_that_was_not_there() {
    let site = site();
    let gateway = site.start();
    let before = scrape(&gateway);
    let mut client = Raw::connect(&gateway, V5, "sensor-7");
    for payload in [
        "80",
        "{}",
        "",
        "{\"value\":\"x\"}",
        "{\"value\":1,\"ts\":-1}",
        "[",
        "\u{fffd}",
    ] {
        client.publish(Publish::new("sensors/s7", payload).qos(1, 0));
        client.publish(Publish::new("elsewhere/t7", payload).qos(0, 0));
    }
    client.publish(Publish::new("status/d7", "online").qos(2, 0));
    assert_eq!(
        post(&gateway, "/data", r#"{"id":"s8","value":90}"#).status,
        201
    );
    let after = scrape(&gateway);
    let series = |found: &Exposition| -> BTreeSet<String> {
        let all = found.families.values().flat_map(|family| &family.series);
        all.map(|series| format!("{series:?}")).collect()
    };
    assert_eq!(series(&after), series(&before));
    for (name, labels, least) in [
        ("gateway_readings_received_total", "transport=http", 1.0),
        ("gateway_readings_received_total", "transport=mqtt", 1.0),
        ("gateway_readings_rejected_total", "reason=syntax", 1.0),
        ("gateway_alerts_total", "state=raised", 2.0),
        ("gateway_mqtt_messages_total", "qos=1", 7.0),
        ("gateway_uplink_pending", "uplink=cloud", 2.0),
        ("gateway_ready", "check=store", 1.0),
        ("process_resident_memory_bytes", "", 1e6),
        ("gateway_store_free_bytes", "", 1.0),
        ("process_start_time_seconds", "", 1.5e9),
    ] {
        let value = after.sum(name, labels);
        assert!(least <= value, "{name}{{{labels}}}: {value}");
    }
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn dashboard_alerts_and_tests_name_only_what_is_there() {
    let site = site();
    let gateway = site.start();
    let found = scrape(&gateway);
    let all = files::expressions();
    assert!(60 < all.len(), "{}", all.len());
    let faults: Vec<String> = all
        .iter()
        .flat_map(|(place, expression)| {
            let faults = expressions::faults(expression, &found);
            faults
                .into_iter()
                .map(move |fault| format!("{place}: {fault}: {expression}"))
        })
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn the_table_of_metrics_is_complete_and_right() {
    let site = site();
    let gateway = site.start();
    let found = scrape(&gateway);
    let table = files::table();
    let names = |names: Vec<&String>| names.into_iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(
        names(table.keys().collect()),
        names(found.families.keys().collect())
    );
    for (name, (kind, labels)) in &table {
        let family = &found.families[name];
        assert_eq!(&family.kind, kind, "{name}");
        let expected: BTreeSet<&str> = labels.iter().map(String::as_str).collect();
        assert_eq!(family.labels(), expected, "{name}");
    }
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn every_word_that_a_room_has_for_a_label_is_there_from_the_start() {
    let site = site();
    let gateway = site.start();
    let found = scrape(&gateway);
    for (file, metric, others) in [
        (
            "ingest/decode/mod.rs",
            "gateway_readings_rejected_total",
            &["devices", "sensors"][..],
        ),
        ("forwarder/verdict.rs", "gateway_uplink_requests_total", &[]),
        ("broker/connect.rs", "gateway_mqtt_refused_total", &[]),
    ] {
        let text = fs::read_to_string(repository().join("gateway/src").join(file)).unwrap();
        let (_, body) = text.split_once("fn label(").expect(file);
        let body = body.split_once("\n    }\n").expect(file).0;
        let mut words: BTreeSet<&str> = body.split('"').skip(1).step_by(2).collect();
        words.extend(others);
        let series = found.families[metric].series.iter();
        let values: BTreeSet<&str> = series
            .flat_map(|(_, labels)| labels.values().map(String::as_str))
            .collect();
        assert_eq!(values, words, "{metric}");
    }
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn operations_say_what_to_do_at_each_alarm() {
    let read = |name: &str| fs::read_to_string(repository().join(name)).unwrap();
    let (rules, operations) = (
        read("docs/monitoring/alerts.yml"),
        read("docs/operations.md"),
    );
    let alarms = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let untold: Vec<&str> = alarms
        .clone()
        .filter(|alarm| !operations.contains(&format!("`{alarm}`")))
        .collect();
    assert!(10 < alarms.count());
    assert!(untold.is_empty(), "{untold:?}");
}
