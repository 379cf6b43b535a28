//! What the tests stand on: the real binary in a folder of its own, with its log watched.

pub(crate) mod accounts;
pub(crate) mod authority;
pub(crate) mod disk;
pub(crate) mod frames;
pub(crate) mod http;
#[cfg(feature = "mqtt-uplink")]
pub(crate) mod mosquitto;
#[cfg(feature = "mqtt-uplink")]
pub(crate) mod plain_broker;
pub(crate) mod process;
pub(crate) mod program;
pub(crate) mod properties;
pub(crate) mod raw;
pub(crate) mod receiver;
mod settings;
pub(crate) mod websocket;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use simulator::cloud::RunningCloud;
use tempfile::TempDir;

/// More than any step takes on a busy machine; whoever waits so long has failed.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// The gateway's folder: configuration and store, which outlive its processes.
pub(crate) struct Site {
    folder: TempDir,
    database: PathBuf,
    settings: String,
    environment: Vec<(&'static str, String)>,
    allowed: Vec<&'static str>,
}

/// A gateway that runs.
pub(crate) struct Gateway<'s> {
    site: &'s Site,
    child: Child,
    pub(crate) mqtt: SocketAddr,
    pub(crate) http: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Site {
    /// A site without a cloud.
    pub(crate) fn new() -> Self {
        Self::with("")
    }

    /// A site with further settings in TOML: top-level keys are not possible, sections are.
    pub(crate) fn with(sections: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut site = Self {
            database: folder.path().join("gateway.db"),
            folder,
            settings: String::new(),
            environment: Vec::new(),
            allowed: Vec::new(),
        };
        site.configure(sections);
        site
    }

    /// Other sections from the next start on.
    pub(crate) fn configure(&mut self, sections: &str) {
        self.settings = String::from(
            "gateway_id = \"test\"\n[mqtt]\nlisten = \"127.0.0.1:0\"\nwebsocket_listen = \"127.0.0.1:0\"\n\
             [http]\nlisten = \"127.0.0.1:0\"\n",
        );
        writeln!(self.settings, "[store]\npath = {:?}", self.database).unwrap();
        self.settings.push_str(sections);
    }

    /// The same site with its store elsewhere.
    pub(crate) fn storing_at(mut self, database: PathBuf) -> Self {
        let [old, new] = [&self.database, &database].map(|path| format!("path = {path:?}"));
        self.settings = self.settings.replacen(&old, &new, 1);
        self.database = database;
        self
    }

    /// Overrides one key, as the environment does: `EDGE_GATEWAY_MQTT__LISTEN`.
    pub(crate) fn environment(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// MQTT on the same address after each start, so that sensors find the gateway again. The address is of this site
    /// alone: nobody else takes it while the gateway is down.
    pub(crate) fn at_a_lasting_address(self) -> Self {
        let [a, b, c] = [(); 3].map(|()| fastrand::u8(1..255));
        self.environment("EDGE_GATEWAY_MQTT__LISTEN", format!("127.{a}.{b}.{c}:1883"))
    }

    /// A site that delivers to `cloud` without lingering and retries soon.
    pub(crate) fn delivering_to(cloud: &RunningCloud) -> Self {
        Self::with(&cloud_section(cloud, ""))
    }

    /// Log lines of WARN and ERROR that contain one of these are expected.
    pub(crate) fn allow(mut self, parts: &[&'static str]) -> Self {
        self.allowed.extend(parts);
        self
    }

    /// The same site with further sections.
    pub(crate) fn and(mut self, sections: &str) -> Self {
        self.settings.push_str(sections);
        self
    }

    /// Changes the store while no gateway runs.
    #[expect(clippy::disallowed_methods, reason = "nobody else has the file open")]
    pub(crate) fn change(&self, statement: &str) {
        let connection = Connection::open(&self.database).unwrap();
        connection.execute_batch(statement).unwrap();
    }

    /// Runs a command of the binary on this site.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> program::Ended {
        let config = self.path("gateway.toml");
        std::fs::write(&config, &self.settings).unwrap();
        program::run_with(&config, arguments)
    }

    /// As [`run`](Self::run), of a command that has to succeed; gives what it prints.
    #[track_caller]
    pub(crate) fn succeed(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
        ended.stdout
    }

    /// The path of a file of the site, as an argument.
    pub(crate) fn name(&self, file: &str) -> String {
        self.path(file).to_str().unwrap().to_owned()
    }

    /// The same site with another `gateway_id`.
    pub(crate) fn renamed(mut self, gateway_id: &str) -> Self {
        self.settings = self
            .settings
            .replacen("\"test\"", &format!("{gateway_id:?}"), 1);
        self
    }

    pub(crate) fn database(&self) -> &Path {
        &self.database
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the gateway and waits until it listens.
    pub(crate) fn start(&self) -> Gateway<'_> {
        self.start_as(command())
    }

    /// As [`start`](Self::start), by another command than the plain binary.
    pub(crate) fn start_as(&self, command: Command) -> Gateway<'_> {
        self.try_start_as(command, |_| {})
            .unwrap_or_else(|log| panic!("the gateway did not start:\n{log}"))
    }

    /// As [`start_as`](Self::start_as); the log if the gateway ended before it listened. `spawned` gets its process's number.
    pub(crate) fn try_start_as(
        &self,
        mut command: Command,
        spawned: impl FnOnce(u32),
    ) -> Result<Gateway<'_>, String> {
        let config = self.path("gateway.toml");
        std::fs::write(&config, &self.settings).unwrap();
        let mut child = command
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .args(["--config", config.to_str().unwrap(), "--log-format", "json"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        spawned(child.id());
        let log = Arc::<Mutex<Vec<String>>>::default();
        let (sender, addresses) = sync_channel(8);
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let collected = Arc::clone(&log);
        let reader = thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let event: Value = serde_json::from_str(&line).unwrap_or_default();
                collected.lock().unwrap().push(line);
                if event["message"] == "listening" {
                    let text = |name: &str| event[name].as_str().unwrap().to_owned();
                    sender.try_send((text("transport"), text("address"))).ok();
                }
            }
        });
        let Some((mqtt, http)) = listening(&addresses) else {
            child.kill().ok();
            child.wait().unwrap();
            return Err(log.lock().unwrap().join("\n"));
        };
        Ok(Gateway {
            site: self,
            child,
            mqtt,
            http,
            log,
            reader: Some(reader),
        })
    }

    pub(crate) fn look(&self) -> Look<'_> {
        Look(&self.database)
    }

    /// Looks into the store with SQL, as any SQLite tool may.
    pub(crate) fn sql<T: rusqlite::types::FromSql>(&self, query: &str) -> T {
        self.look().sql(query)
    }

    /// All rows of a query with one column.
    pub(crate) fn sql_all<T: rusqlite::types::FromSql>(&self, query: &str) -> Vec<T> {
        self.look().sql_all(query)
    }

    /// As [`sql`](Self::sql), in another file of the site.
    pub(crate) fn sql_in<T: rusqlite::types::FromSql>(&self, file: &str, query: &str) -> T {
        Look(&self.path(file)).sql(query)
    }

    /// As [`sql_all`](Self::sql_all), in another file of the site.
    pub(crate) fn sql_all_in<T: rusqlite::types::FromSql>(
        &self,
        file: &str,
        query: &str,
    ) -> Vec<T> {
        Look(&self.path(file)).sql_all(query)
    }
}

/// A stranger's look at a database.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look<'p>(pub(crate) &'p Path);

impl Look<'_> {
    #[expect(clippy::disallowed_methods, reason = "a stranger's look at the file")]
    fn open(self) -> Connection {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = Connection::open_with_flags(self.0, flags).unwrap();
        connection.busy_timeout(LIMIT).unwrap();
        connection
    }

    pub(crate) fn sql<T: rusqlite::types::FromSql>(self, query: &str) -> T {
        self.open().query_row(query, [], |row| row.get(0)).unwrap()
    }

    /// All rows of a query with one column.
    pub(crate) fn sql_all<T: rusqlite::types::FromSql>(self, query: &str) -> Vec<T> {
        let connection = self.open();
        let mut statement = connection.prepare(query).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }
}

/// `[cloud]` for a simulated one, with further keys.
pub(crate) fn cloud_section(cloud: &RunningCloud, keys: &str) -> String {
    let ca_file = cloud
        .ca_file()
        .map_or(String::new(), |path| format!("ca_file = {path:?}\n"));
    format!(
        "[cloud]\nurl = {:?}\n{ca_file}batch_linger = \"0ms\"\nretry_initial = \"50ms\"\nretry_max = \"200ms\"\n{keys}",
        cloud.url()
    )
}

/// The binary, or what `GATEWAY_BINARY` names in its place (`tests/boards.sh`: one for another machine), without settings from
/// this process's environment.
pub(crate) fn command() -> Command {
    let other = std::env::var_os("GATEWAY_BINARY");
    let mut command = Command::new(other.unwrap_or(env!("CARGO_BIN_EXE_edge-gateway").into()));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("EDGE_GATEWAY_") {
            command.env_remove(name);
        }
    }
    command.env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// The binary as a shell script starts it by `exec "$0" "$@"`, with the same environment as [`command`].
pub(crate) fn command_in(script: &str) -> Command {
    let plain = command();
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).arg(plain.get_program());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.stdin(Stdio::null());
    shell
}

fn listening(addresses: &Receiver<(String, String)>) -> Option<(SocketAddr, SocketAddr)> {
    let (mut mqtt, mut http) = (None, None);
    while mqtt.is_none() || http.is_none() {
        let (transport, address) = addresses.recv_timeout(LIMIT).ok()?;
        match &*transport {
            "mqtt" => mqtt = address.parse().ok(),
            "http" => http = address.parse().ok(),
            _ => {}
        }
    }
    mqtt.zip(http)
}

impl Gateway<'_> {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Pulls the plug: SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.check_log();
    }

    /// SIGTERM, and waits for the end.
    pub(crate) fn stop(mut self) -> ExitStatus {
        signal(self.pid(), "TERM");
        let mut status = None;
        wait_until("it has ended", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        self.check_log();
        status.unwrap()
    }

    /// As [`stop`](Self::stop), for all the log lines.
    pub(crate) fn stop_for_log(self) -> Vec<String> {
        let log = Arc::clone(&self.log);
        assert_eq!(self.stop().code(), Some(0));
        std::mem::take(&mut *log.lock().unwrap())
    }

    /// Where it listens for another transport than `mqtt` and `http`.
    pub(crate) fn address(&self, transport: &str) -> SocketAddr {
        let log = self.log();
        let mut events = log
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let listening = events.find(|event| event["transport"] == transport);
        let address = listening.expect("it listens")["address"].clone();
        address.as_str().unwrap().parse().unwrap()
    }

    /// All log lines so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    fn check_log(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        let log = self.log();
        let unexpected: Vec<&str> = log
            .lines()
            .filter(|line| {
                line.contains(r#""level":"WARN""#) || line.contains(r#""level":"ERROR""#)
            })
            // Of the machine that the tests run on.
            .filter(|line| !line.contains("the file system under the store is a risk"))
            .filter(|line| !self.site.allowed.iter().any(|part| line.contains(part)))
            .collect();
        assert!(
            unexpected.is_empty(),
            "unexpected log lines: {unexpected:#?}"
        );
    }
}

impl Drop for Gateway<'_> {
    /// A test that fails leaves no process behind, and shows what the gateway said.
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

/// Sends a signal by name.
pub(crate) fn signal(pid: u32, name: &str) {
    let sent = Command::new("sh")
        .args(["-c", &format!("kill -{name} {pid}")])
        .status()
        .unwrap();
    assert!(sent.success());
}

/// Waits until `holds` gives something; looks again every few milliseconds.
pub(crate) async fn eventually<T>(what: &str, mut holds: impl FnMut() -> Option<T>) -> T {
    let search = async {
        loop {
            if let Some(found) = holds() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    match tokio::time::timeout(LIMIT, search).await {
        Ok(found) => found,
        Err(_) => panic!("waited in vain until {what}"),
    }
}

/// As [`eventually`], where nothing else goes on.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < until, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The folder of the repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
