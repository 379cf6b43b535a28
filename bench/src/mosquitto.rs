//! Bare Mosquitto, storing nothing: what the gateway is held against.

use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::{
    listening,
    server::Server,
    subject::{Guests, USERS_FILE, User},
};

const NAME: &str = "mosquitto";
/// Where distributions put it and people's PATH often does not look.
const SYSTEM_FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

pub(crate) fn find() -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(SYSTEM_FOLDERS.map(PathBuf::from))
        .map(|folder| folder.join(NAME))
        .find(|file| file.is_file())
        .context(
            "mosquitto is not installed: `apt-get install -y mosquitto` brings it; \
             `--only gateway` measures the gateway alone",
        )
}

/// Writes the users' names and passwords and has `mosquitto_passwd` turn them into hashes.
pub(crate) fn add_users(folder: &Path, users: &[User]) -> Result<()> {
    let lines: String = users
        .iter()
        .map(|User { name, password }| format!("{name}:{password}\n"))
        .collect();
    fs::write(folder.join(USERS_FILE), lines)?;
    let output = Command::new("mosquitto_passwd")
        .args(["-U", USERS_FILE])
        .current_dir(folder)
        .output()
        .context("cannot run mosquitto_passwd")?;
    ensure!(
        output.status.success(),
        "mosquitto_passwd: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// The first line of its help, which names it and its version.
pub(crate) fn version(program: &Path) -> Result<String> {
    let help = Command::new(program)
        .arg("-h")
        .output()
        .context("cannot run mosquitto -h")?;
    let text = String::from_utf8_lossy(&help.stdout);
    let first_line = text.lines().next().context("mosquitto -h says nothing")?;
    Ok(first_line.trim().to_owned())
}

/// Publishes of QoS 1 and 2 that may wait for their acks with each client: as many as the gateway lets wait.
pub(crate) const IN_FLIGHT: usize = 64;
/// What its configuration allows it beyond its defaults.
pub(crate) const ALLOWANCE: &str = "Mosquitto may have as many in flight to a subscriber as the gateway has (64) and queue without bound";

/// Returns once it accepts connections.
pub(crate) fn start(program: &Path, folder: &Path, guests: Guests) -> Result<(Server, SocketAddr)> {
    let address = free_address()?;
    let guests = match guests {
        Guests::Anybody => "allow_anonymous true\npersistence false\n".to_owned(),
        // Saved at each change: it is killed. As root it would become another user, to whom the folder is closed.
        Guests::Users => format!(
            "allow_anonymous false\npassword_file {USERS_FILE}\nuser root\npersistence true\n\
             persistence_location {}/\nautosave_on_changes true\nautosave_interval 1\n",
            folder.display()
        ),
    };
    let text = format!(
        "{guests}set_tcp_nodelay true\nmax_inflight_messages {IN_FLIGHT}\nmax_queued_messages 0\n"
    );
    Ok((start_at(program, folder, address, &text)?, address))
}

/// As `start`, at an address that is known beforehand and with these settings.
pub(crate) fn start_at(
    program: &Path,
    folder: &Path,
    address: SocketAddr,
    settings: &str,
) -> Result<Server> {
    let config = folder.join("mosquitto.conf");
    let text = format!(
        "listener {} {}\n{settings}\nlog_dest stderr\nlog_type error\n",
        address.port(),
        address.ip()
    );
    fs::write(&config, text).context("cannot write mosquitto.conf")?;
    let mut command = Command::new(program);
    command.arg("-c").arg(&config).current_dir(folder);
    let server = Server::spawn(NAME, &mut command, |_| {})?;
    listening::wait_until(server, || TcpStream::connect(address).is_ok())
}

/// Who cannot be asked which port he got is given one, that was free a moment ago.
pub(crate) fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?)
}
