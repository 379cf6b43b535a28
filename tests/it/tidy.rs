//! The layer rule, as a test. Lower rank may not name higher rank; equal ranks may not name each other.
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Rooms from the bottom up. A room may use only rooms on a strictly lower row.
const LAYERS: &[&[&str]] = &[
    &["domain"],
    &["background", "clock", "metrics", "logging", "service"],
    &["config"],
    &["tls", "access"],
    &["rules", "store"],
    &["ingest"],
    &["broker", "forwarder", "http"],
    &["app"],
    &["cli"],
    &["main", "lib"],
];
/// The only rooms that may name each outside crate.
const OWNERS: &[(&str, &[&str])] = &[
    ("rusqlite", &["store"]),
    ("reqwest", &["forwarder"]),
    ("rumqttc", &["forwarder"]),
    ("axum", &["http"]),
    ("hyper", &["http"]),
    ("hyper_util", &["http"]),
    ("cel", &["rules"]),
    ("clap", &["cli"]),
    ("utoipa", &["http"]),
    ("tower_http", &["http"]),
    ("ratatui", &["cli"]),
    ("crossterm", &["cli"]),
    ("jiff", &["cli"]),
    ("parquet", &["cli"]),
    ("postcard", &["rules"]),
    ("regex", &["rules"]),
    ("minicbor", &["ingest"]),
    ("prost", &["ingest"]),
    ("mqtt_protocol_core", &["broker"]),
    ("tokio_tungstenite", &["broker"]),
    ("tungstenite", &["broker"]),
    ("httparse", &["broker"]),
    ("tokio_rustls", &["tls"]),
    ("webpki", &["tls"]),
    ("argon2", &["access"]),
    ("rustix", &["clock", "store"]),
    ("kernel_clock", &["clock"]),
    ("listenfd", &["service"]),
    ("sd_notify", &["service"]),
    ("anyhow", &["app", "cli", "main"]),
];
const MAX_LINES: usize = 400;

#[test]
fn rooms_respect_their_walls() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut faults = Vec::new();
    for file in rust_files(&src) {
        let text = fs::read_to_string(&file).unwrap();
        let shown = file.strip_prefix(&src).unwrap().display().to_string();
        let room = shown.split(['/', '.']).next().unwrap().to_owned();
        let production = text.split("#[cfg(test)]\nmod ").next().unwrap();
        if !text.starts_with("//!") {
            faults.push(format!("{shown}: first line is not `//!`"));
        }
        if MAX_LINES < production.lines().count() {
            faults.push(format!("{shown}: over {MAX_LINES} lines"));
        }
        let Some(own) = rank(&room) else {
            faults.push(format!("{shown}: room not in LAYERS"));
            continue;
        };
        for hidden in ["crate::{", "super::super"] {
            if production.contains(hidden) {
                faults.push(format!("{shown}: `{hidden}` hides which room is named"));
            }
        }
        for line in production
            .lines()
            .map(str::trim)
            .filter(|line| !line.starts_with("//"))
        {
            for other in line.split("crate::").skip(1).map(|rest| {
                rest.split(|c: char| !c.is_alphanumeric() && c != '_')
                    .next()
                    .unwrap()
            }) {
                if other != room && rank(other).is_some_and(|theirs| own <= theirs) {
                    faults.push(format!("{shown}: `{room}` may not name `{other}`"));
                }
            }
            for (krate, owners) in OWNERS {
                if line.contains(&format!("{krate}::")) && !owners.contains(&room.as_str()) {
                    faults.push(format!("{shown}: only {owners:?} may name `{krate}`"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn rank(room: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&room))
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ext| ext == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
    found
}
