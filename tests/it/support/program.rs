//! Runs of the binary that end by themselves.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::sync_channel;
use std::thread;

use super::{Gateway, LIMIT, command, signal};

/// A process that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// The first line of each fault on stderr.
    pub(crate) fn headlines(&self) -> Vec<&str> {
        headlines(&self.stderr)
    }

    /// Checks the exit code, and that each of the parts stands on stderr.
    #[track_caller]
    pub(crate) fn is_refused(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} in {}", self.stderr);
        }
    }
}

/// The first line of each fault, without its excerpt.
pub(crate) fn headlines(told: &str) -> Vec<&str> {
    let is_of_excerpt = |line: &&str| {
        let after_number = line.trim_start_matches(|c: char| c == ' ' || c.is_ascii_digit());
        after_number.starts_with('|')
    };
    told.lines().filter(|line| !is_of_excerpt(line)).collect()
}

/// Runs the binary with arguments.
#[track_caller]
pub(crate) fn run(arguments: &[&str]) -> Ended {
    let mut command = command();
    command.args(arguments);
    finish(command)
}

/// Runs the binary with a configuration file.
#[track_caller]
pub(crate) fn run_with(config: &Path, arguments: &[&str]) -> Ended {
    let mut command = command();
    command.arg("--config").arg(config).args(arguments);
    finish(command)
}

/// Runs the binary with words for a gateway that runs: exit code, output and what it says of faults.
#[track_caller]
pub(crate) fn ask(gateway: &Gateway<'_>, words: &[&str]) -> (Option<i32>, String, String) {
    let mut command = command();
    command.env("EDGE_GATEWAY_HTTP__LISTEN", gateway.http.to_string());
    command.args(words);
    let ended = finish(command);
    (ended.code, ended.stdout, ended.stderr)
}

/// Runs a command to its end; one that does not end is killed, and the test fails.
#[track_caller]
pub(crate) fn finish(mut command: Command) -> Ended {
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let (sender, ended) = sync_channel(1);
    let waiter = thread::spawn(move || sender.send(child.wait_with_output().unwrap()));
    let Ok(output) = ended.recv_timeout(LIMIT) else {
        signal(pid, "KILL");
        panic!("it does not end: {command:?}");
    };
    waiter.join().unwrap().unwrap();
    let Output {
        status,
        stdout,
        stderr,
    } = output;
    Ended {
        code: status.code(),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}
