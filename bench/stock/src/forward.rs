//! The way to the cloud: batches read from the outbox, posted until they are taken.

use std::{
    path::Path,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use reqwest::blocking::Client;
use serde::Serialize;

use crate::store::{self, Work};

const BATCH_READINGS: i64 = 1_000;
const TIMEOUT: Duration = Duration::from_secs(30);
const RETRY_INITIAL: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
const STOP_POLL: Duration = Duration::from_millis(100);
/// How long the rest of the outbox may take once the gateway stops.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

#[derive(Serialize)]
struct Batch {
    gateway_id: &'static str,
    readings: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    id: i64,
    sensor_id: String,
    value: f64,
    received_at: i64,
    seq: Option<i64>,
}

/// Forwards until `stop` and the outbox is empty, or the time for that is over; says how many readings were taken.
pub(crate) fn run(
    path: &Path,
    url: &str,
    work: &SyncSender<Work>,
    wake: &Receiver<()>,
    stop: &AtomicBool,
) -> Result<u64> {
    let connection = store::open(path)?;
    let client = Client::builder().timeout(TIMEOUT).build()?;
    let (mut delivered, mut after, mut retry) = (0, 0, RETRY_INITIAL);
    let mut deadline = None;
    loop {
        if stop.load(Ordering::Relaxed) {
            let end = *deadline.get_or_insert_with(|| Instant::now() + DRAIN_LIMIT);
            if end < Instant::now() {
                return Ok(delivered);
            }
        }
        let batch = read(&connection, after)?;
        let (Some(first), Some(last)) = (batch.readings.first(), batch.readings.last()) else {
            if deadline.is_some()
                || wake.recv_timeout(STOP_POLL) == Err(RecvTimeoutError::Disconnected)
            {
                return Ok(delivered);
            }
            continue;
        };
        match post(&client, url, &batch) {
            Ok(()) => {
                delivered += batch.readings.len() as u64;
                (after, retry) = (last.id, RETRY_INITIAL);
                let (first, last) = (first.id, last.id);
                work.send(Work::Delivered { first, last })
                    .context("the store is gone")?;
            }
            Err(error) => {
                eprintln!("stock-gateway: not delivered, trying again: {error:#}");
                wait(retry, stop);
                retry = (retry * 2).min(RETRY_MAX);
            }
        }
    }
}

fn read(connection: &rusqlite::Connection, after: i64) -> Result<Batch> {
    let mut statement = connection.prepare_cached(
        "SELECT r.id, r.sensor_id, r.value, r.received_at, r.seq FROM outbox o
         JOIN readings r ON r.id = o.reading_id WHERE o.reading_id > ?1 ORDER BY o.reading_id LIMIT ?2",
    )?;
    let rows = statement.query_map((after, BATCH_READINGS), |row| {
        Ok(Row {
            id: row.get(0)?,
            sensor_id: row.get(1)?,
            value: row.get(2)?,
            received_at: row.get(3)?,
            seq: row.get(4)?,
        })
    })?;
    Ok(Batch {
        gateway_id: "stock",
        readings: rows.collect::<rusqlite::Result<_>>()?,
    })
}

fn post(client: &Client, url: &str, batch: &Batch) -> Result<()> {
    let request = client
        .post(url)
        .header("Content-Type", "application/json")
        .body(serde_json::to_vec(batch)?);
    request.send()?.error_for_status()?;
    Ok(())
}

fn wait(pause: Duration, stop: &AtomicBool) {
    let end = Instant::now() + pause;
    while Instant::now() < end && !stop.load(Ordering::Relaxed) {
        thread::sleep(STOP_POLL);
    }
}
