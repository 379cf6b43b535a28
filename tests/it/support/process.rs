//! What the system knows of a gateway's process, and what it grants to it.

use std::process::Command;

use crate::support::{Gateway, command_in};

/// Resident memory of this moment, in MiB.
pub(crate) fn resident_mib(gateway: &Gateway<'_>) -> f64 {
    status_mib(gateway, "VmRSS:")
}

/// The most that resident memory has ever been, in MiB.
pub(crate) fn peak_mib(gateway: &Gateway<'_>) -> f64 {
    status_mib(gateway, "VmHWM:")
}

fn status_mib(gateway: &Gateway<'_>, name: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    let kib = line.split_whitespace().nth(1).unwrap();
    kib.parse::<f64>().unwrap() / 1024.0
}

/// The binary, for which a file that may not grow is an error and not the end: SIGXFSZ is ignored.
pub(crate) fn command_that_outlives_a_full_disk() -> Command {
    command_in(r#"trap "" XFSZ; exec "$0" "$@""#)
}

/// No file of the process may grow beyond so many bytes, as on a full disk; `None` makes room again.
pub(crate) fn limit_file_size(gateway: &Gateway<'_>, bytes: Option<u64>) {
    let limit = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
    let set = Command::new("prlimit")
        .args(["--pid", &gateway.pid().to_string()])
        .arg(format!("--fsize={limit}:"))
        .status()
        .expect("prlimit of util-linux is there");
    assert!(set.success());
}
