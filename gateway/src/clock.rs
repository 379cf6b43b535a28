//! The wall clock. Nobody else reads it: time comes in as `now`.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::timestamp::Timestamp;

/// The time of the wall clock; 1970 if the clock stands before that.
#[expect(clippy::disallowed_methods, reason = "the one lawful site")]
pub fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
