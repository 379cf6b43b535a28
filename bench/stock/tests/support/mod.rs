//! A stock broker in a process of its own, so that none of its panics hides among the test's threads.

pub(crate) mod wire;

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use wire::{Client, Connect};

const DEAF_WITHIN: Duration = Duration::from_secs(3);
const DEAF_POLL: Duration = Duration::from_millis(50);

pub(crate) struct Broker {
    child: Child,
    has_panicked: Arc<AtomicBool>,
    /// For MQTT 3.1.1.
    pub(crate) v4: SocketAddr,
    pub(crate) v5: SocketAddr,
}

impl Broker {
    /// In the configuration that rumqttd ships with.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_stock-gateway"))
            .args(["bare", "--listen-v5", "127.0.0.1:0"])
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut address_of = |transport: &str| {
            let line = log.next().expect("the broker ended").unwrap();
            let line: serde_json::Value = serde_json::from_str(&line).expect(&line);
            assert_eq!(line["transport"], transport);
            line["address"].as_str().unwrap().parse().unwrap()
        };
        let (v4, v5) = (address_of("mqtt"), address_of("mqtt5"));
        let has_panicked = Arc::<AtomicBool>::default();
        let seen = Arc::clone(&has_panicked);
        thread::spawn(move || {
            for line in log.map_while(Result::ok) {
                if line.contains("panicked at") {
                    seen.store(true, Ordering::Relaxed);
                }
                eprintln!("{line}");
            }
        });
        Self {
            child,
            has_panicked,
            v4,
            v5,
        }
    }

    pub(crate) fn connect(&self, id: &str) -> Client {
        Client::connect(self.v4, &Connect::new(id)).unwrap()
    }

    /// Whether newcomers are no longer served because the broker panicked, now or within a while.
    pub(crate) fn goes_deaf(&self) -> bool {
        let end = Instant::now() + DEAF_WITHIN;
        while Instant::now() < end {
            if self.is_deaf() {
                return true;
            }
            thread::sleep(DEAF_POLL);
        }
        false
    }

    pub(crate) fn is_deaf(&self) -> bool {
        Client::connect(self.v4, &Connect::new("newcomer")).is_err()
            && self.has_panicked.load(Ordering::Relaxed)
    }

    pub(crate) fn resident_bytes(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line
            .unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse::<usize>();
        kib.unwrap() << 10
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Fails the test on the day the fault is gone.
#[track_caller]
pub(crate) fn assert_fault(is_there: bool, fault: &str) {
    assert!(
        is_there,
        "the fault is mended: look at docs/decisions/0002 again ({fault})"
    );
}
