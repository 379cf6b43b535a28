//! The servers under test: which there are, how each is found and started, and where it keeps readings.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::{
    gateway, mosquitto,
    options::{Only, Options},
    server::{Server, version_of},
    sink::Sink,
    stock,
    stored::Stored,
};

pub(crate) enum Subject {
    Gateway { program: PathBuf, sink: Sink },
    Stock { program: PathBuf, sink: Sink },
    Mosquitto { program: PathBuf },
}

/// Who may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guests {
    Anybody,
    /// Those of `USERS_FILE` in the server's folder.
    Users,
}

const NO_USERS: &str = "the stock gateway knows no users";
pub(crate) const USERS_FILE: &str = "users";

pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) password: String,
}

/// Those that `options` ask for and that are there, the gateway first.
pub(crate) fn find(options: &Options) -> Result<Vec<Subject>> {
    let mut subjects = find_that_store(options)?;
    if options.wants(Only::Mosquitto) {
        subjects.push(find_mosquitto()?);
    }
    Ok(subjects)
}

/// Those that are compared as brokers, without the job: the gateway first.
pub(crate) fn find_brokers(options: &Options) -> Result<Vec<Subject>> {
    ensure!(
        options.only != Some(Only::Stock),
        "the stock gateway is not measured as a broker: it does the job of the flood"
    );
    let mut subjects = Vec::new();
    if options.wants(Only::Gateway) {
        subjects.push(find_gateway()?);
    }
    if options.wants(Only::Mosquitto) {
        subjects.push(find_mosquitto()?);
    }
    Ok(subjects)
}

pub(crate) fn find_gateway() -> Result<Subject> {
    Ok(Subject::Gateway {
        program: gateway::find()?,
        sink: Sink::start()?,
    })
}

fn find_mosquitto() -> Result<Subject> {
    Ok(Subject::Mosquitto {
        program: mosquitto::find()?,
    })
}

/// Those that do the job: they store, alert and forward.
pub(crate) fn find_that_store(options: &Options) -> Result<Vec<Subject>> {
    let mut subjects = Vec::new();
    if options.wants(Only::Gateway) {
        subjects.push(find_gateway()?);
    }
    if options.wants(Only::Stock) {
        match stock::find(options.stock.as_deref())? {
            Some(program) => subjects.push(Subject::Stock {
                program,
                sink: Sink::start()?,
            }),
            None if options.only.is_some() => bail!("{}", stock::HOW_TO_BUILD),
            None => eprintln!("measuring without it: {}", stock::HOW_TO_BUILD),
        }
    }
    Ok(subjects)
}

impl Subject {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Gateway { .. } => "gateway",
            Self::Stock { .. } => "stock",
            Self::Mosquitto { .. } => "Mosquitto",
        }
    }

    pub(crate) fn version(&self) -> Result<String> {
        let program = match self {
            Self::Mosquitto { program } => return mosquitto::version(program),
            Self::Gateway { program, .. } | Self::Stock { program, .. } => program,
        };
        version_of(program)
    }

    /// Returns once it accepts connections, with its address for MQTT.
    pub(crate) fn start(&self, folder: &Path) -> Result<(Server, SocketAddr)> {
        match self {
            Self::Gateway { program, sink } => {
                gateway::start(program, folder, &sink.url(), Guests::Anybody)
            }
            Self::Stock { program, sink } => stock::start(program, folder, &sink.url()),
            Self::Mosquitto { program } => mosquitto::start(program, folder, Guests::Anybody),
        }
    }

    /// As `start`, for nobody but the users that were added in `folder`.
    pub(crate) fn start_for_users(&self, folder: &Path) -> Result<(Server, SocketAddr)> {
        match self {
            Self::Gateway { program, sink } => {
                gateway::start(program, folder, &sink.url(), Guests::Users)
            }
            Self::Stock { .. } => bail!(NO_USERS),
            Self::Mosquitto { program } => mosquitto::start(program, folder, Guests::Users),
        }
    }

    pub(crate) fn add_users(&self, folder: &Path, users: &[User]) -> Result<()> {
        match self {
            Self::Gateway { program, .. } => gateway::add_users(program, folder, users),
            Self::Stock { .. } => bail!(NO_USERS),
            Self::Mosquitto { .. } => mosquitto::add_users(folder, users),
        }
    }

    /// Starts it in a new folder under `parent`, measures it, and leaves nothing behind.
    pub(crate) fn fresh<T>(
        &self,
        parent: &Path,
        measure: impl FnOnce(&Server, SocketAddr) -> Result<T>,
    ) -> Result<T> {
        let folder =
            TempDir::with_prefix_in("bench-", parent).context("cannot make a temporary folder")?;
        let (server, address) = self.start(folder.path())?;
        let measured = measure(&server, address).with_context(|| server.last_lines())?;
        server.stop()?;
        folder
            .close()
            .context("cannot remove the temporary folder")?;
        Ok(measured)
    }

    /// What it keeps in `folder`, and the cloud that it forwards to.
    pub(crate) fn keeps(&self, folder: &Path) -> Option<(Stored, &Sink)> {
        let (file, seqs, sink) = match self {
            Self::Gateway { sink, .. } => (
                gateway::STORE,
                "SELECT attributes ->> '$.seq' FROM readings",
                sink,
            ),
            Self::Stock { sink, .. } => (stock::STORE, "SELECT seq FROM readings", sink),
            Self::Mosquitto { .. } => return None,
        };
        let file = folder.join(file);
        let after = 0;
        Some((Stored { file, seqs, after }, sink))
    }
}
