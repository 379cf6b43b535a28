//! The service manager, where there is one (systemd, or what speaks its protocol): what it is told, and the sockets that it
//! passes. See sd_notify(3), sd_listen_fds(3).

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use listenfd::ListenFd;
use sd_notify::NotifyState;

const PAUSE: Duration = Duration::from_secs(10);

/// What the service manager gave this process, and what it wants to know of it.
#[derive(Debug, Default)]
pub struct Service {
    sockets: Vec<(SocketAddr, TcpListener)>,
    pulse: Arc<Pulse>,
}

impl Service {
    /// Takes what was passed. To be called once and before there is a second thread, because it changes the environment: a
    /// child of this process must not take the sockets for its own.
    ///
    /// # Errors
    /// If something that was passed is no TCP socket that listens.
    pub fn take() -> io::Result<Self> {
        let mut passed = ListenFd::from_env();
        let mut service = Self::default();
        for index in 0..passed.len() {
            if let Some(listener) = passed.take_tcp_listener(index)? {
                listener.set_nonblocking(true)?;
                service.sockets.push((listener.local_addr()?, listener));
            }
        }
        Ok(service)
    }

    /// The socket that was passed for an address. It stays open here, so that it can be asked for again.
    pub fn socket(&self, address: SocketAddr) -> io::Result<Option<TcpListener>> {
        let mut sockets = self.sockets.iter();
        let found = sockets.find(|(bound, _)| *bound == address);
        found.map(|(_, listener)| listener.try_clone()).transpose()
    }

    /// Where the passed sockets listen.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.sockets.iter().map(|(address, _)| *address)
    }

    /// Waits before an end that is a failure, if sockets were passed: their next client would have this started anew at once,
    /// whatever the service manager is told of pauses.
    pub fn pause_before_failure(&self) {
        if !self.sockets.is_empty() {
            std::thread::sleep(PAUSE);
        }
    }

    /// What shows whether the work goes on.
    pub fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }
}

/// Since when the work has been in its present turn.
#[derive(Debug, Default)]
pub struct Pulse(Mutex<Option<Instant>>);

impl Pulse {
    /// A turn begins.
    pub fn begin(&self) {
        self.set(Some(Instant::now()));
    }

    /// There is nothing to do.
    pub fn rest(&self) {
        self.set(None);
    }

    /// There is nothing to do any more once this is dropped.
    pub fn rest_at_the_end(self: &Arc<Self>) -> RestOnDrop {
        RestOnDrop(Arc::clone(self))
    }

    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// How long the present turn has taken.
    fn turn(&self, now: Instant) -> Duration {
        let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

/// Ends the work: who does none is never too slow.
#[derive(Debug)]
pub struct RestOnDrop(Arc<Pulse>);

impl Drop for RestOnDrop {
    fn drop(&mut self) {
        self.0.rest();
    }
}

/// Tells the watchdog that the process lives, as often as it wants to hear it, and as long as no turn of the work takes
/// longer than its limit (`WatchdogSec=`). Returns only where there is no watchdog.
pub async fn feed_watchdog(pulse: Arc<Pulse>) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    let mut ticks = tokio::time::interval(limit / 3);
    loop {
        ticks.tick().await;
        if pulse.turn(Instant::now()) < limit {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

/// Whether anybody listens to what is told here.
pub fn is_managed() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// The gateway serves, for the first time or after [`reloading`].
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Files are read again; [`ready`] ends that.
pub fn reloading() {
    let mut states = vec![NotifyState::Reloading];
    // `Type=notify-reload` wants to know since when.
    states.extend(NotifyState::monotonic_usec_now());
    tell(&states);
}

/// The gateway ends.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// A line for people.
pub fn status(line: &str) {
    tell(&[NotifyState::Status(line)]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}
