//! What Linux knows of the process. Elsewhere nothing is known, and the metrics stay as they were.

use std::{
    fs, io,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::metrics::Metrics;

/// Ticks of a second in what `/proc` shows of processor time; the same for all of Linux (`USER_HZ`).
const TICKS_PER_SECOND: u64 = 100;

/// How much had been counted when it was last asked.
#[derive(Debug, Default)]
pub(super) struct Process {
    written: Seen,
    ticks: Seen,
}

impl Process {
    /// Brings the metrics up to date. The files are in memory: reading them waits for no disk.
    pub(super) fn observe(&self, metrics: &Metrics) {
        let io = read("io");
        if let Some(written) = number_after(&io, "write_bytes:") {
            let more = self.written.advance_to(written);
            metrics.store_written_bytes.inc_by(more);
        }
        let status = read("status");
        if let Some(kib) = number_after(&status, "VmRSS:") {
            metrics.process_resident_memory.set((kib << 10) as i64);
        }
        if let Some(threads) = number_after(&status, "Threads:") {
            metrics.process_threads.set(threads as i64);
        }
        if let Some(most) = number_after(&read("limits"), "Max open files") {
            metrics.process_max_fds.set(most as i64);
        }
        if let Ok(open) = open_files() {
            metrics.process_open_fds.set(open as i64);
        }
        if let Some(times) = Times::read(&read("stat")) {
            let more = self.ticks.advance_to(times.used);
            let seconds = more as f64 / TICKS_PER_SECOND as f64;
            metrics.process_cpu_seconds.inc_by(seconds);
            let system = fs::read_to_string("/proc/stat").unwrap_or_default();
            if let Some(boot) = number_after(&system, "btime") {
                let since_boot = times.started as f64 / TICKS_PER_SECOND as f64;
                metrics.process_start_time.set(boot as f64 + since_boot);
            }
        }
    }
}

/// A total of which each part is to be counted once.
#[derive(Debug, Default)]
struct Seen(AtomicU64);

impl Seen {
    /// How much it has grown since the last call; the first call counts from the start of the process.
    fn advance_to(&self, now: u64) -> u64 {
        let before = self.0.fetch_max(now, Ordering::Relaxed);
        now.saturating_sub(before)
    }
}

/// In ticks.
#[derive(Debug, PartialEq, Eq)]
struct Times {
    /// On the processor, in user and system.
    used: u64,
    /// After the machine.
    started: u64,
}

impl Times {
    /// Of a `stat` (proc_pid_stat(5)): behind the name, which may hold anything, are the fields from the third on.
    fn read(stat: &str) -> Option<Self> {
        let (_, behind_name) = stat.rsplit_once(')')?;
        let field = |number: usize| -> Option<u64> {
            let field = behind_name.split_whitespace().nth(number - 3)?;
            field.parse().ok()
        };
        Some(Self {
            used: field(14)? + field(15)?,
            started: field(22)?,
        })
    }
}

fn read(name: &str) -> String {
    fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default()
}

fn open_files() -> io::Result<usize> {
    // One of them is the listing's own.
    Ok(fs::read_dir("/proc/self/fd")?.count().saturating_sub(1))
}

/// The first number of the line that begins so.
fn number_after(text: &str, start: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(start))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_is_counted_once() {
        let text = "wchar: 9\nread_bytes: 1\nwrite_bytes: 4096\ncancelled_write_bytes: 0\n";
        let written = Seen::default();
        let total = number_after(text, "write_bytes:").unwrap();
        assert_eq!(written.advance_to(total), 4096);
        assert_eq!(written.advance_to(5000), 904);
        assert_eq!(written.advance_to(4096), 0);
        assert_eq!(written.advance_to(5001), 1);
        assert_eq!(number_after("", "write_bytes:"), None);
    }

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 1 0 0 0 120 30 0 0 20 0 4 0 987 1 2\n";
        let expected = Times {
            used: 150,
            started: 987,
        };
        assert_eq!(Times::read(stat), Some(expected));
        assert_eq!(Times::read(""), None);
    }

    #[test]
    fn this_process_is_alive() {
        let metrics = Metrics::new();
        Process::default().observe(&metrics);
        assert!(1 << 20 < metrics.process_resident_memory.get());
        assert!(0 < metrics.process_threads.get());
        assert!(2 < metrics.process_open_fds.get());
        assert!(metrics.process_open_fds.get() <= metrics.process_max_fds.get());
        assert!(1.5e9 < metrics.process_start_time.get());
    }
}
