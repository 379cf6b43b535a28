//! What is compared, each started afresh: brokers that store nothing, and systems that do the gateway's job.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::forwarding::cache;
use crate::server::Server;
use crate::sink::Sink;
use crate::stored::Stored;
use crate::subject::Guests;
use crate::{gateway, mosquitto, stock};

const TUTORIAL: &str = include_str!("../../peers/tutorial.py");
const TUTORIAL_STORE: &str = "tutorial.db";
const START_LIMIT: Duration = Duration::from_secs(30);

#[derive(Clone, Debug)]
pub(crate) enum Peer {
    Gateway { program: PathBuf },
    Mosquitto { program: PathBuf },
    Tutorial { mosquitto: PathBuf, python: PathBuf },
    Rumqttd { program: PathBuf },
    Stock { program: PathBuf },
}

/// A peer that serves.
pub(crate) struct Running {
    pub(crate) servers: Vec<Server>,
    pub(crate) address: SocketAddr,
    pub(crate) stored: Option<Stored>,
}

impl Running {
    /// Ends all of it in order.
    pub(crate) fn stop(self) -> Result<()> {
        // The broker last, so that who stands on it can say good-bye.
        for server in self.servers.into_iter().rev() {
            server.stop()?;
        }
        Ok(())
    }

    /// What its processes said last.
    pub(crate) fn last_lines(&self) -> String {
        let lines: Vec<_> = self.servers.iter().map(Server::last_lines).collect();
        lines.join("\n")
    }
}

/// Those that are there; says of each other how to get it.
pub(crate) fn find(stock_named: Option<&Path>) -> Result<Vec<Peer>> {
    let mut peers = vec![Peer::Gateway {
        program: gateway::find()?,
    }];
    let tell = |error: &anyhow::Error| eprintln!("measuring without it: {error:#}");
    let mosquitto = mosquitto::find().inspect_err(tell).ok();
    if let Some(program) = mosquitto.clone() {
        peers.push(Peer::Mosquitto { program });
    }
    if let Some(mosquitto) = mosquitto
        && let Ok(python) = python().inspect_err(tell)
    {
        peers.push(Peer::Tutorial { mosquitto, python });
    }
    match stock::find(stock_named)? {
        Some(program) => {
            peers.push(Peer::Rumqttd {
                program: program.clone(),
            });
            peers.push(Peer::Stock { program });
        }
        None => eprintln!("measuring without rumqttd: {}", stock::HOW_TO_BUILD),
    }
    Ok(peers)
}

/// An interpreter with what the tutorial imports, in an environment that is made for it.
fn python() -> Result<PathBuf> {
    let venv = cache()?.join("edge-gateway-tutorial");
    let python = venv.join("bin/python");
    let has_all = |python: &Path| {
        let check = Command::new(python)
            .args(["-c", "import paho.mqtt.client, requests"])
            .output();
        check.is_ok_and(|output| output.status.success())
    };
    if !has_all(&python) {
        let run = |command: &mut Command| -> Result<()> {
            let output = command.output().context("cannot run python3")?;
            ensure!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            Ok(())
        };
        run(Command::new("python3").arg("-m").arg("venv").arg(&venv))?;
        run(Command::new(venv.join("bin/pip")).args([
            "install",
            "--quiet",
            "paho-mqtt>=2,<3",
            "requests>=2,<3",
        ]))?;
    }
    ensure!(
        has_all(&python),
        "no Python with paho-mqtt and requests in {}",
        venv.display()
    );
    Ok(python)
}

impl Peer {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Gateway { .. } => "gateway",
            Self::Mosquitto { .. } => "Mosquitto",
            Self::Tutorial { .. } => "Mosquitto + Python",
            Self::Rumqttd { .. } => "rumqttd",
            Self::Stock { .. } => "gateway on rumqttd",
        }
    }

    /// Whether it does the gateway's job, so that alerts can be waited for.
    pub(crate) fn does_the_job(&self) -> bool {
        !matches!(self, Self::Mosquitto { .. } | Self::Rumqttd { .. })
    }

    pub(crate) fn version(&self) -> Result<String> {
        let output = match self {
            Self::Mosquitto { program } => return mosquitto::version(program),
            Self::Tutorial { python, .. } => {
                let code = "import platform, sqlite3, requests, paho.mqtt as paho\n\
                    print('Python', platform.python_version(), 'with paho-mqtt', paho.__version__, \
                    'SQLite', sqlite3.sqlite_version, 'requests', requests.__version__)";
                Command::new(python).args(["-c", code]).output()
            }
            Self::Rumqttd { .. } => return Ok("rumqttd 0.20.0, as it is shipped".to_owned()),
            Self::Gateway { program } | Self::Stock { program } => {
                Command::new(program).arg("--version").output()
            }
        };
        let output = output.with_context(|| format!("{} does not run", self.name()))?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Returns once it serves.
    pub(crate) fn start(&self, folder: &Path, sink: &Sink) -> Result<Running> {
        let stored = |file: &str| Stored {
            file: folder.join(file),
            seqs: "",
        };
        let alone = |(server, address), stored| Running {
            servers: vec![server],
            address,
            stored,
        };
        Ok(match self {
            Self::Gateway { program } => {
                let started = gateway::start(program, folder, &sink.url(), Guests::Anybody)?;
                alone(started, Some(stored(gateway::STORE)))
            }
            Self::Stock { program } => {
                let started = stock::start(program, folder, &sink.url())?;
                alone(started, Some(stored(stock::STORE)))
            }
            Self::Mosquitto { program } => {
                alone(mosquitto::start(program, folder, Guests::Anybody)?, None)
            }
            Self::Rumqttd { program } => alone(stock::start_bare(program, folder)?, None),
            Self::Tutorial { mosquitto, python } => {
                let (broker, address) = mosquitto::start(mosquitto, folder, Guests::Anybody)?;
                let script = folder.join("tutorial.py");
                fs::write(&script, TUTORIAL)?;
                let mut command = Command::new(python);
                command.arg(script);
                command.args([&address.port().to_string(), &sink.url(), TUTORIAL_STORE]);
                command.current_dir(folder);
                let (sender, ready) = mpsc::sync_channel(1);
                let script = Server::spawn("the script", &mut command, move |line| {
                    if line == "listening" {
                        // Nobody waits for a second one.
                        sender.try_send(()).ok();
                    }
                })?;
                ready
                    .recv_timeout(START_LIMIT)
                    .with_context(|| script.last_lines())?;
                Running {
                    servers: vec![broker, script],
                    address,
                    stored: Some(stored(TUTORIAL_STORE)),
                }
            }
        })
    }
}
