//! What the process caused to be written to disk, as Linux counts it. Elsewhere nothing is known, and nothing said.

use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering},
};

/// The file is in memory: reading it waits for no disk.
const PROCESS_IO: &str = "/proc/self/io";

/// How much was written when it was last asked.
#[derive(Debug, Default)]
pub(super) struct WrittenBytes(AtomicU64);

impl WrittenBytes {
    /// Bytes written since the last call; the first call counts from the start of the process.
    pub(super) fn advance(&self) -> u64 {
        let text = fs::read_to_string(PROCESS_IO).unwrap_or_default();
        self.advance_to(parse(&text).unwrap_or(0))
    }

    fn advance_to(&self, now: u64) -> u64 {
        let before = self.0.fetch_max(now, Ordering::Relaxed);
        now.saturating_sub(before)
    }
}

fn parse(text: &str) -> Option<u64> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes:"))?;
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_is_counted_once() {
        let text = "wchar: 9\nread_bytes: 1\nwrite_bytes: 4096\ncancelled_write_bytes: 0\n";
        let written = WrittenBytes::default();
        assert_eq!(written.advance_to(parse(text).unwrap()), 4096);
        assert_eq!(written.advance_to(5000), 904);
        assert_eq!(written.advance_to(4096), 0);
        assert_eq!(written.advance_to(5001), 1);
        assert_eq!(parse(""), None);
    }
}
