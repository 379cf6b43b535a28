//! How far a replay is, on a terminal.

use std::io::{self, IsTerminal as _, Write as _};

/// How far it is.
pub(super) struct Progress {
    shown: i64,
    is_seen: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            shown: -1,
            is_seen: io::stderr().is_terminal(),
        }
    }

    pub(super) fn show(&mut self, done: i64, all: i64) {
        let percent = done * 100 / all.max(1);
        if self.is_seen && self.shown < percent {
            let full = usize::try_from(percent / 5).unwrap_or(0).min(20);
            let (bar, rest) = ("█".repeat(full), "·".repeat(20 - full));
            write!(io::stderr(), "\r{bar}{rest} {percent:>3} %").ok();
            self.shown = percent;
        }
    }

    pub(super) fn end(&self) {
        if self.is_seen {
            write!(io::stderr(), "\r{:26}\r", "").ok();
        }
    }
}
