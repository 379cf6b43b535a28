//! What Linux tells about a process, under `/proc` and by its clocks.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};

/// `/proc` counts in ticks of USER_HZ, which Linux keeps at 100 for programs whatever the kernel's own rate is.
const TICKS_PER_SECOND: f64 = 100.0;

/// Resident now, in KiB.
pub(crate) fn resident_kib(pid: u32) -> Result<u64> {
    keyed_number(&format!("/proc/{pid}/status"), "VmRSS:")
}

/// The most that was ever resident, in KiB.
pub(crate) fn peak_resident_kib(pid: u32) -> Result<u64> {
    keyed_number(&format!("/proc/{pid}/status"), "VmHWM:")
}

/// What the process made the disk write, caches and journals included.
pub(crate) fn written_bytes(pid: u32) -> Result<u64> {
    keyed_number(&format!("/proc/{pid}/io"), "write_bytes:")
}

/// CPU time of the whole process, in user and system mode.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    parse_cpu_time(&read(&path)?).with_context(|| format!("no CPU times in {path}"))
}

/// CPU time of the calling thread alone, in nanoseconds: ticks are too coarse for what takes less than a second.
pub(crate) fn own_thread_cpu_time() -> Result<Duration> {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).context("the clock is negative")
}

/// A process and all that it started and they did, as they are now.
pub(crate) fn with_children(pid: u32) -> Result<Vec<u32>> {
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(pid) = all.get(next) {
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let children = fs::read_to_string(task?.path().join("children"))?;
            for child in children.split_whitespace() {
                all.push(child.parse()?);
            }
        }
        next += 1;
    }
    Ok(all)
}

fn keyed_number(path: &str, key: &str) -> Result<u64> {
    parse_keyed_number(&read(path)?, key).with_context(|| format!("no {key} in {path}"))
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {path}"))
}

fn parse_keyed_number(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn parse_cpu_time(stat: &str) -> Option<Duration> {
    // The second field is the program's name in brackets and may hold anything: count from behind it.
    let (_, behind_name) = stat.rsplit_once(") ")?;
    let mut times = behind_name.split_whitespace().skip(11);
    let user_ticks: f64 = times.next()?.parse().ok()?;
    let system_ticks: f64 = times.next()?.parse().ok()?;
    Some(Duration::from_secs_f64(
        (user_ticks + system_ticks) / TICKS_PER_SECOND,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194304 500 0 0 0 150 25 0 0 20 0 1 0 100 1000 200";
        assert_eq!(parse_cpu_time(stat), Some(Duration::from_millis(1_750)));
        assert_eq!(parse_cpu_time("42 (a) S 1"), None);
    }

    #[test]
    fn numbers_are_found_by_their_key() {
        let status = "VmHWM:\t    1760 kB\nVmRSS:\t    1700 kB\n";
        assert_eq!(parse_keyed_number(status, "VmRSS:"), Some(1700));
        assert_eq!(
            parse_keyed_number("cancelled_write_bytes: 1\nwrite_bytes: 7\n", "write_bytes:"),
            Some(7)
        );
        assert_eq!(parse_keyed_number(status, "VmSwap:"), None);
    }
}
