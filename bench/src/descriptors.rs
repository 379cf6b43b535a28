//! File descriptors: a thousand, which many shells allow, are too few for thousands of clients. The servers inherit the
//! limit.

use std::{fs, process, process::Command};

use anyhow::{Context, Result, ensure};

/// Raises this process' limit to `wanted`, if it is lower.
pub(crate) fn allow(wanted: u64) -> Result<()> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    if wanted <= soft_limit(&limits).context("no limit of open files in /proc/self/limits")? {
        return Ok(());
    }
    // `forbid(unsafe_code)` leaves no setrlimit(2); util-linux has it as a program.
    let raised = Command::new("prlimit")
        .args([
            &format!("--pid={}", process::id()),
            &format!("--nofile={wanted}:"),
        ])
        .status();
    ensure!(
        raised.is_ok_and(|status| status.success()),
        "{wanted} open files are needed and cannot be had: try `ulimit -n {wanted}` before"
    );
    Ok(())
}

fn soft_limit(limits: &str) -> Option<u64> {
    let limit = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    match limit.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_the_first_of_its_line() {
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax processes 7 8 processes\n\
                      Max open files            1024                 524288               files\n";
        assert_eq!(soft_limit(limits), Some(1024));
        assert_eq!(
            soft_limit("Max open files   unlimited unlimited files"),
            Some(u64::MAX)
        );
        assert_eq!(soft_limit("Max processes 7 8 processes"), None);
    }
}
