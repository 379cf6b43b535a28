//! The same job built the literal way on rumqttd (`bench/stock/`), as a binary that is built beside.

use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc,
};

use anyhow::{Context, Result, ensure};

use crate::{
    listening::{self, listening_address},
    server::Server,
};

const NAME: &str = "stock-gateway";
pub(crate) const STORE: &str = "stock.db";
pub(crate) const HOW_TO_BUILD: &str =
    "`cargo build --release --manifest-path bench/stock/Cargo.toml` makes the stock gateway";

/// The one that was named, else the one beside the benchmark, else the one in its own workspace.
pub(crate) fn find(named: Option<&Path>) -> Result<Option<PathBuf>> {
    if let Some(program) = named {
        ensure!(
            program.is_file(),
            "no file {}: {HOW_TO_BUILD}",
            program.display()
        );
        return Ok(Some(program.canonicalize()?));
    }
    let own = env::current_exe().context("where is the benchmark's own binary?")?;
    let in_workspace = env::current_dir()?
        .join("bench/stock/target/release")
        .join(NAME);
    Ok([own.with_file_name(NAME), in_workspace]
        .into_iter()
        .find(|file| file.is_file()))
}

/// Returns once it has named the address it listens on.
pub(crate) fn start(
    program: &Path,
    folder: &Path,
    cloud_url: &str,
) -> Result<(Server, SocketAddr)> {
    let mut command = Command::new(program);
    command
        .args(["--listen", "127.0.0.1:0", "--store", STORE, "--cloud"])
        .arg(cloud_url);
    spawn(command, folder)
}

/// Its broker alone, as it is shipped.
pub(crate) fn start_bare(program: &Path, folder: &Path) -> Result<(Server, SocketAddr)> {
    let mut command = Command::new(program);
    command.args(["bare", "--listen", "127.0.0.1:0"]);
    spawn(command, folder)
}

fn spawn(mut command: Command, folder: &Path) -> Result<(Server, SocketAddr)> {
    command.current_dir(folder);
    let (sender, found) = mpsc::sync_channel(8);
    let server = Server::spawn(NAME, &mut command, move |line| {
        if let Some(address) = listening_address(line) {
            // The receiver goes once the address is known: later ones are of no use.
            sender.try_send(address).ok();
        }
    })?;
    let address = listening::wait_for_mqtt(&server, &found).context(NAME)?;
    Ok((server, address))
}
