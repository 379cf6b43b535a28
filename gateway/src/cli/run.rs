//! `edge-gateway run`.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{EXIT_INTERNAL, EXIT_STORE, runtime, usage};
use crate::access::Access;
use crate::app::{self, Failure, StartError};
use crate::config::{Config, Faults};
use crate::logging::LogFilter;
use crate::service::{self, Service};
use crate::tls::Server;

pub(super) fn main(config: Result<Config, Faults>, log_filter: Arc<LogFilter>) -> ExitCode {
    let service = match Service::take() {
        Ok(service) => service,
        Err(error) => return usage(&format!("the passed sockets (LISTEN_FDS): {error}")),
    };
    let code = match config {
        Ok(config) => serve(config, &service, log_filter),
        Err(faults) => usage(&app::explain(&faults)),
    };
    if code != ExitCode::SUCCESS {
        service.pause_before_failure();
    }
    code
}

fn serve(config: Config, service: &Service, log_filter: Arc<LogFilter>) -> ExitCode {
    match runtime() {
        Ok(runtime) => {
            let code = runtime.block_on(run(config, service, log_filter));
            // Whatever outlived the grace is not waited for.
            runtime.shutdown_background();
            code
        }
        Err(code) => code,
    }
}

async fn run(mut config: Config, service: &Service, log_filter: Arc<LogFilter>) -> ExitCode {
    let mut shutdown = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(%error, "signals cannot be listened for");
            return ExitCode::from(EXIT_INTERNAL);
        }
    };
    // Aside, so that it is fed while the store is opened, too.
    let _fed = JoinSet::from_iter([service::feed_watchdog(Arc::clone(service.pulse()))]);
    let mut damages = Damages::default();
    loop {
        let running = match app::start(config.clone(), service, Arc::clone(&log_filter)).await {
            Ok(running) => running,
            Err(error) => return refused(&error),
        };
        running.addresses().keep(&mut config);
        let (access, tls) = (Arc::clone(running.access()), running.tls().to_vec());
        let rules = Arc::clone(running.rules_wake());
        let reload = move || {
            service::reloading();
            rules.notify_one();
            reload_access(&access);
            tls.iter().for_each(|server| reload_certificates(server));
            service::ready();
        };
        service::ready();
        let mut is_stopping = false;
        let stop = async {
            shutdown.stop(reload).await;
            is_stopping = true;
            service::stopping();
        };
        match running.run(stop).await {
            Ok(()) => return ExitCode::SUCCESS,
            Err(Failure::Damaged(damage)) => {
                if let Err(error) = app::put_aside(&config, &damage) {
                    return refused(&error);
                }
                if is_stopping {
                    return ExitCode::SUCCESS;
                }
                let pause = damages.pause(Instant::now());
                tokio::select! {
                    biased;
                    () = shutdown.stop(|| ()) => return ExitCode::SUCCESS,
                    () = sleep(pause) => {}
                }
            }
            Err(failure) => {
                tracing::error!(%failure, "the gateway failed");
                return ExitCode::from(EXIT_INTERNAL);
            }
        }
    }
}

/// How often the store was damaged of late. A disk that damages each new store is not filled with them.
#[derive(Debug, Default)]
struct Damages {
    last: Option<Instant>,
    in_a_row: u32,
}

/// After so long the next damage is the first again.
const FORGIVEN_AFTER: Duration = Duration::from_secs(3600);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

impl Damages {
    /// How long to wait before the next start: not at all after the first.
    fn pause(&mut self, now: Instant) -> Duration {
        let is_recent = self.last.is_some_and(|last| now - last < FORGIVEN_AFTER);
        self.in_a_row = if is_recent { self.in_a_row + 1 } else { 0 };
        self.last = Some(now);
        match self.in_a_row {
            0 => Duration::ZERO,
            times => Duration::from_secs(1 << times.min(10)).min(LONGEST_PAUSE),
        }
    }
}

/// SIGHUP: what stands in the files now, unless they have faults.
fn reload_access(access: &Access) {
    match access.reload() {
        Ok(()) => tracing::info!("users, ACL and tokens are reloaded"),
        Err(faults) => {
            tracing::error!(%faults, "users, ACL and tokens stay as they were: their files have faults");
        }
    }
}

fn reload_certificates(server: &Server) {
    match server.reload() {
        Ok(()) => tracing::info!("certificates are reloaded"),
        Err(fault) => {
            tracing::error!(%fault, "certificates stay as they were: a file has a fault");
        }
    }
}

/// Says why the gateway does not start, and with which exit code.
pub(super) fn refused(error: &StartError) -> ExitCode {
    let code = match error {
        StartError::Configuration(_) | StartError::Passed(_) => return usage(&error.to_string()),
        StartError::Store { .. } => EXIT_STORE,
        StartError::Listen { .. } | StartError::Thread(_) => EXIT_INTERNAL,
    };
    tracing::error!(%error, "the gateway does not start");
    ExitCode::from(code)
}

/// The signals that a service gets. They are caught from the beginning, so that none is missed during the start.
pub(super) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

impl Signals {
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for SIGTERM or SIGINT, and calls `reload` at each SIGHUP.
    pub(super) async fn stop(&mut self, reload: impl Fn()) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => reload(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_damages_each_store_is_given_time() {
        let mut damages = Damages::default();
        let begin = Instant::now();
        let mut check = |after: u64, pause: u64| {
            let now = begin + Duration::from_secs(after);
            assert_eq!(damages.pause(now), Duration::from_secs(pause), "{after}");
        };
        check(0, 0);
        check(1, 2);
        check(4, 4);
        check(9, 8);
        check(9 + 3600, 0);
        for second in 0..10 {
            check(4000 + second, (2 << second).min(600));
        }
    }
}
