//! Three ways to bring readings to a cloud: the gateway, Mosquitto with a bridge, Mosquitto with a script. How each is
//! started and killed, and what its cloud has received.

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{
    cloud::Cloud, frames, gateway, line::Line, mosquitto, process, server::Server, subject,
};

const SCRIPT: &str = include_str!("../peers/pipeline.py");
/// What people configure who want nothing lost; `user` so that a broker started by root reaches its folder.
const PERSISTENT: &str = "persistence true\nuser root\nmax_queued_messages 0\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Gateway,
    /// With these settings of its queue.
    Bridge(Queue),
    Script,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    Default,
    Persistent,
    /// And saved each second, not each half hour.
    SavedOften,
}

impl Way {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Bridge(Queue::Default) => "Mosquitto bridge",
            Self::Bridge(Queue::Persistent) => "Mosquitto bridge, persistent",
            Self::Bridge(Queue::SavedOften) => "Mosquitto bridge, persistent, saved each second",
            Self::Script => "Mosquitto and script",
        }
    }

    /// Whether reading `seq` has to reach the cloud.
    pub(crate) fn forwards(self, seq: u64) -> bool {
        matches!(self, Self::Bridge(_)) || frames::is_over(seq, 50)
    }
}

/// What can be measured here.
pub(crate) struct Programs {
    gateway: PathBuf,
    mosquitto: Option<PathBuf>,
    python: Option<PathBuf>,
}

impl Programs {
    /// Says of each that is missing how to get it.
    pub(crate) fn find() -> Result<Self> {
        let tell = |error| eprintln!("measuring without it: {error:#}");
        Ok(Self {
            gateway: gateway::find()?,
            mosquitto: mosquitto::find().map_err(tell).ok(),
            python: find_python().map_err(tell).ok(),
        })
    }

    pub(crate) fn have(&self, way: Way) -> bool {
        match way {
            Way::Gateway => true,
            Way::Bridge(_) => self.mosquitto.is_some(),
            Way::Script => self.mosquitto.is_some() && self.python.is_some(),
        }
    }

    fn mosquitto(&self) -> Result<&Path> {
        self.mosquitto.as_deref().context("no mosquitto")
    }

    pub(crate) fn versions(&self) -> Result<Vec<String>> {
        let mut versions = vec![subject::find_gateway()?.version()?];
        if let Some(mosquitto) = &self.mosquitto {
            versions.push(mosquitto::version(mosquitto)?);
        }
        if let Some(python) = &self.python {
            let code = "import platform, sqlite3, paho.mqtt as paho\n\
                print('Python', platform.python_version(), 'with paho-mqtt', paho.__version__, \
                'and SQLite', sqlite3.sqlite_version)";
            let output = Command::new(python).args(["-c", code]).output()?;
            versions.push(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        Ok(versions)
    }
}

/// The interpreter that `.ci/install` gives paho-mqtt.
fn find_python() -> Result<PathBuf> {
    let python = cache()?.join("edge-gateway-clients/bin/python");
    ensure!(
        python.is_file(),
        "no Python with paho-mqtt: `.ci/install` makes it"
    );
    Ok(python)
}

/// Where programs keep what they can make again (XDG Base Directory Specification).
pub(crate) fn cache() -> Result<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".cache"));
    cache.or_else(home).context("no HOME")
}

/// One system with its line and its cloud.
pub(crate) struct System<'a> {
    way: Way,
    programs: &'a Programs,
    folder: TempDir,
    address: SocketAddr,
    pub(crate) line: Line,
    pub(crate) cloud: Cloud,
    servers: Vec<Server>,
}

impl<'a> System<'a> {
    /// In a new folder under `parent`. It is not started yet.
    pub(crate) fn new(way: Way, programs: &'a Programs, parent: &Path) -> Result<Self> {
        let folder =
            TempDir::with_prefix_in("bench-", parent).context("cannot make a temporary folder")?;
        let cloud = match way {
            Way::Bridge(_) => Cloud::upstream(programs.mosquitto()?, folder.path())?,
            Way::Gateway | Way::Script => Cloud::sink()?,
        };
        Ok(Self {
            way,
            programs,
            folder,
            address: mosquitto::free_address()?,
            line: Line::start(cloud.address())?,
            cloud,
            servers: Vec::new(),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns once it accepts connections.
    pub(crate) fn start(&mut self) -> Result<()> {
        let url = format!("http://{}/", self.line.address());
        match self.way {
            Way::Gateway => {
                let program = &self.programs.gateway;
                let folder = self.folder.path();
                let server = gateway::start_at(program, folder, &url, self.address)?;
                self.servers.push(server);
            }
            Way::Bridge(queue) => {
                let bridge = format!(
                    "connection cloud\naddress {}\ntopic sensors/# out 1\ncleansession false\n",
                    self.line.address()
                );
                let queue = match queue {
                    Queue::Default => "",
                    Queue::Persistent => PERSISTENT,
                    Queue::SavedOften => &format!("{PERSISTENT}autosave_interval 1\n"),
                };
                self.start_mosquitto(&format!("{queue}{bridge}"))?;
            }
            Way::Script => {
                self.start_mosquitto(PERSISTENT)?;
                self.start_script(&url)?;
            }
        }
        Ok(())
    }

    fn start_mosquitto(&mut self, settings: &str) -> Result<()> {
        let settings = format!(
            "allow_anonymous true\npersistence_location {}/\n{settings}",
            self.folder.path().display()
        );
        let program = self.programs.mosquitto()?;
        let server = mosquitto::start_at(program, self.folder.path(), self.address, &settings)?;
        self.servers.push(server);
        Ok(())
    }

    fn start_script(&mut self, url: &str) -> Result<()> {
        let script = self.folder.path().join("pipeline.py");
        fs::write(&script, SCRIPT)?;
        let python = self.programs.python.as_ref().context("no Python")?;
        let mut command = Command::new(python);
        command
            .arg(script)
            .args([&self.address.port().to_string(), url, "pipeline.db"])
            .current_dir(self.folder.path());
        self.servers
            .push(Server::spawn("the script", &mut command, |_| {})?);
        Ok(())
    }

    /// Ends all of it by SIGKILL.
    pub(crate) fn kill(&mut self) -> Result<()> {
        for mut server in self.servers.drain(..) {
            server.kill()?;
        }
        Ok(())
    }

    /// The most that was ever resident since it was started, of all its processes.
    pub(crate) fn peak_kib(&self) -> Result<u64> {
        let peaks = self.servers.iter();
        peaks
            .map(|server| {
                process::peak_resident_kib(server.pid()).with_context(|| server.last_lines())
            })
            .sum()
    }
}
