//! One server, fresh, under one load: what is measured, and in which order.

use std::{
    net::SocketAddr,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{
    load::{Load, Outcome, Shape},
    process,
    server::Server,
    sink::Taken,
    subject::Subject,
};

/// A server that listens is left alone so long before it counts as idle.
const SETTLE: Duration = Duration::from_millis(500);
/// After so long what a server has stored is counted for the last time.
const LATER: Duration = Duration::from_secs(5);
const STORED_POLL: Duration = Duration::from_millis(10);

/// What was seen of one server in one round.
pub(crate) struct Round {
    pub(crate) outcome: Outcome,
    pub(crate) idle_kib: u64,
    pub(crate) peak_kib: u64,
    pub(crate) server_cpu: Duration,
    pub(crate) generator_cpu: Duration,
    /// Of the servers that store.
    pub(crate) kept: Option<Kept>,
}

/// What a server did with the readings beside acking them.
pub(crate) struct Kept {
    /// When the last ack came.
    pub(crate) stored: u64,
    pub(crate) stored_later: u64,
    /// From the last ack until every acked reading was stored, if that came.
    pub(crate) lag: Option<Duration>,
    pub(crate) written_bytes: u64,
    /// What the cloud had taken when the last ack came.
    pub(crate) cloud: Taken,
}

/// Starts the server in a new folder under `parent`, measures it, and leaves nothing behind.
pub(crate) fn measure(subject: &Subject, shape: Shape, parent: &Path) -> Result<Round> {
    let folder =
        TempDir::with_prefix_in("bench-", parent).context("cannot make a temporary folder")?;
    let (server, address) = subject.start(folder.path())?;
    let round = flood(subject, &server, address, shape, folder.path())
        .with_context(|| server.last_lines())?;
    server.stop()?;
    folder
        .close()
        .context("cannot remove the temporary folder")?;
    Ok(round)
}

fn flood(
    subject: &Subject,
    server: &Server,
    address: SocketAddr,
    shape: Shape,
    folder: &Path,
) -> Result<Round> {
    let Some((stored, sink)) = subject.keeps(folder) else {
        return Ok(load(server, address, shape, || Ok(()))?.0);
    };
    let pid = server.pid();
    // Open beforehand, so that the count is that of the last ack and not of a while later.
    let file = stored.open()?;
    let (written_before, cloud_before) = (process::written_bytes(pid)?, sink.taken());
    let (round, (last_ack, at_last_ack, cloud)) = load(server, address, shape, || {
        let (last_ack, cloud) = (Instant::now(), sink.taken().since(cloud_before));
        Ok((last_ack, file.count()?, cloud))
    })?;
    let mut lag = (at_last_ack == round.outcome.acked).then_some(Duration::ZERO);
    while lag.is_none() && last_ack.elapsed() < LATER {
        thread::sleep(STORED_POLL);
        let after = last_ack.elapsed();
        lag = (file.count()? == round.outcome.acked).then_some(after);
    }
    let written_bytes = process::written_bytes(pid)? - written_before;
    thread::sleep(LATER.saturating_sub(last_ack.elapsed()));
    let kept = Kept {
        stored: at_last_ack,
        stored_later: file.count()?,
        lag,
        written_bytes,
        cloud,
    };
    Ok(Round {
        kept: Some(kept),
        ..round
    })
}

fn load<T>(
    server: &Server,
    address: SocketAddr,
    shape: Shape,
    at_last_ack: impl FnOnce() -> Result<T>,
) -> Result<(Round, T)> {
    let pid = server.pid();
    thread::sleep(SETTLE);
    let idle_kib = process::resident_kib(pid)?;
    let load = Load::prepare(address, shape)?;
    let (server_cpu_before, generator_cpu_before) =
        (process::cpu_time(pid)?, process::own_thread_cpu_time()?);
    let (outcome, (server_cpu_after, generator_cpu_after, seen)) = load.run(|| {
        let (server_cpu, own_cpu) = (process::cpu_time(pid)?, process::own_thread_cpu_time()?);
        Ok((server_cpu, own_cpu, at_last_ack()?))
    })?;
    ensure!(
        outcome.acked == shape.readings,
        "{} of {} readings were acked",
        outcome.acked,
        shape.readings
    );
    let round = Round {
        outcome,
        idle_kib,
        peak_kib: process::peak_resident_kib(pid)?,
        server_cpu: server_cpu_after - server_cpu_before,
        generator_cpu: generator_cpu_after - generator_cpu_before,
        kept: None,
    };
    Ok((round, seen))
}
