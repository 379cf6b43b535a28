//! What a device says of itself.

use std::fmt;

use serde::Serialize;

use crate::domain::timestamp::Timestamp;
use crate::domain::topic::TopicName;

/// The name of a device: 1 to 256 bytes without control characters, `/`, `+` or `#`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct DeviceId(Box<str>);

/// Why a text is no device id or no status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatusError {
    #[error(
        "device id is empty, longer than 256 bytes, or contains `/`, `+`, `#` or a control character"
    )]
    DeviceId,
    #[error("status is empty, longer than 256 bytes, or contains a control character")]
    Text,
}

const MAX_BYTES: usize = 256;

impl DeviceId {
    /// Checks `text`; see the type for the rules.
    pub fn new(text: &str) -> Result<Self, StatusError> {
        if is_short_text(text) && !text.contains(['/', '+', '#']) {
            Ok(Self(text.into()))
        } else {
            Err(StatusError::DeviceId)
        }
    }

    /// The text of the id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The latest word of a device, such as `online`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceStatus {
    pub device_id: DeviceId,
    pub status: Box<str>,
    pub ts: Timestamp,
    /// Where it was published; `None` if it came by HTTP.
    pub topic: Option<TopicName>,
}

impl DeviceStatus {
    /// Checks `status`: 1 to 256 bytes without control characters.
    pub fn new(device_id: DeviceId, status: &str, ts: Timestamp) -> Result<Self, StatusError> {
        if is_short_text(status) {
            Ok(Self {
                device_id,
                status: status.into(),
                ts,
                topic: None,
            })
        } else {
            Err(StatusError::Text)
        }
    }
}

fn is_short_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_BYTES && !text.chars().any(char::is_control)
}
