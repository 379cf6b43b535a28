//! What the pump is doing, for whoever asks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::verdict::Verdict;

/// A shared view of one uplink.
#[derive(Clone, Debug, Default)]
pub struct StatusHandle {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    last_verdict: Option<String>,
    held: Option<String>,
    next_attempt: Option<Instant>,
    /// Readings a second, smoothed.
    rate: Option<f64>,
}

/// The weight of the newest measurement in the smoothed rate.
const SMOOTHING: f64 = 0.2;

impl StatusHandle {
    /// The last verdict in words, such as `delivered` or `retry: 503`.
    pub fn last_verdict(&self) -> Option<String> {
        self.lock().last_verdict.clone()
    }

    /// Why nothing is delivered until somebody puts something right.
    pub fn held(&self) -> Option<String> {
        self.lock().held.clone()
    }

    /// Seconds until the next try, if one is waited for.
    pub fn next_attempt_seconds(&self) -> Option<f64> {
        let next = self.lock().next_attempt?;
        Some(next.saturating_duration_since(Instant::now()).as_secs_f64())
    }

    /// Seconds until `pending` readings are delivered, at the rate of late.
    pub fn drain_seconds(&self, pending: u64) -> Option<f64> {
        let rate = self.lock().rate?;
        (0.0 < rate).then(|| (pending as f64 / rate).ceil())
    }

    pub(super) fn judged(&self, verdict: &Verdict) {
        let mut state = self.lock();
        let (words, held) = match verdict {
            Verdict::Delivered => ("delivered".to_owned(), None),
            Verdict::Retry { reason, .. } => (format!("retry: {reason}"), None),
            Verdict::Held { reason, .. } => (format!("held: {reason}"), Some(reason.clone())),
        };
        state.last_verdict = Some(words);
        state.held = held;
    }

    pub(super) fn waits_until(&self, next: Option<Instant>) {
        self.lock().next_attempt = next;
    }

    pub(super) fn delivered(&self, readings: usize, took: Duration) {
        let measured = readings as f64 / took.as_secs_f64().max(1e-6);
        let mut state = self.lock();
        state.rate = Some(match state.rate {
            None => measured,
            Some(before) => before + SMOOTHING * (measured - before),
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
