//! What an uplink says of itself to whoever asks. How it delivers is `forwarder`'s business.

use std::sync::Arc;

use serde::Serialize;

/// How it goes with the deliveries to one cloud.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UplinkStatus {
    /// `cloud` for the one of the section `[cloud]`.
    pub name: Arc<str>,
    /// What the latest answer meant, such as `delivered` or `retry: 503`; `None` before the first.
    pub last_verdict: Option<String>,
    /// Until the next try; `None` if none is waited for.
    pub next_attempt_seconds: Option<f64>,
    /// Until the outbox is empty at the present rate; `None` if that is not known.
    pub drain_seconds: Option<f64>,
    /// Why nothing can be delivered before somebody steps in; `None` if all is well or a retry may do.
    pub held: Option<String>,
}
