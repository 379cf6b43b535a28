//! How far something is that takes long, on a terminal.

use std::io::{self, IsTerminal as _, Write as _};

/// A line on stderr, if that is a terminal.
#[derive(Debug)]
pub(super) struct Progress {
    /// What was shown last.
    shown: (&'static str, i64),
    is_seen: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            shown: ("", -1),
            is_seen: io::stderr().is_terminal(),
        }
    }

    /// Shows a part of all, and what is being done, if it is not said by the command.
    pub(super) fn show(&mut self, doing: &'static str, done: i64, all: i64) {
        let percent = done.saturating_mul(100) / all.max(1);
        if self.is_seen && self.shown != (doing, percent) {
            let full = usize::try_from(percent / 5).unwrap_or(0).min(20);
            let (bar, rest) = ("█".repeat(full), "·".repeat(20 - full));
            write!(io::stderr(), "\r{bar}{rest} {percent:>3} % {doing:<10}").ok();
            self.shown = (doing, percent);
        }
    }

    /// To be told of it by who does not know this line.
    pub(super) fn shower(&mut self) -> impl FnMut(&'static str, i64, i64) {
        |doing, done, all| self.show(doing, done, all)
    }

    pub(super) fn end(&self) {
        if self.is_seen {
            write!(io::stderr(), "\r{:37}\r", "").ok();
        }
    }
}
