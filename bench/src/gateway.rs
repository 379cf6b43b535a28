//! The gateway as a user runs it: the real binary, a configuration file, default rules, its log and its HTTP.
//! Nothing of it is linked in.

use std::{
    env, fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::server::Server;

const NAME: &str = "edge-gateway";
const START_LIMIT: Duration = Duration::from_secs(10);
const HTTP_LIMIT: Duration = Duration::from_secs(10);
/// How long a counter may lag behind the last ack.
const COUNTER_LIMIT: Duration = Duration::from_secs(2);
const COUNTER_POLL: Duration = Duration::from_millis(20);
const COMMITTED: &str = "gateway_readings_committed_total";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) mqtt: SocketAddr,
    pub(crate) http: SocketAddr,
}

pub(crate) fn find() -> Result<PathBuf> {
    let own = env::current_exe().context("where is the benchmark's own binary?")?;
    let program = own.with_file_name(NAME);
    ensure!(
        program.is_file(),
        "{NAME} is not beside the benchmark's binary: `cargo build --release` makes it"
    );
    Ok(program)
}

pub(crate) fn version(program: &Path) -> Result<String> {
    let output = Command::new(program)
        .arg("--version")
        .output()
        .context("cannot run edge-gateway --version")?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    ensure!(!version.is_empty(), "edge-gateway --version says nothing");
    Ok(version)
}

/// Returns once it has named the addresses it listens on.
pub(crate) fn start(program: &Path, folder: &Path, cloud_url: &str) -> Result<(Server, Addresses)> {
    let config = folder.join("gateway.toml");
    fs::write(&config, configuration(folder, cloud_url)).context("cannot write gateway.toml")?;
    let (sender, listening) = mpsc::sync_channel(16);
    let mut command = Command::new(program);
    command
        .arg("--config")
        .arg(&config)
        .args(["--log-format", "json"]);
    command.current_dir(folder).env("RUST_LOG", "info");
    let server = Server::spawn(NAME, &mut command, move |line| {
        if let Some(found) = listening_address(line) {
            // The receiver goes once all addresses are known: later ones are of no use.
            sender.send(found).ok();
        }
    })?;
    let (mut mqtt, mut http) = (None, None);
    let deadline = Instant::now() + START_LIMIT;
    loop {
        if let (Some(mqtt), Some(http)) = (mqtt, http) {
            return Ok((server, Addresses { mqtt, http }));
        }
        match listening.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok((Transport::Mqtt, address)) => mqtt = Some(address),
            Ok((Transport::Http, address)) => http = Some(address),
            Err(RecvTimeoutError::Timeout) => {
                bail!(
                    "{NAME} did not say within {START_LIMIT:?} where it listens; {}",
                    server.last_lines()
                )
            }
            Err(RecvTimeoutError::Disconnected) => {
                bail!("{NAME} ended by itself; {}", server.last_lines())
            }
        }
    }
}

fn configuration(folder: &Path, cloud_url: &str) -> String {
    let store = Value::from(folder.join("gateway.db").to_string_lossy());
    let url = Value::from(cloud_url);
    format!(
        "gateway_id = \"bench\"\n[mqtt]\nlisten = \"127.0.0.1:0\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
         [store]\npath = {store}\n[cloud]\nurl = {url}\n"
    )
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Mqtt,
    Http,
}

/// What a line of the JSON log says of an address, if it is such a line.
fn listening_address(line: &str) -> Option<(Transport, SocketAddr)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let field = |name| {
        line.get(name)
            .or_else(|| line.get("fields")?.get(name))?
            .as_str()
    };
    if field("message") != Some("listening") {
        return None;
    }
    let transport = match field("transport")? {
        "mqtt" => Transport::Mqtt,
        "http" => Transport::Http,
        _ => return None,
    };
    Some((transport, field("address")?.parse().ok()?))
}

/// How many readings it says to have committed: `acked` as soon as the counter stands there, else what it shows in
/// the end.
pub(crate) fn committed_readings(http: SocketAddr, acked: u64) -> Result<u64> {
    let deadline = Instant::now() + COUNTER_LIMIT;
    loop {
        let committed = counter(&get_metrics(http)?, COMMITTED)
            .with_context(|| format!("/metrics has no {COMMITTED}"))?;
        if committed == acked || deadline < Instant::now() {
            return Ok(committed);
        }
        thread::sleep(COUNTER_POLL);
    }
}

fn get_metrics(http: SocketAddr) -> Result<String> {
    let mut connection =
        TcpStream::connect_timeout(&http, HTTP_LIMIT).context("cannot connect for /metrics")?;
    connection.set_read_timeout(Some(HTTP_LIMIT))?;
    // HTTP/1.0 keeps the answer free of chunks and ends it with the connection.
    write!(connection, "GET /metrics HTTP/1.0\r\nHost: {http}\r\n\r\n")?;
    let mut answer = String::new();
    connection
        .read_to_string(&mut answer)
        .context("reading /metrics")?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("/metrics gave no HTTP answer")?;
    let status = head.lines().next().unwrap_or_default();
    ensure!(
        status.split(' ').nth(1) == Some("200"),
        "/metrics answered {status}"
    );
    Ok(body.to_owned())
}

/// The value of a counter in Prometheus text, its labels added up.
fn counter(metrics: &str, name: &str) -> Option<u64> {
    let values = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let labels_end = rest.find('}').map_or(0, |brace| brace + 1);
        let value = rest[labels_end..].strip_prefix(' ')?;
        value.split(' ').next()?.parse::<f64>().ok()
    });
    values
        .reduce(|sum, value| sum + value)
        .map(|sum| sum as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_from_the_log_with_fields_at_either_level() -> Result<()> {
        let check = |line: &str, expected: Option<(Transport, &str)>| {
            let found = listening_address(line)
                .map(|(transport, address)| (transport, address.to_string()));
            let expected = expected.map(|(transport, address)| (transport, address.to_owned()));
            assert_eq!(found, expected, "{line}");
        };
        check(
            r#"{"level":"INFO","message":"listening","transport":"mqtt","address":"127.0.0.1:1883"}"#,
            Some((Transport::Mqtt, "127.0.0.1:1883")),
        );
        check(
            r#"{"fields":{"message":"listening","transport":"http","address":"[::1]:80"},"target":"x"}"#,
            Some((Transport::Http, "[::1]:80")),
        );
        check(
            r#"{"message":"listening","transport":"websocket","address":"127.0.0.1:8083"}"#,
            None,
        );
        check(
            r#"{"message":"stopped","transport":"mqtt","address":"127.0.0.1:1883"}"#,
            None,
        );
        check("listening transport=mqtt", None);
        Ok(())
    }

    #[test]
    fn counters_are_found_by_their_whole_name_and_added_up_over_labels() {
        let metrics = "# TYPE a_total counter\na_total 7\na_total_more 9\nb_total{x=\"1\"} 2\nb_total{x=\"2\"} 3e1\n";
        assert_eq!(counter(metrics, "a_total"), Some(7));
        assert_eq!(counter(metrics, "b_total"), Some(32));
        assert_eq!(counter(metrics, "a_tot"), None);
    }
}
