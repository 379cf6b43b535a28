//! What is compared, each started afresh: brokers that store nothing, and systems that do the gateway's job.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result};

use super::environments::{self, node_versions, python, python_versions};
use crate::listening::{self, Transport};
use crate::server::{Server, version_of};
use crate::sink::Sink;
use crate::stored::Stored;
use crate::subject::Guests;
use crate::{gateway, http, mosquitto, stock};

const TUTORIAL: &str = include_str!("../../peers/tutorial.py");
const TUTORIAL_STORE: &str = "tutorial.db";
const NODE_RED: [(&str, &str); 4] = [
    (
        "package.json",
        include_str!("../../peers/node_red/package.json"),
    ),
    (
        "settings.js",
        include_str!("../../peers/node_red/settings.js"),
    ),
    (
        "flows.json",
        include_str!("../../peers/node_red/flows.json"),
    ),
    (
        "gateway.js",
        include_str!("../../peers/node_red/gateway.js"),
    ),
];
const NODE_RED_STORE: &str = "node-red.db";
const WEB_STORE: &str = include_str!("../../peers/store.py");
const WITH_FLASK: &str = include_str!("../../peers/with_flask.py");
const WITH_FASTAPI: &str = include_str!("../../peers/with_fastapi.py");
const WEB_STORE_FILE: &str = "web.db";
const START_LIMIT: Duration = Duration::from_secs(30);

#[derive(Clone, Debug)]
pub(crate) enum Peer {
    Gateway {
        program: PathBuf,
    },
    /// One with a store of before, in a folder that stays.
    Grown {
        program: PathBuf,
        folder: PathBuf,
        name: &'static str,
    },
    Mosquitto {
        program: PathBuf,
    },
    Tutorial {
        mosquitto: PathBuf,
        bin: PathBuf,
    },
    Rumqttd {
        program: PathBuf,
    },
    Stock {
        program: PathBuf,
    },
    NodeRed {
        modules: PathBuf,
    },
    Flask {
        bin: PathBuf,
    },
    FastApi {
        bin: PathBuf,
    },
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
        && let Ok(bin) = python(
            "edge-gateway-tutorial",
            &["paho-mqtt>=2,<3", "requests>=2,<3"],
            "paho.mqtt.client, requests",
        )
        .inspect_err(tell)
    {
        peers.push(Peer::Tutorial { mosquitto, bin });
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
    let modules = environments::node("edge-gateway-node-red", NODE_RED[0].1);
    if let Ok(modules) = modules.inspect_err(tell) {
        peers.push(Peer::NodeRed { modules });
    }
    let flask = python(
        "edge-gateway-flask",
        &["flask>=3,<4", "gunicorn>=23"],
        "flask, gunicorn",
    );
    if let Ok(bin) = flask.inspect_err(tell) {
        peers.push(Peer::Flask { bin });
    }
    let fastapi = python(
        "edge-gateway-fastapi",
        &["fastapi>=0.115", "uvicorn[standard]>=0.30"],
        "fastapi, uvicorn, uvloop, httptools",
    );
    if let Ok(bin) = fastapi.inspect_err(tell) {
        peers.push(Peer::FastApi { bin });
    }
    Ok(peers)
}

/// Serves an application by a command that is told where.
fn web(
    (file, application): (&str, &str),
    mut command: Command,
    tell: impl FnOnce(&mut Command, SocketAddr),
    folder: &Path,
) -> Result<(Server, SocketAddr)> {
    fs::write(folder.join("store.py"), WEB_STORE)?;
    fs::write(folder.join(file), application)?;
    let address = mosquitto::free_address()?;
    tell(&mut command, address);
    command.env("DATABASE", WEB_STORE_FILE).current_dir(folder);
    let server = Server::spawn("the application", &mut command, |_| {})?;
    let server = listening::wait_until(server, || http::answers(address))?;
    Ok((server, address))
}

/// Returns once it has logged a line with `ready` in it.
fn spawn_until(ready: &'static str, name: &'static str, command: &mut Command) -> Result<Server> {
    let (sender, found) = mpsc::sync_channel(1);
    let server = Server::spawn(name, command, move |line| {
        if line.contains(ready) {
            // Nobody waits for a second one.
            sender.try_send(()).ok();
        }
    })?;
    found
        .recv_timeout(START_LIMIT)
        .with_context(|| server.last_lines())?;
    Ok(server)
}

impl Peer {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Gateway { .. } => "gateway",
            Self::Grown { name, .. } => name,
            Self::Mosquitto { .. } => "Mosquitto",
            Self::Tutorial { .. } => "Mosquitto + Python",
            Self::Rumqttd { .. } => "rumqttd",
            Self::Stock { .. } => "gateway on rumqttd",
            Self::NodeRed { .. } => "Node-RED",
            Self::Flask { .. } => "Flask",
            Self::FastApi { .. } => "FastAPI",
        }
    }

    /// Whether it is the gateway, with whatever store.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self, Self::Gateway { .. } | Self::Grown { .. })
    }

    /// Whether it takes readings that way.
    pub(crate) fn speaks(&self, transport: Transport) -> bool {
        let by_http_only = matches!(self, Self::Flask { .. } | Self::FastApi { .. });
        match transport {
            Transport::Mqtt => !by_http_only,
            Transport::Http => by_http_only || self.is_ours(),
        }
    }

    /// Whether it does the gateway's job, so that alerts can be waited for.
    pub(crate) fn does_the_job(&self) -> bool {
        matches!(
            self,
            Self::Gateway { .. }
                | Self::Grown { .. }
                | Self::Tutorial { .. }
                | Self::Stock { .. }
                | Self::NodeRed { .. }
        )
    }

    pub(crate) fn version(&self) -> Result<String> {
        let output = match self {
            Self::Mosquitto { program } => return mosquitto::version(program),
            Self::Rumqttd { .. } => return Ok("rumqttd 0.20.0, as it is shipped".to_owned()),
            Self::Tutorial { bin, .. } => python_versions(bin, &["paho-mqtt", "requests"]),
            Self::NodeRed { modules } => node_versions(
                modules,
                &[
                    "node-red",
                    "node-red-contrib-aedes",
                    "aedes",
                    "better-sqlite3",
                ],
            ),
            Self::Flask { bin } => python_versions(bin, &["flask", "gunicorn"]),
            Self::FastApi { bin } => python_versions(bin, &["fastapi", "uvicorn"]),
            Self::Gateway { program } | Self::Grown { program, .. } | Self::Stock { program } => {
                return version_of(program);
            }
        };
        let output = output.with_context(|| format!("{} does not run", self.name()))?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Returns once it serves.
    pub(crate) fn start(
        &self,
        transport: Transport,
        folder: &Path,
        sink: &Sink,
    ) -> Result<Running> {
        let folder = match self {
            Self::Grown { folder, .. } => folder,
            _ => folder,
        };
        let stored = |file: &str| Stored {
            file: folder.join(file),
            seqs: "",
            after: 0,
        };
        let alone = |(server, address), stored| Running {
            servers: vec![server],
            address,
            stored,
        };
        Ok(match self {
            Self::Gateway { program } | Self::Grown { program, .. } => {
                let (server, mqtt, http) = gateway::start_with_http(program, folder, &sink.url())?;
                let address = match transport {
                    Transport::Mqtt => mqtt,
                    Transport::Http => http,
                };
                let mut stored = stored(gateway::STORE);
                stored.after = stored.open()?.newest()?;
                alone((server, address), Some(stored))
            }
            Self::Flask { bin } => {
                let mut command = Command::new(bin.join("gunicorn"));
                command.args(["--workers", "2", "--threads", "32", "--keep-alive", "60"]);
                command.args(["--log-level", "error", "with_flask:app"]);
                let tell = |command: &mut Command, address: SocketAddr| {
                    command.args(["--bind", &address.to_string()]);
                };
                let started = web(("with_flask.py", WITH_FLASK), command, tell, folder)?;
                alone(started, Some(stored(WEB_STORE_FILE)))
            }
            Self::FastApi { bin } => {
                let mut command = Command::new(bin.join("uvicorn"));
                command.args(["--workers", "2", "--timeout-keep-alive", "60"]);
                command.args(["--log-level", "error", "with_fastapi:app"]);
                let tell = |command: &mut Command, address: SocketAddr| {
                    command.args(["--port", &address.port().to_string()]);
                };
                let started = web(("with_fastapi.py", WITH_FASTAPI), command, tell, folder)?;
                alone(started, Some(stored(WEB_STORE_FILE)))
            }
            Self::Stock { program } => {
                let started = stock::start(program, folder, &sink.url())?;
                alone(started, Some(stored(stock::STORE)))
            }
            Self::Mosquitto { program } => {
                alone(mosquitto::start(program, folder, Guests::Anybody)?, None)
            }
            Self::Rumqttd { program } => alone(stock::start_bare(program, folder)?, None),
            Self::NodeRed { modules } => {
                for (name, text) in NODE_RED {
                    fs::write(folder.join(name), text)?;
                }
                symlink(modules, folder.join("node_modules"))?;
                let address = mosquitto::free_address()?;
                let mut command = Command::new("sh");
                // It logs to where nobody listens.
                command.args([
                    "-c",
                    "exec node node_modules/node-red/red.js --userDir . >&2",
                ]);
                command.env("DATABASE", NODE_RED_STORE).current_dir(folder);
                command.env("MQTT_PORT", address.port().to_string());
                command.env("CLOUD_URL", sink.url());
                let server = spawn_until("Connected to broker", "Node-RED", &mut command)?;
                alone((server, address), Some(stored(NODE_RED_STORE)))
            }
            Self::Tutorial { mosquitto, bin } => {
                let (broker, address) = mosquitto::start(mosquitto, folder, Guests::Anybody)?;
                let script = folder.join("tutorial.py");
                fs::write(&script, TUTORIAL)?;
                let mut command = Command::new(bin.join("python"));
                command.arg(script);
                command.args([&address.port().to_string(), &sink.url(), TUTORIAL_STORE]);
                command.current_dir(folder);
                let script = spawn_until("listening", "the script", &mut command)?;
                Running {
                    servers: vec![broker, script],
                    address,
                    stored: Some(stored(TUTORIAL_STORE)),
                }
            }
        })
    }
}
