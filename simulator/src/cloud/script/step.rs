//! One scripted answer.

use std::{num::NonZeroU32, time::Duration};

use serde::Deserialize;

/// One scripted answer. A status of 2xx stores the readings, others do not.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Step {
    /// HTTP status, 200 to 599.
    pub status: u16,
    /// The `Retry-After` header, as it is sent: seconds or an HTTP date.
    pub retry_after: Option<String>,
    /// Waits so long before anything is stored or answered.
    pub delay_ms: u64,
    /// For how many requests the step stands; of no meaning in the default.
    pub times: NonZeroU32,
    /// The body of the answer.
    pub body: Option<String>,
    /// Never answers; the connection is dropped when the script changes or the cloud ends.
    pub hang: bool,
    /// Drops the connection without an answer.
    pub close: bool,
    /// Stores the readings, then answers 500: as when the answer of a success is lost.
    pub store_then_fail: bool,
}

/// Why a plan is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("status {0} is not between 200 and 599")]
    Status(u16),
    #[error("retry_after {0:?} has characters that no header may have")]
    RetryAfter(String),
    #[error("a step has only one of hang, close and store_then_fail")]
    Contradiction,
}

impl Default for Step {
    fn default() -> Self {
        Self {
            status: 200,
            retry_after: None,
            delay_ms: 0,
            times: NonZeroU32::MIN,
            body: None,
            hang: false,
            close: false,
            store_then_fail: false,
        }
    }
}

impl Step {
    /// Answers with `status`.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    /// Never answers.
    pub fn hang() -> Self {
        Self {
            hang: true,
            ..Self::default()
        }
    }

    /// Drops the connection.
    pub fn close() -> Self {
        Self {
            close: true,
            ..Self::default()
        }
    }

    /// Stores and answers 500.
    pub fn store_then_fail() -> Self {
        Self {
            store_then_fail: true,
            ..Self::default()
        }
    }

    /// The same step for `times` requests.
    pub fn times(self, times: NonZeroU32) -> Self {
        Self { times, ..self }
    }

    /// The same step with a `Retry-After` header.
    pub fn retry_after(self, value: impl Into<String>) -> Self {
        Self {
            retry_after: Some(value.into()),
            ..self
        }
    }

    /// The same step after `delay`, in whole milliseconds.
    pub fn delay(self, delay: Duration) -> Self {
        Self {
            delay_ms: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
            ..self
        }
    }

    /// The same step with this body.
    pub fn body(self, body: impl Into<String>) -> Self {
        Self {
            body: Some(body.into()),
            ..self
        }
    }

    /// Whether the readings are kept.
    pub(in crate::cloud) fn stores(&self) -> bool {
        (200..300).contains(&self.status) || self.store_then_fail
    }

    /// What can be said in JSON but not be done.
    pub(super) fn check(&self) -> Result<(), PlanError> {
        if !(200..600).contains(&self.status) {
            return Err(PlanError::Status(self.status));
        }
        if let Some(value) = &self.retry_after
            && !value.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        {
            return Err(PlanError::RetryAfter(value.clone()));
        }
        let ways = [self.hang, self.close, self.store_then_fail];
        if 1 < ways.into_iter().filter(|way| *way).count() {
            return Err(PlanError::Contradiction);
        }
        Ok(())
    }
}
