//! Log lines: the message names the event, `docs/logs.md` has them all, and the filter can be changed while the gateway runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::frames::V5;
use crate::support::http::{Answer, get, get_json, post, put};
use crate::support::raw::Raw;
use crate::support::{Site, repository, wait_until};

/// Level and fields of each event.
type Events = BTreeMap<(String, String), BTreeSet<String>>;

/// Each `tracing::…!` of a text: its level and what stands between the parentheses.
fn macros(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for (start, _) in text.match_indices("tracing::") {
        let rest = &text[start + "tracing::".len()..];
        let Some((level, body)) = rest.split_once("!(") else {
            continue;
        };
        if ["error", "warn", "info", "debug", "trace"].contains(&level) {
            found.push((level, &body[..closing(body)]));
        }
    }
    found
}

/// Where the parenthesis closes that is open at the beginning.
fn closing(text: &str) -> usize {
    let (mut depth, mut is_text, mut is_escaped) = (1, false, false);
    for (place, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = is_text,
            '"' => is_text = !is_text,
            '(' | '[' | '{' if !is_text => depth += 1,
            ')' | ']' | '}' if !is_text => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return place;
        }
    }
    panic!("a macro without an end: {text}");
}

/// The message and the fields.
fn parts(body: &str) -> Option<(&str, BTreeSet<String>)> {
    let head = body.trim().trim_end_matches(',').strip_suffix('"')?;
    let (fields, message) = head.rsplit_once('"')?;
    let mut names = BTreeSet::new();
    let mut depth = 0;
    let outside = |c: char| {
        depth += i32::from("([{".contains(c)) - i32::from(")]}".contains(c));
        depth == 0 && c == ','
    };
    for field in fields.split(outside).map(str::trim) {
        let name = field
            .split(['=', ' '])
            .next()?
            .trim_start_matches(['%', '?']);
        if !name.is_empty() {
            names.insert(name.to_owned());
        }
    }
    Some((message, names))
}

fn sources(folder: &Path, see: &mut impl FnMut(&Path, &str)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("tests") {
            sources(&path, see);
        } else if path.extension().is_some_and(|ext| ext == "rs") && !path.ends_with("tests.rs") {
            let text = fs::read_to_string(&path).unwrap();
            see(&path, text.split("#[cfg(test)]\nmod ").next().unwrap());
        }
    }
}

/// Checks all messages, and gives the events that are for operators.
fn events_of_source() -> Events {
    let mut events = Events::new();
    let mut faults = Vec::new();
    sources(&repository().join("gateway/src"), &mut |path, text| {
        if text.contains("use tracing::") || text.contains("tracing::event!") {
            faults.push(format!("{path:?}: events are written `tracing::level!(…)`"));
        }
        for (level, body) in macros(text) {
            match parts(body) {
                Some((message, fields))
                    if !message.contains(['{', '|', '`']) && !message.is_empty() =>
                {
                    if !["debug", "trace"].contains(&level) {
                        let key = (message.to_owned(), level.to_owned());
                        let known = events.entry(key).or_insert_with(|| fields.clone());
                        if *known != fields {
                            faults
                                .push(format!("{path:?}: {message:?} has other fields elsewhere"));
                        }
                    }
                }
                _ => faults.push(format!(
                    "{path:?}: its message is no constant sentence: {body}"
                )),
            }
        }
    });
    assert!(faults.is_empty(), "{faults:#?}");
    events
}

fn events_of_table() -> Events {
    let text = fs::read_to_string(repository().join("docs/logs.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let mut events = Events::new();
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, message, level, fields, when, advice, _] = cells[..] else {
            panic!("not five cells: {row}");
        };
        assert!(!when.is_empty() && !advice.is_empty(), "{row}");
        let fields = fields
            .split_whitespace()
            .map(|name| name.trim_matches('`').to_owned());
        let key = (message.trim_matches('`').to_owned(), level.to_owned());
        let before = events.insert(key, fields.collect());
        assert_eq!(before, None, "twice: {row}");
    }
    events
}

#[test]
fn the_table_of_events_and_the_source_agree() {
    let (source, table) = (events_of_source(), events_of_table());
    assert!(40 < source.len(), "{source:?}");
    let missing: Vec<_> = source
        .iter()
        .filter(|(key, _)| !table.contains_key(*key))
        .collect();
    assert!(missing.is_empty(), "not in docs/logs.md: {missing:#?}");
    let gone: Vec<_> = table
        .keys()
        .filter(|key| !source.contains_key(*key))
        .collect();
    assert!(gone.is_empty(), "only in docs/logs.md: {gone:#?}");
    for (key, fields) in &source {
        assert_eq!(&table[key], fields, "the fields of {key:?}");
    }
}

#[test]
fn macros_are_read_as_they_are_written() {
    let text = r#"
        tracing::warn!(%peer, id = f(1, "("), ?reason, "a \"b\": c");
        tracing::info!(
            "alone"
        );
    "#;
    let found = macros(text);
    assert_eq!(found.len(), 2);
    assert_eq!(parts(found[1].1).unwrap(), ("alone", BTreeSet::new()));
    assert_eq!(parts("level, text"), None);
    let (_, fields) =
        parts(r#"%peer, id = f(1, 2), ?reason, uplink = %self.name, "said""#).unwrap();
    let expected = ["id", "peer", "reason", "uplink"].map(str::to_owned);
    assert_eq!(fields, BTreeSet::from(expected));
}

#[test]
fn json_lines_are_flat_objects_with_the_event_as_their_message() {
    let site = Site::new();
    let gateway = site.start();
    assert_eq!(
        post(&gateway, "/data", r#"{"id":"s1","value":80}"#).status,
        201
    );
    let ended = gateway.stop_for_log();
    let known: BTreeSet<String> = events_of_table()
        .into_keys()
        .map(|(message, _)| message)
        .collect();
    assert!(
        ended.iter().any(|line| line.contains("\"stopped\"")),
        "{ended:?}"
    );
    for line in ended {
        let event: Value = serde_json::from_str(&line).unwrap();
        let fields = event.as_object().unwrap();
        assert!(
            fields
                .values()
                .all(|value| !value.is_object() && !value.is_array()),
            "{line}"
        );
        let text = |name: &str| fields[name].as_str().unwrap();
        assert!(
            text("timestamp").ends_with('Z') && text("timestamp").contains('T'),
            "{line}"
        );
        assert!(["ERROR", "WARN", "INFO"].contains(&text("level")), "{line}");
        assert!(text("target").starts_with("edge_gateway"), "{line}");
        assert!(known.contains(text("message")), "{line}");
    }
}

#[test]
fn the_log_filter_is_changed_while_the_gateway_runs_also_for_a_while() {
    let site = Site::new();
    let gateway = site.start();
    let path = "/api/v1/log-filter";
    let set =
        |body: Value| -> Answer { put(&gateway, path, "application/json", &body.to_string()) };
    assert_eq!(get_json(&gateway, path), json!({"filter": "info"}));
    let debug = "edge_gateway::broker=debug,info";
    let answer = set(json!({"filter": debug}));
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"filter": debug}))
    );
    assert_eq!(get_json(&gateway, path), json!({"filter": debug}));
    drop(Raw::connect(&gateway, V5, "looked-at"));
    wait_until("debug lines come", || {
        gateway.log().contains("client connected") && gateway.log().contains("looked-at")
    });
    for (body, status, part) in [
        (
            json!({"filter": "info,edge_gateway=loud"}),
            422,
            "edge_gateway=loud",
        ),
        (json!({"filter": ""}), 422, "empty"),
        (json!({"filter": "info", "for": "soon"}), 422, "soon"),
        (json!({"filter": "info", "for": "0s"}), 422, "for"),
        (json!({"filter": "info", "for": "8d"}), 422, "7d"),
        (json!({"level": "info"}), 422, "level"),
        (json!({}), 422, "filter"),
    ] {
        let answer = set(body.clone());
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        assert_eq!(answer.content_type(), "application/problem+json");
        assert!(
            answer.json()["detail"].as_str().unwrap().contains(part),
            "{answer:?}"
        );
    }
    assert_eq!(put(&gateway, path, "application/json", "{").status, 400);
    assert_eq!(get_json(&gateway, path), json!({"filter": debug}));
    let answer = set(json!({"filter": "off", "for": "300ms"})).json();
    assert_eq!(
        (&answer["filter"], &answer["then"]),
        (&json!("off"), &json!(debug))
    );
    assert!(answer["seconds_left"].as_f64().unwrap() <= 0.3, "{answer}");
    wait_until("the filter is back", || {
        get_json(&gateway, path) == json!({"filter": debug})
    });
    wait_until("both changes and the way back are said", || {
        gateway.log().matches("the log filter changes").count() == 3
    });
    assert_eq!(get(&gateway, "/readyz").status, 200);
    assert_eq!(gateway.stop().code(), Some(0));
}
