//! What a pump is doing, for whoever asks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::budget::{self, Allowance};
use super::verdict::Verdict;
use crate::clock;
use crate::domain::uplink::UplinkStatus;
use crate::store::outbox::Account;

/// A shared view of one uplink.
#[derive(Clone, Debug)]
pub struct Progress {
    name: Arc<str>,
    stalled_after: Duration,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    last_verdict: Option<String>,
    /// Why a batch is held, whatever else gets through.
    held: Option<String>,
    /// Since when a batch has been failing, whatever else gets through.
    failing_since: Option<Instant>,
    /// What holds until something is delivered, whatever is answered meanwhile.
    trouble: Option<String>,
    /// Why a broker does not let the gateway in, or hear its commands, whether there is something to send or not.
    refusal: Option<String>,
    next_attempt: Option<Instant>,
    failed_attempts: u64,
    /// Readings a second, smoothed.
    rate: Option<f64>,
    account: Account,
    /// When something was delivered, or there was nothing to deliver, or the budget did not allow it.
    moved_at: Instant,
    is_idle: bool,
    /// Nothing may be sent before the next day.
    is_spent: bool,
}

/// The weight of the newest measurement in the smoothed rate.
const SMOOTHING: f64 = 0.2;

impl Progress {
    pub(super) fn new(name: Arc<str>, stalled_after: Duration) -> Self {
        let state = State {
            last_verdict: None,
            held: None,
            failing_since: None,
            trouble: None,
            refusal: None,
            next_attempt: None,
            failed_attempts: 0,
            rate: None,
            account: Account::default(),
            moved_at: Instant::now(),
            is_idle: true,
            is_spent: false,
        };
        Self {
            name,
            stalled_after,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// How it goes now; `pending` readings wait.
    pub fn status(&self, pending: u64) -> UplinkStatus {
        let state = self.lock();
        let now = Instant::now();
        let rate = state.rate.filter(|rate| 0.0 < *rate);
        let may_deliver = 0 < pending && !state.is_idle && !state.is_spent;
        let stalled = |what: &str, since: Instant| {
            let waited = now.saturating_duration_since(since);
            let is_stalled = may_deliver && self.stalled_after < waited;
            let last = state.last_verdict.as_deref().unwrap_or("no answer yet");
            is_stalled.then(|| format!("{what} for {} s: {last}", waited.as_secs()))
        };
        let failing = state.failing_since;
        let stalled = stalled("nothing was delivered", state.moved_at)
            .or_else(|| stalled("a batch has been failing", failing?));
        UplinkStatus {
            name: Arc::clone(&self.name),
            last_verdict: state.last_verdict.clone(),
            next_attempt_seconds: state
                .next_attempt
                .map(|next| next.saturating_duration_since(now).as_secs_f64()),
            drain_seconds: rate.map(|rate| (pending as f64 / rate).ceil()),
            bytes_today: budget::spent(&state.account, clock::now()),
            held: state
                .trouble
                .as_ref()
                .or(state.held.as_ref())
                .or(state.refusal.as_ref())
                .cloned()
                .or(stalled),
        }
    }

    /// Attempts that delivered nothing, since the start.
    pub fn failed_attempts(&self) -> u64 {
        self.lock().failed_attempts
    }

    pub(super) fn judged(&self, verdict: &Verdict) {
        let mut state = self.lock();
        let words = match verdict {
            Verdict::Delivered { .. } => "delivered".to_owned(),
            Verdict::Retry { reason, .. } => format!("retry: {reason}"),
            Verdict::Held { reason, .. } => format!("held: {reason}"),
            Verdict::TooLarge(words) => format!("too large: {}", words.status),
            Verdict::Refused(words) => format!("refused: {}", words.status),
        };
        state.failed_attempts += u64::from(!matches!(verdict, Verdict::Delivered { .. }));
        state.last_verdict = Some(words);
        if matches!(verdict, Verdict::Delivered { .. }) {
            state.trouble = None;
        }
        state.is_idle = false;
    }

    /// What holds one batch, whatever becomes of the others.
    pub(super) fn holds(&self, held: Option<&str>, failing_since: Option<Instant>) {
        let mut state = self.lock();
        state.held = held.map(str::to_owned);
        state.failing_since = failing_since;
    }

    /// Nothing goes out because of something in the gateway itself, or because too much was refused.
    pub(super) fn troubled(&self, reason: String) {
        let mut state = self.lock();
        state.last_verdict = Some(format!("held: {reason}"));
        state.trouble = Some(reason);
    }

    /// What a broker refuses beside batches; `None` when it has let the gateway in, or has taken its subscription.
    pub(super) fn refused(&self, reason: Option<String>) {
        let mut state = self.lock();
        if reason.is_some() || state.refusal.is_some() {
            state.last_verdict = reason.as_ref().map(|reason| format!("held: {reason}"));
        }
        state.refusal = reason;
    }

    /// There is nothing to deliver, so nothing is held.
    pub(super) fn has_nothing_to_do(&self) {
        let mut state = self.lock();
        (state.held, state.trouble, state.failing_since) = (None, None, None);
        state.is_idle = true;
        state.moved_at = Instant::now();
    }

    /// Something is to be delivered from now on.
    pub(super) fn has_something_to_do(&self) {
        let mut state = self.lock();
        if std::mem::replace(&mut state.is_idle, false) {
            state.moved_at = Instant::now();
        }
    }

    pub(super) fn waits_until(&self, next: Option<Instant>) {
        let now = Instant::now();
        self.lock().next_attempt = next.filter(|next| now < *next);
    }

    pub(super) fn spends(&self, account: &Account, allowance: Allowance) {
        let mut state = self.lock();
        state.account = *account;
        let is_spent = allowance == Allowance::Nothing;
        if is_spent {
            state.last_verdict = Some("waits: the daily budget is spent".to_owned());
        }
        if is_spent || state.is_spent {
            state.moved_at = Instant::now();
        }
        state.is_spent = is_spent;
    }

    /// `took` is the time of the attempt that succeeded, beside `at_once` − 1 others.
    pub(super) fn delivered(&self, readings: usize, took: Duration, at_once: usize) {
        let measured = (readings * at_once) as f64 / took.as_secs_f64().max(1e-6);
        let mut state = self.lock();
        state.moved_at = Instant::now();
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
    use crate::forwarder::verdict::Words;

    fn delivered() -> Verdict {
        Verdict::Delivered {
            rejected: Vec::new(),
            refusal: Words::default(),
        }
    }

    #[test]
    fn trouble_holds_until_the_next_delivery() {
        let progress = Progress::new("cloud".into(), Duration::from_secs(900));
        progress.troubled("a batch cannot be encoded".to_owned());
        let status = progress.status(1);
        assert_eq!(status.held.as_deref(), Some("a batch cannot be encoded"));
        assert_eq!(
            status.last_verdict.as_deref(),
            Some("held: a batch cannot be encoded")
        );
        progress.judged(&Verdict::Refused(Words::default()));
        assert!(progress.status(1).held.is_some());
        progress.judged(&delivered());
        assert_eq!(progress.status(1).held, None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_uplink_that_delivers_nothing_for_long_is_stalled() {
        let progress = Progress::new("cloud".into(), Duration::from_secs(900));
        let sleep = |seconds| tokio::time::sleep(Duration::from_secs(seconds));
        sleep(5000).await;
        assert_eq!(progress.status(0).held, None);
        progress.has_something_to_do();
        sleep(899).await;
        progress.judged(&Verdict::retry("503"));
        assert_eq!(progress.status(5).held, None);
        sleep(2).await;
        let held = progress.status(5).held.unwrap();
        assert!(held.contains("901 s") && held.contains("503"), "{held}");
        progress.judged(&delivered());
        progress.delivered(5, Duration::from_secs(1), 1);
        assert_eq!(progress.status(5).held, None);
        sleep(901).await;
        // One batch fails on while others get through.
        progress.delivered(5, Duration::from_secs(1), 1);
        let since = Instant::now() - Duration::from_secs(901);
        progress.holds(None, Some(since));
        let held = progress.status(5).held.unwrap();
        assert!(held.starts_with("a batch has been failing"), "{held}");
        progress.holds(Some("403"), Some(since));
        assert_eq!(progress.status(5).held.as_deref(), Some("403"));
        sleep(901).await;
        progress.has_nothing_to_do();
        progress.has_something_to_do();
        assert_eq!(progress.status(5).held, None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_uplink_whose_budget_is_spent_is_not_stalled() {
        let progress = Progress::new("cloud".into(), Duration::from_secs(10));
        let account = Account::default();
        let sleep = |seconds| tokio::time::sleep(Duration::from_secs(seconds));
        progress.has_something_to_do();
        progress.spends(&account, Allowance::Nothing);
        sleep(60).await;
        assert_eq!(progress.status(5).held, None);
        progress.spends(&account, Allowance::All);
        sleep(9).await;
        assert_eq!(progress.status(5).held, None);
        progress.spends(&account, Allowance::All);
        sleep(2).await;
        assert!(progress.status(5).held.is_some());
    }
}
