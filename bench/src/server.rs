//! A server under test as a process of its own: started in a fresh folder, watched through its log, ended by
//! SIGTERM to its own pid, or killed. It is never left behind, not even when a round fails.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

const KEPT_LOG_LINES: usize = 20;
const STOP_LIMIT: Duration = Duration::from_secs(20);
const STOP_POLL: Duration = Duration::from_millis(10);

/// What a program says to `--version`.
pub(crate) fn version_of(program: &Path) -> Result<String> {
    let shown = program.display();
    let output = Command::new(program)
        .arg("--version")
        .output()
        .with_context(|| format!("cannot run {shown} with --version"))?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    ensure!(!version.is_empty(), "{shown} says nothing to --version");
    Ok(version)
}

pub(crate) struct Server {
    name: &'static str,
    child: Child,
    follower: Option<JoinHandle<()>>,
    last_lines: Arc<Mutex<VecDeque<String>>>,
}

impl Server {
    /// Starts it and hands each line of its log to `on_line`, which is dropped when the log ends.
    pub(crate) fn spawn(
        name: &'static str,
        command: &mut Command,
        on_line: impl FnMut(&str) + Send + 'static,
    ) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let log = child.stderr.take().context("stderr was piped")?;
        let last_lines = Arc::<Mutex<VecDeque<String>>>::default();
        let kept = Arc::clone(&last_lines);
        let follower = Some(thread::spawn(move || follow(log, &kept, on_line)));
        Ok(Self {
            name,
            child,
            follower,
            last_lines,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it is gone; then its log is complete.
    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        let ended = self.child.try_wait()?.is_some();
        if ended
            && self
                .follower
                .take()
                .is_some_and(|follower| follower.join().is_err())
        {
            bail!("the thread that read the log of {} panicked", self.name);
        }
        Ok(ended)
    }

    /// What it said last, for people.
    pub(crate) fn last_lines(&self) -> String {
        let lines = self
            .last_lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if lines.is_empty() {
            return format!("{} logged nothing", self.name);
        }
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        format!("the last lines of {}:\n  {}", self.name, lines.join("\n  "))
    }

    /// Ends it by SIGKILL and waits until it is gone.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill().context("cannot kill")?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end and waits until it has.
    pub(crate) fn stop(mut self) -> Result<()> {
        // `forbid(unsafe_code)` leaves no kill(2); every POSIX shell has it built in.
        let asked = Command::new("sh")
            .args(["-c", &format!("kill -TERM {}", self.pid())])
            .status()
            .context("cannot run sh")?;
        ensure!(
            asked.success(),
            "{} was gone before its SIGTERM; {}",
            self.name,
            self.last_lines()
        );
        let deadline = Instant::now() + STOP_LIMIT;
        while !self.has_ended()? {
            if deadline < Instant::now() {
                bail!(
                    "{} did not end within {STOP_LIMIT:?} of SIGTERM; {}",
                    self.name,
                    self.last_lines()
                );
            }
            thread::sleep(STOP_POLL);
        }
        let status = self.child.wait()?;
        ensure!(
            status.success(),
            "{} ended with {status} after SIGTERM; {}",
            self.name,
            self.last_lines()
        );
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait()
            && let Err(error) = self.child.kill().and_then(|()| self.child.wait())
        {
            eprintln!(
                "{} may still run as process {}: {error}",
                self.name,
                self.pid()
            );
        }
    }
}

/// Reads the log to its end, so that the server never waits for a full pipe.
fn follow(log: ChildStderr, kept: &Mutex<VecDeque<String>>, mut on_line: impl FnMut(&str)) {
    for line in BufReader::new(log).lines().map_while(Result::ok) {
        on_line(&line);
        let mut lines = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT_LOG_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}
