//! The name of a sensor and what makes one valid.

use std::{fmt, sync::Arc};

use serde::Serialize;

/// 1 to 256 bytes of UTF-8 without `+`, `#`, control characters, empty levels or a leading `$`,
/// so that `alerts/<sensor_id>` is always a valid topic name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct SensorId(Arc<str>);

/// Why a text is no sensor id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SensorIdError {
    #[error("sensor id is empty")]
    Empty,
    #[error("sensor id is longer than {} bytes", SensorId::MAX_BYTES)]
    TooLong,
    #[error("sensor id contains `+`, `#` or a control character")]
    ForbiddenCharacter,
    #[error("sensor id has an empty level")]
    EmptyLevel,
    #[error("sensor id begins with `$`")]
    LeadingDollar,
}

impl SensorId {
    /// The longest sensor id, in bytes.
    pub const MAX_BYTES: usize = 256;

    /// Checks `text`; see the type for the rules.
    pub fn new(text: &str) -> Result<Self, SensorIdError> {
        if text.is_empty() {
            return Err(SensorIdError::Empty);
        }
        if Self::MAX_BYTES < text.len() {
            return Err(SensorIdError::TooLong);
        }
        if text.starts_with('$') {
            return Err(SensorIdError::LeadingDollar);
        }
        if text
            .chars()
            .any(|c| matches!(c, '+' | '#') || c.is_control())
        {
            return Err(SensorIdError::ForbiddenCharacter);
        }
        if text.split('/').any(str::is_empty) {
            return Err(SensorIdError::EmptyLevel);
        }
        Ok(Self(text.into()))
    }

    /// The text of the id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The gateway itself, as what its own alerts are about: no sensor can have this name.
    pub fn gateway() -> Self {
        Self("$gateway".into())
    }

    /// Takes a text that was checked before it was stored.
    pub fn from_stored(text: Arc<str>) -> Self {
        Self(text)
    }

    /// The shared text, for tables that hold many of them.
    pub fn shared(&self) -> &Arc<str> {
        &self.0
    }
}

impl fmt::Display for SensorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(), SensorIdError>) {
        assert_eq!(SensorId::new(text).map(drop), expected, "{text:?}");
    }

    #[test]
    fn sensor_ids_follow_the_contract() {
        check("s1", Ok(()));
        check("boiler/temperature", Ok(()));
        check("传感器", Ok(()));
        check("a$b", Ok(()));
        check("", Err(SensorIdError::Empty));
        check("$SYS", Err(SensorIdError::LeadingDollar));
        check("a+b", Err(SensorIdError::ForbiddenCharacter));
        check("a#", Err(SensorIdError::ForbiddenCharacter));
        check("a\nb", Err(SensorIdError::ForbiddenCharacter));
        check("a//b", Err(SensorIdError::EmptyLevel));
        check("/a", Err(SensorIdError::EmptyLevel));
        check(&"x".repeat(256), Ok(()));
        check(&"x".repeat(257), Err(SensorIdError::TooLong));
        check(&"é".repeat(129), Err(SensorIdError::TooLong));
    }
}
