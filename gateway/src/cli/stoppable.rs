//! Subcommands that go on until somebody ends them.

use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::{task, time};

use super::{EXIT_INTERNAL, runtime};

/// What is on its way to the terminal when the end is asked for has so long to get there.
const GRACE: Duration = Duration::from_secs(1);

/// Knows when to end.
#[derive(Debug)]
pub(super) struct Stop(Receiver<()>);

impl Stop {
    /// Waits; true if the end was asked for.
    pub(super) fn within(&self, patience: Duration) -> bool {
        // Nothing is ever sent: the other side goes away.
        self.0.recv_timeout(patience) != Err(RecvTimeoutError::Timeout)
    }
}

/// Does `work`, which may block, until it is done or SIGINT or SIGTERM come, which is no failure.
pub(super) fn stoppable(work: impl FnOnce(&Stop) -> ExitCode + Send + 'static) -> ExitCode {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(code) => return code,
    };
    let code = runtime.block_on(run(work));
    // Who does not read what is written to him is not waited for.
    runtime.shutdown_background();
    code
}

async fn run(work: impl FnOnce(&Stop) -> ExitCode + Send + 'static) -> ExitCode {
    let signals = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    );
    let (Ok(mut interrupt), Ok(mut terminate)) = signals else {
        eprintln!("signals cannot be listened for");
        return ExitCode::from(EXIT_INTERNAL);
    };
    let (ask_to_stop, asked) = sync_channel(0);
    let mut work = task::spawn_blocking(move || work(&Stop(asked)));
    let ended = tokio::select! {
        ended = &mut work => Some(ended),
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
    };
    match ended {
        // A panic has told about itself.
        Some(ended) => ended.unwrap_or(ExitCode::from(EXIT_INTERNAL)),
        None => {
            drop(ask_to_stop);
            let ended = time::timeout(GRACE, work).await;
            ended.map_or(ExitCode::SUCCESS, |ended| {
                ended.unwrap_or(ExitCode::from(EXIT_INTERNAL))
            })
        }
    }
}
