//! The rest of the gateway, as a pump sees it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::ingest::{SubmissionQueue, Traces};
use crate::metrics::Metrics;
use crate::store::Reader;

/// Threads that make bodies.
const ENCODERS: usize = 2;

/// What a pump needs of the rest of the gateway.
#[derive(Clone, Debug)]
pub struct Surroundings {
    pub(super) gateway_id: Arc<str>,
    pub(super) reader: Reader,
    pub(super) submissions: SubmissionQueue,
    pub(super) metrics: Arc<Metrics>,
    pub(super) traces: Arc<Traces>,
    /// How long readings of a clock that is not trusted wait, in milliseconds.
    pub(super) clock_wait: i64,
    /// Bodies are made by so many threads, whatever waits: each holds a batch of readings, and a connection to the store.
    pub(super) encoders: Arc<Semaphore>,
}

impl Surroundings {
    /// The same for all pumps.
    pub fn new(
        gateway_id: Arc<str>,
        reader: Reader,
        submissions: SubmissionQueue,
        metrics: Arc<Metrics>,
        traces: Arc<Traces>,
        clock_wait: Duration,
    ) -> Self {
        Self {
            gateway_id,
            reader,
            submissions,
            metrics,
            traces,
            clock_wait: i64::try_from(clock_wait.as_millis()).unwrap_or(i64::MAX),
            encoders: Arc::new(Semaphore::new(ENCODERS)),
        }
    }
}
