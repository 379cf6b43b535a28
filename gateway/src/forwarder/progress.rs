//! What the pump is doing, for whoever asks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::verdict::Verdict;
use crate::domain::uplink::UplinkStatus;

/// A shared view of one uplink.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    last_verdict: Option<String>,
    held: Option<String>,
    next_attempt: Option<Instant>,
    failed_attempts: u64,
    /// Readings a second, smoothed.
    rate: Option<f64>,
}

/// The weight of the newest measurement in the smoothed rate.
const SMOOTHING: f64 = 0.2;

impl Progress {
    /// How it goes now; `pending` readings wait.
    pub fn status(&self, pending: u64) -> UplinkStatus {
        let state = self.lock();
        let now = Instant::now();
        let rate = state.rate.filter(|rate| 0.0 < *rate);
        UplinkStatus {
            name: "cloud".into(),
            last_verdict: state.last_verdict.clone(),
            next_attempt_seconds: state
                .next_attempt
                .map(|next| next.saturating_duration_since(now).as_secs_f64()),
            drain_seconds: rate.map(|rate| (pending as f64 / rate).ceil()),
            held: state.held.clone(),
        }
    }

    /// Attempts that delivered nothing, since the start.
    pub fn failed_attempts(&self) -> u64 {
        self.lock().failed_attempts
    }

    pub(super) fn judged(&self, verdict: &Verdict) {
        let mut state = self.lock();
        let (words, held) = match verdict {
            Verdict::Delivered => ("delivered".to_owned(), None),
            Verdict::Retry { reason, .. } => (format!("retry: {reason}"), None),
            Verdict::Held { reason, .. } => (format!("held: {reason}"), Some(reason.clone())),
        };
        state.failed_attempts += u64::from(*verdict != Verdict::Delivered);
        state.last_verdict = Some(words);
        state.held = held;
    }

    /// Nothing goes out because of something in the gateway itself.
    pub(super) fn troubled(&self, reason: String) {
        let mut state = self.lock();
        state.last_verdict = Some(format!("held: {reason}"));
        state.held = Some(reason);
    }

    /// There is nothing to deliver, so nothing is held.
    pub(super) fn has_nothing_to_do(&self) {
        self.lock().held = None;
    }

    pub(super) fn waits_until(&self, next: Option<Instant>) {
        self.lock().next_attempt = next;
    }

    /// `took` is the time of the attempt that succeeded.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_holds_until_the_next_delivery() {
        let progress = Progress::default();
        progress.troubled("a batch cannot be encoded".to_owned());
        let status = progress.status(1);
        assert_eq!(status.held.as_deref(), Some("a batch cannot be encoded"));
        assert_eq!(
            status.last_verdict.as_deref(),
            Some("held: a batch cannot be encoded")
        );
        progress.judged(&Verdict::Delivered);
        assert_eq!(progress.status(1).held, None);
    }
}
