//! The log that cannot be copied into the database: what is on disk is there without that, but the log grows.

use std::time::{Duration, Instant};

use super::Committer;

/// Between two tries, if nothing is committed.
const LOG_PAUSE: Duration = Duration::from_secs(1);

impl Committer {
    /// Says when it begins, and when it is over.
    pub(super) fn tell_of_the_log(&mut self) {
        let Some(error) = self.writer.log_trouble() else {
            if self.log_tried.take().is_some() {
                tracing::info!("the log is copied into the database again");
                self.settings.health.set(None);
            }
            return;
        };
        let told = self.writer.explain(error);
        if self.log_tried.replace(Instant::now()).is_none() {
            tracing::error!(error = %told, "the log cannot be copied into the database: it grows until it can");
        }
        self.settings.health.set(Some(told));
    }

    /// When the log is to be copied again, if that failed.
    pub(super) fn next_log_try(&self) -> Option<Instant> {
        self.log_tried.map(|at| at + LOG_PAUSE)
    }

    pub(super) fn copy_log_again(&mut self) {
        if self.next_log_try().is_some_and(|at| at <= Instant::now()) {
            self.writer.copy_log_again();
            self.tell_of_the_log();
        }
    }
}
