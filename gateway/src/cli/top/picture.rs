//! What is shown: words and numbers, without places and colours. Pure.
//!
//! Every text that comes from outside is made [`visible`] here.

use super::look::{Alert, Gateway, Outbox, Uplink};
use super::words::{bytes, count, rate, span};
use crate::cli::visible::visible;

/// All of it. Before the first look it is empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Picture {
    /// Who it is, and how it goes, in parts that stay together.
    pub(super) head: Vec<Vec<String>>,
    pub(super) uplinks: Vec<Words>,
    pub(super) checks: Vec<Words>,
    pub(super) sensors: Vec<SensorRow>,
    pub(super) has_more_sensors: bool,
    pub(super) alerts: Vec<AlertRow>,
    pub(super) has_more_alerts: bool,
    /// Why the last look saw nothing.
    pub(super) trouble: Option<String>,
    /// Seconds since the gateway was seen, if it is gone.
    pub(super) gone_for: Option<f64>,
}

/// A sentence, and whether it tells of something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) text: String,
    pub(super) is_trouble: bool,
}

#[derive(Clone, Debug)]
pub(super) struct SensorRow {
    /// As it is, for comparing.
    pub(super) id: String,
    pub(super) shown: String,
    pub(super) state: SensorState,
    pub(super) value: Option<f64>,
    pub(super) recent: Vec<f64>,
    pub(super) count: u64,
    pub(super) rate: Option<f64>,
    /// Seconds since its last reading came.
    pub(super) age: Option<f64>,
}

/// By its open alerts. Greater is worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SensorState {
    #[default]
    Calm,
    Acknowledged,
    Raised,
}

impl SensorState {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Calm => "",
            Self::Acknowledged => "acked",
            Self::Raised => "ALERT",
        }
    }

    pub(super) fn of(alert: &Alert) -> Self {
        match &*alert.state {
            "raised" => Self::Raised,
            "acknowledged" => Self::Acknowledged,
            _ => Self::Calm,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct AlertRow {
    pub(super) id: i64,
    /// The same as long as it is open.
    pub(super) episode: i64,
    pub(super) state: SensorState,
    pub(super) rule: String,
    pub(super) sensor: String,
    pub(super) value: f64,
    pub(super) age: f64,
    /// Severity and message, where the rule has them.
    pub(super) more: String,
}

impl AlertRow {
    pub(super) fn new(alert: &Alert, now: i64) -> Self {
        let more = [&alert.severity, &alert.message];
        let more: Vec<String> = more
            .into_iter()
            .flatten()
            .map(|text| visible(text))
            .collect();
        Self {
            id: alert.alert_id,
            episode: alert.episode,
            state: SensorState::of(alert),
            rule: visible(&alert.rule),
            sensor: visible(&alert.sensor_id),
            value: alert.value,
            age: seconds_between(alert.ts, now),
            more: more.join(": "),
        }
    }
}

/// Readings a second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rates {
    pub(super) received: Option<f64>,
    pub(super) committed: Option<f64>,
}

pub(super) fn head(gateway: &Gateway, rates: Rates) -> Vec<Vec<String>> {
    let Gateway {
        readings, store, ..
    } = gateway;
    let connections = gateway.mqtt.connections;
    let of = match (store.max_bytes, store.free_bytes) {
        (Some(most), _) => format!(" of {}", bytes(most)),
        (None, Some(free)) => format!(", {} free on its disk", bytes(free)),
        (None, None) => String::new(),
    };
    let name = [&gateway.gateway_id, &gateway.version].map(|text| visible(text));
    let first = vec![
        name.join(" "),
        format!("up {}", span(gateway.uptime_seconds.floor())),
        format!("received {}/s", rate(rates.received)),
        format!("committed {}/s", rate(rates.committed)),
        match connections {
            1 => "1 connection".to_owned(),
            more => format!("{} connections", count(more)),
        },
    ];
    let mut second = vec![
        format!("store {}{of}", bytes(store.bytes)),
        format!("{} readings since the start", count(readings.committed)),
    ];
    for (number, what) in [(readings.rejected, "rejected"), (readings.lost, "lost")] {
        if 0 < number {
            second.push(format!("{} {what}", count(number)));
        }
    }
    vec![first, second]
}

pub(super) fn checks(gateway: &Gateway) -> Vec<Words> {
    let words = |check: &super::look::Check| {
        let detail = check.detail.as_deref().unwrap_or("not well");
        Words {
            text: match check.ok {
                true => format!("{} ok", visible(&check.name)),
                false => format!("{}: {}", visible(&check.name), visible(detail)),
            },
            is_trouble: !check.ok,
        }
    };
    gateway.checks.iter().map(words).collect()
}

pub(super) fn uplinks(outbox: &Outbox) -> Vec<Words> {
    let mut all: Vec<Words> = outbox.uplinks.iter().map(uplink).collect();
    all.extend(outbox.forsaken.iter().map(|gone| Words {
        text: format!(
            "{}: {}, but there is no uplink of that name",
            visible(&gone.name),
            waiting(gone.pending, gone.oldest_seconds)
        ),
        is_trouble: true,
    }));
    if all.is_empty() {
        let text = match outbox.pending {
            0 => "no uplink".to_owned(),
            pending => format!("no uplink: {}", waiting(pending, outbox.oldest_seconds)),
        };
        all.push(Words {
            text,
            is_trouble: false,
        });
    }
    all
}

fn uplink(uplink: &Uplink) -> Words {
    let mut parts = vec![waiting(uplink.pending, uplink.oldest_seconds)];
    let verdict = uplink.last_verdict.as_deref();
    if let Some(seconds) = uplink.next_attempt_seconds {
        parts.push(format!("next try in {}", span(seconds)));
    }
    if let Some(seconds) = uplink.drain_seconds.filter(|_| 0 < uplink.pending) {
        parts.push(format!("drained in {}", span(seconds)));
    }
    // A reason may be long: it is what is cut off.
    if let Some(held) = &uplink.held {
        parts.push(format!("HELD: {}", visible(held)));
    } else if let Some(verdict) = verdict {
        parts.push(format!("last {}", visible(verdict)));
    }
    let is_well = verdict.is_none_or(|verdict| verdict.starts_with("delivered"));
    Words {
        text: format!("{}: {}", visible(&uplink.name), parts.join(", ")),
        is_trouble: uplink.held.is_some() || !is_well,
    }
}

fn waiting(pending: u64, oldest_seconds: Option<f64>) -> String {
    match (pending, oldest_seconds) {
        (0, _) => "nothing waits".to_owned(),
        (pending, None) => format!("{} wait", count(pending)),
        (pending, Some(oldest)) => format!("{} wait, the oldest {}", count(pending), span(oldest)),
    }
}

pub(super) fn seconds_between(then: i64, now: i64) -> f64 {
    now.saturating_sub(then).max(0) as f64 / 1000.0
}
