//! The gateway as a user runs it: the real binary, a configuration file, default rules, its log.

use std::{
    env, fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    listening::{self, Transport, listening_address},
    server::Server,
    subject::{Guests, USERS_FILE, User},
};

/// More than any benchmark stores: what the budget does is measured by itself.
const BUDGET: &str = "64GiB";
const NAME: &str = "edge-gateway";
pub(crate) const STORE: &str = "gateway.db";
const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

pub(crate) fn find() -> Result<PathBuf> {
    let own = env::current_exe().context("where is the benchmark's own binary?")?;
    let program = own.with_file_name(NAME);
    ensure!(
        program.is_file(),
        "{NAME} is not beside the benchmark's binary: `cargo build --release` makes it"
    );
    Ok(program)
}

/// Returns once it has named the address it listens on.
pub(crate) fn start(
    program: &Path,
    folder: &Path,
    cloud_url: &str,
    guests: Guests,
) -> Result<(Server, SocketAddr)> {
    let (server, found) = spawn(program, folder, cloud_url, guests, ANY_PORT)?;
    let address = listening::wait_for_mqtt(&server, &found).context(NAME)?;
    Ok((server, address))
}

/// As `start`, at an address that is known beforehand.
pub(crate) fn start_at(
    program: &Path,
    folder: &Path,
    cloud_url: &str,
    address: SocketAddr,
) -> Result<Server> {
    let (server, found) = spawn(program, folder, cloud_url, Guests::Anybody, address)?;
    listening::wait_for_mqtt(&server, &found).context(NAME)?;
    Ok(server)
}

/// As `start`, with the address of its API behind that for MQTT.
pub(crate) fn start_with_http(
    program: &Path,
    folder: &Path,
    cloud_url: &str,
) -> Result<(Server, SocketAddr, SocketAddr)> {
    let (server, found) = spawn(program, folder, cloud_url, Guests::Anybody, ANY_PORT)?;
    wait_for_both(server, &found)
}

/// As `start_with_http`, with another budget.
pub(crate) fn start_with_budget(
    program: &Path,
    folder: &Path,
    cloud_url: &str,
    budget: &str,
) -> Result<(Server, SocketAddr, SocketAddr)> {
    let text = configuration(folder, cloud_url, Guests::Anybody, ANY_PORT);
    let text = text.replace(BUDGET, budget);
    let (server, found) = spawn_with(program, folder, &text)?;
    wait_for_both(server, &found)
}

/// As `start`, with this `group_commit`, and these lines before all others.
pub(crate) fn start_waiting(
    program: &Path,
    folder: &Path,
    cloud_url: &str,
    group_commit: &str,
    head: &str,
) -> Result<(Server, SocketAddr)> {
    let text = configuration(folder, cloud_url, Guests::Anybody, ANY_PORT);
    let text = text.replace(
        "[store]\n",
        &format!("[store]\ngroup_commit = {group_commit:?}\n"),
    );
    let (server, found) = spawn_with(program, folder, &format!("{head}{text}"))?;
    let address = listening::wait_for_mqtt(&server, &found).context(NAME)?;
    Ok((server, address))
}

/// The same without a cloud.
pub(crate) fn start_without_uplink(program: &Path, folder: &Path) -> Result<(Server, SocketAddr)> {
    let text = configuration(folder, "", Guests::Anybody, ANY_PORT);
    let (text, _) = text.split_once("[cloud]").context("no cloud")?;
    let (server, found) = spawn_with(program, folder, text)?;
    let address = listening::wait_for_mqtt(&server, &found).context(NAME)?;
    Ok((server, address))
}

/// The same without any rules.
pub(crate) fn start_without_rules(
    program: &Path,
    folder: &Path,
    cloud_url: &str,
) -> Result<(Server, SocketAddr, SocketAddr)> {
    let text = configuration(folder, cloud_url, Guests::Anybody, ANY_PORT);
    let (server, found) = spawn_with(program, folder, &format!("rule = []\n{text}"))?;
    wait_for_both(server, &found)
}

fn wait_for_both(server: Server, found: &Listening) -> Result<(Server, SocketAddr, SocketAddr)> {
    let mqtt = listening::wait_for_mqtt(&server, found).context(NAME)?;
    let http = listening::wait_for(Transport::Http, &server, found).context(NAME)?;
    Ok((server, mqtt, http))
}

type Listening = mpsc::Receiver<(Transport, SocketAddr)>;

fn spawn(
    program: &Path,
    folder: &Path,
    cloud_url: &str,
    guests: Guests,
    mqtt: SocketAddr,
) -> Result<(Server, Listening)> {
    let text = configuration(folder, cloud_url, guests, mqtt);
    spawn_with(program, folder, &text)
}

fn spawn_with(program: &Path, folder: &Path, configuration: &str) -> Result<(Server, Listening)> {
    let config = folder.join("gateway.toml");
    fs::write(&config, configuration).context("cannot write gateway.toml")?;
    let (sender, found) = mpsc::sync_channel(8);
    let mut command = Command::new(program);
    command
        .arg("--config")
        .arg(&config)
        .args(["--log-format", "json"]);
    command.current_dir(folder).env("RUST_LOG", "info");
    let server = Server::spawn(NAME, &mut command, move |line| {
        if let Some(address) = listening_address(line) {
            // The receiver goes once the address is known: later ones are of no use.
            sender.try_send(address).ok();
        }
    })?;
    Ok((server, found))
}

/// Adds each user as an operator does.
pub(crate) fn add_users(program: &Path, folder: &Path, users: &[User]) -> Result<()> {
    let password_file = folder.join("password");
    for User { name, password } in users {
        fs::write(&password_file, password)?;
        let output = Command::new(program)
            .args(["user", "add", name, "--users-file", USERS_FILE])
            .arg("--password-file")
            .arg(&password_file)
            .current_dir(folder)
            .output()
            .context("cannot run edge-gateway user add")?;
        ensure!(
            output.status.success(),
            "{name} cannot be added: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

fn configuration(folder: &Path, cloud_url: &str, guests: Guests, mqtt: SocketAddr) -> String {
    let store = Value::from(folder.join(STORE).to_string_lossy());
    let url = Value::from(cloud_url);
    let users = match guests {
        Guests::Anybody => String::new(),
        Guests::Users => format!("users_file = {:?}\nanonymous = \"never\"\n", USERS_FILE),
    };
    format!(
        "gateway_id = \"bench\"\n[mqtt]\nlisten = \"{mqtt}\"\nwebsocket_listen = \"\"\n{users}\
         [http]\nlisten = \"127.0.0.1:0\"\n\
         [store]\npath = {store}\nmax_size = \"{BUDGET}\"\n[cloud]\nurl = {url}\n"
    )
}
