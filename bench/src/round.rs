//! One server, fresh, under one load: what is measured, and in which order.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{
    gateway,
    load::{Load, Outcome, Shape},
    mosquitto, process,
    server::Server,
    sink::{Sink, Taken},
};

/// A server that listens is left alone so long before it counts as idle.
const SETTLE: Duration = Duration::from_millis(500);

pub(crate) enum Subject {
    Gateway { program: PathBuf, sink: Sink },
    Mosquitto { program: PathBuf },
}

/// What was seen of one server in one round.
pub(crate) struct Round {
    pub(crate) outcome: Outcome,
    pub(crate) idle_kib: u64,
    pub(crate) peak_kib: u64,
    pub(crate) server_cpu: Duration,
    pub(crate) generator_cpu: Duration,
    /// The gateway's only.
    pub(crate) kept: Option<Kept>,
}

/// What the gateway did with the readings beside acking them.
pub(crate) struct Kept {
    pub(crate) stored: u64,
    pub(crate) written_bytes: u64,
    /// What the cloud had taken when the last ack came.
    pub(crate) cloud: Taken,
}

impl Subject {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Gateway { .. } => "gateway",
            Self::Mosquitto { .. } => "Mosquitto",
        }
    }

    pub(crate) fn version(&self) -> Result<String> {
        match self {
            Self::Gateway { program, .. } => gateway::version(program),
            Self::Mosquitto { program } => mosquitto::version(program),
        }
    }

    /// Starts the server in a new folder under `parent`, measures it, and leaves nothing behind.
    pub(crate) fn measure(&self, shape: Shape, parent: &Path) -> Result<Round> {
        let folder =
            TempDir::with_prefix_in("bench-", parent).context("cannot make a temporary folder")?;
        let (server, round) = match self {
            Self::Gateway { program, sink } => {
                let (server, addresses) = gateway::start(program, folder.path(), &sink.url())?;
                let round = flood_gateway(&server, addresses, sink, shape)
                    .with_context(|| server.last_lines())?;
                (server, round)
            }
            Self::Mosquitto { program } => {
                let (server, address) = mosquitto::start(program, folder.path())?;
                let round = flood(&server, address, shape).with_context(|| server.last_lines())?;
                (server, round)
            }
        };
        server.stop()?;
        folder
            .close()
            .context("cannot remove the temporary folder")?;
        Ok(round)
    }
}

fn flood_gateway(
    server: &Server,
    addresses: gateway::Addresses,
    sink: &Sink,
    shape: Shape,
) -> Result<Round> {
    let pid = server.pid();
    let (written_before, cloud_before) = (process::written_bytes(pid)?, sink.taken());
    let round = flood(server, addresses.mqtt, shape)?;
    let (cloud, written_after) = (
        sink.taken().since(cloud_before),
        process::written_bytes(pid)?,
    );
    let kept = Kept {
        stored: gateway::committed_readings(addresses.http, round.outcome.acked)?,
        written_bytes: written_after - written_before,
        cloud,
    };
    Ok(Round {
        kept: Some(kept),
        ..round
    })
}

fn flood(server: &Server, address: SocketAddr, shape: Shape) -> Result<Round> {
    let pid = server.pid();
    thread::sleep(SETTLE);
    let idle_kib = process::resident_kib(pid)?;
    let load = Load::prepare(address, shape)?;
    let (server_cpu_before, generator_cpu_before) =
        (process::cpu_time(pid)?, process::own_thread_cpu_time()?);
    let outcome = load.run()?;
    let (server_cpu_after, generator_cpu_after) =
        (process::cpu_time(pid)?, process::own_thread_cpu_time()?);
    ensure!(
        outcome.acked == shape.readings,
        "{} of {} readings were acked",
        outcome.acked,
        shape.readings
    );
    Ok(Round {
        outcome,
        idle_kib,
        peak_kib: process::peak_resident_kib(pid)?,
        server_cpu: server_cpu_after - server_cpu_before,
        generator_cpu: generator_cpu_after - generator_cpu_before,
        kept: None,
    })
}
