//! `edge-gateway run`.

use std::process::ExitCode;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use super::{EXIT_INTERNAL, EXIT_STORE, runtime, usage};
use crate::access::Access;
use crate::app::{self, StartError};
use crate::config::{Config, Faults};
use crate::logging::LogFilter;
use crate::tls::Server;

pub(super) fn main(config: Result<Config, Faults>, log_filter: Arc<LogFilter>) -> ExitCode {
    let config = match config {
        Ok(config) => config,
        Err(faults) => return usage(&app::explain(&faults)),
    };
    match runtime() {
        Ok(runtime) => {
            let code = runtime.block_on(run(config, log_filter));
            // Whatever outlived the grace is not waited for.
            runtime.shutdown_background();
            code
        }
        Err(code) => code,
    }
}

async fn run(config: Config, log_filter: Arc<LogFilter>) -> ExitCode {
    let mut shutdown = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(%error, "signals cannot be listened for");
            return ExitCode::from(EXIT_INTERNAL);
        }
    };
    let running = match app::start(config, log_filter).await {
        Ok(running) => running,
        Err(error) => return refused(&error),
    };
    let (access, tls) = (Arc::clone(running.access()), running.tls().to_vec());
    let rules = Arc::clone(running.rules_wake());
    let reload = move || {
        rules.notify_one();
        reload_access(&access);
        tls.iter().for_each(|server| reload_certificates(server));
    };
    match running.run(shutdown.stop(reload)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!(%failure, "the gateway failed");
            ExitCode::from(EXIT_INTERNAL)
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
        StartError::Configuration(_) => return usage(&error.to_string()),
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
