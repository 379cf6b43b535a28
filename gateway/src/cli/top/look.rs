//! Looks at the gateway: what its API says in one round, and what it is told to do.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::cli::ask::{Door, Trouble};

/// So many sensors are shown at most; asking for more would be a load to the gateway.
const MAX_SENSORS: usize = 5000;
const PAGE: usize = 1000;

/// So many readings of the past begin the lines of values.
const PAST: usize = 2000;

/// What somebody wants done.
#[derive(Debug)]
pub(super) enum Order {
    Acknowledge(i64),
}

#[derive(Debug)]
pub(super) enum Report {
    Look(Result<Box<Look>, Trouble>),
    /// What became of an order.
    Done(String),
}

/// All of one round.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) gateway: Gateway,
    pub(super) outbox: Outbox,
    pub(super) sensors: Vec<Sensor>,
    pub(super) has_more_sensors: bool,
    pub(super) alerts: Vec<Alert>,
    pub(super) has_more_alerts: bool,
    /// Readings of before, oldest first. Only the first look has them.
    pub(super) past: Vec<Reading>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Gateway {
    pub(super) gateway_id: String,
    pub(super) version: String,
    pub(super) uptime_seconds: f64,
    pub(super) now: i64,
    pub(super) mqtt: Mqtt,
    pub(super) store: Store,
    pub(super) readings: Readings,
    pub(super) checks: Vec<Check>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Mqtt {
    pub(super) connections: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Store {
    pub(super) bytes: u64,
    pub(super) free_bytes: Option<u64>,
    pub(super) max_bytes: Option<u64>,
}

/// Since the start.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Readings {
    pub(super) received: u64,
    pub(super) committed: u64,
    pub(super) rejected: u64,
    pub(super) lost: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Check {
    pub(super) name: String,
    pub(super) ok: bool,
    pub(super) detail: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Outbox {
    pub(super) pending: u64,
    pub(super) oldest_seconds: Option<f64>,
    pub(super) uplinks: Vec<Uplink>,
    #[serde(default)]
    pub(super) forsaken: Vec<Uplink>,
}

/// A receiver, or one that was: of that only what waits is known.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Uplink {
    pub(super) name: String,
    pub(super) pending: u64,
    pub(super) oldest_seconds: Option<f64>,
    pub(super) last_verdict: Option<String>,
    pub(super) next_attempt_seconds: Option<f64>,
    pub(super) drain_seconds: Option<f64>,
    pub(super) held: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Sensor {
    pub(super) sensor_id: String,
    pub(super) count: u64,
    pub(super) last: Option<Reading>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Reading {
    pub(super) id: i64,
    pub(super) sensor_id: String,
    pub(super) value: f64,
    pub(super) received_at: i64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Alert {
    pub(super) alert_id: i64,
    pub(super) episode: i64,
    pub(super) rule: String,
    pub(super) state: String,
    pub(super) sensor_id: String,
    pub(super) value: f64,
    pub(super) ts: i64,
    pub(super) severity: Option<String>,
    pub(super) message: Option<String>,
}

#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    next: Option<i64>,
}

/// An error only if looking again would not help.
pub(super) fn try_out(door: &Door) -> Result<(), String> {
    match get::<Gateway>(door, "/api/v1/gateway") {
        Ok(_) | Err(Trouble::Passing(_)) => Ok(()),
        Err(Trouble::Lasting(words)) => Err(words),
    }
}

/// Looks again and again until nobody wants to know.
pub(super) fn go_on(
    door: &Door,
    interval: Duration,
    tell: &SyncSender<Report>,
    orders: &Receiver<Order>,
) {
    let mut wants_past = true;
    loop {
        let look = look(door, wants_past);
        wants_past &= look.is_err();
        if tell.send(Report::Look(look.map(Box::new))).is_err() {
            return;
        }
        match orders.recv_timeout(interval) {
            Ok(Order::Acknowledge(id)) => {
                if tell.send(Report::Done(acknowledge(door, id))).is_err() {
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn look(door: &Door, wants_past: bool) -> Result<Look, Trouble> {
    let gateway = get(door, "/api/v1/gateway")?;
    let outbox = get(door, "/api/v1/outbox")?;
    let (sensors, has_more_sensors) = sensors(door)?;
    let open = format!("/api/v1/alerts?state=open&limit={PAGE}");
    let alerts: Page<Alert> = get(door, &open)?;
    let mut past = Vec::new();
    if wants_past {
        let newest: Page<Reading> = get(door, &format!("/api/v1/readings?limit={PAST}"))?;
        past = newest.items;
        past.reverse();
    }
    Ok(Look {
        gateway,
        outbox,
        sensors,
        has_more_sensors,
        alerts: alerts.items,
        has_more_alerts: alerts.next.is_some(),
        past,
    })
}

/// All sensors, or as many as are shown and whether there are more.
fn sensors(door: &Door) -> Result<(Vec<Sensor>, bool), Trouble> {
    let mut all = Vec::new();
    let mut after = String::new();
    loop {
        let path = format!("/api/v1/sensors?limit={PAGE}{after}");
        let page: Page<Sensor> = get(door, &path)?;
        all.extend(page.items);
        match page.next {
            Some(next) if all.len() < MAX_SENSORS => after = format!("&after={next}"),
            next => return Ok((all, next.is_some())),
        }
    }
}

fn acknowledge(door: &Door, id: i64) -> String {
    match door.ask(&format!("POST /api/v1/alerts/{id}/ack")) {
        Ok(answer) if answer.status == 200 => format!("alert {id} is acknowledged"),
        Ok(answer) => door.refused(&answer),
        Err(error) => door.silent(&error),
    }
}

fn get<T: DeserializeOwned>(door: &Door, path: &str) -> Result<T, Trouble> {
    let body = door.get(&format!("GET {path}"))?;
    serde_json::from_str(&body).map_err(|_| Trouble::Lasting(door.stranger()))
}
