//! The clock at start.

use crate::clock;
use crate::config;
use crate::store::{StoreError, Writer};

/// Looks at the clock before anything is told by it, and says if it is not trusted.
pub(super) fn start(writer: &Writer, config: &config::Store) -> Result<(), StoreError> {
    let readings = writer.times_left()?;
    if 0 < readings {
        tracing::warn!(
            readings,
            "times of readings stay as they are: the machine was started anew before its clock was trusted"
        );
    }
    let standing = clock::start(&writer.clock_known()?);
    if !standing.trust.is_trusted() {
        tracing::warn!(
            trust = standing.trust.as_str(),
            clock = clock::now().millis(),
            wait_seconds = config.clock_wait.as_secs(),
            "the clock is not trusted: readings are marked, and put right when it is"
        );
    }
    Ok(())
}
