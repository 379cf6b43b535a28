//! A damaged store: the gateway starts, or goes on, serves at once, and what was readable comes back. Nothing that was damaged is
//! deleted.

mod at_start;
mod drawn;
mod moved;
mod running;
mod sectors;

use std::fs;
use std::path::{Path, PathBuf};

use simulator::cloud::{Cloud, RunningCloud};

use crate::support::http::{get_json, post, send, try_post};
use crate::support::{Gateway, Site, cloud_section, eventually};

/// What the log says of it.
const TOLD: [&str; 4] = [
    "commit failed",
    "the store is damaged",
    "is taken over as far as it can be read",
    "batch not delivered",
];

const READINGS: u64 = 1000;

/// A cloud that takes nothing yet, and a site that delivers to it.
async fn site() -> (RunningCloud, Site) {
    let cloud = Cloud::default().start().await.unwrap();
    cloud.set_outage(true);
    let site = Site::with(&cloud_section(&cloud, "")).allow(&TOLD);
    (cloud, site)
}

/// Readings with the values 1 to 1,000: half of them are for the cloud, a quarter raise alerts.
fn fill(gateway: &Gateway<'_>) {
    for first in (1..=READINGS).step_by(100) {
        let readings: Vec<String> = (first..first + 100)
            .map(|seq| {
                let value = seq % 100;
                format!(r#"{{"id":"s{}","value":{value},"seq":{seq}}}"#, seq % 5)
            })
            .collect();
        let body = format!("[{}]", readings.join(","));
        assert_eq!(post(gateway, "/data", &body).status, 201);
    }
}

/// More readings than the writer has memory for.
const MORE: i64 = 10_000;

/// Stores so many, so that the writer reads other pages again.
fn fill_memory(gateway: &Gateway<'_>) {
    let text = "x".repeat(500);
    let reading = |seq| format!(r#"{{"id":"s1","value":1,"seq":{seq},"text":"{text}"}}"#);
    for first in (0..MORE).step_by(1000) {
        let readings: Vec<String> = (first..first + 1000).map(reading).collect();
        let body = format!("[{}]", readings.join(","));
        assert_eq!(post(gateway, "/data", &body).status, 201);
    }
}

/// Asks for the first page of a table.
fn root_of(table: &str) -> String {
    format!("SELECT rootpage FROM sqlite_schema WHERE name = '{table}'")
}

/// The folders of damaged stores.
fn moved(site: &Site) -> Vec<PathBuf> {
    let entries = fs::read_dir(site.database().parent().unwrap()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = paths
        .filter(|path| path.is_dir() && path.to_string_lossy().contains(".damaged-"))
        .collect();
    found.sort();
    found
}

/// Waits until all that could be read is taken over.
async fn healed(site: &Site, gateway: &Gateway<'_>) {
    eventually("the salvage is over", || {
        let told = moved(site)
            .iter()
            .all(|folder| folder.join("salvaged.txt").exists());
        // It may be between two starts.
        let metrics = send(gateway, "GET /metrics", None, "").ok()?;
        let is_over = metrics.body.contains("\ngateway_store_salvage_running 0\n");
        (told && is_over).then_some(())
    })
    .await;
}

/// Waits until it takes readings.
async fn serves(gateway: &Gateway<'_>) {
    eventually("it serves", || {
        try_post(gateway, "/data", r#"{"id":"new","value":99}"#)
            .ok()
            .filter(|answer| answer.status == 201)
    })
    .await;
}

/// It takes a reading, with an id ahead of all others.
fn takes_readings(site: &Site, gateway: &Gateway<'_>) {
    let before: i64 = site.sql("SELECT coalesce(max(id), 0) FROM readings");
    assert_eq!(
        post(gateway, "/data", r#"{"id":"new","value":99}"#).status,
        201
    );
    let id: i64 = site.sql("SELECT max(id) FROM readings WHERE sensor_id = 'new'");
    assert!(before < id);
    assert_eq!(get_json(gateway, "/data")["new"], 99.0);
}

fn overwrite(path: &Path, at: usize, bytes: &[u8]) {
    let mut whole = fs::read(path).unwrap();
    whole[at..at + bytes.len()].copy_from_slice(bytes);
    fs::write(path, whole).unwrap();
}
