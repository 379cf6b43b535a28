//! Stores that have grown: filled once, and then served for each round of the workloads that ask what size costs.

use std::path::Path;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::generator::Generator;
use super::peers::Peer;
use super::workloads::FILL;
use crate::gateway;

/// What a store is filled with at once.
const MILLION: u64 = 1_000_000;

/// The sizes beside an empty store.
const SIZES: [(u64, &str); 2] = [(10, "with 10 million"), (100, "with 100 million")];

/// Who has such a store, and the folders that keep it while they are measured.
pub(crate) struct Grown {
    pub(crate) peers: Vec<Peer>,
    _folders: Vec<TempDir>,
}

/// Fills them by publishes, without an uplink: nothing waits for one then.
pub(crate) fn grow(program: &Path, most_millions: u64, parent: &Path) -> Result<Grown> {
    let mut peers = vec![Peer::Gateway {
        program: program.to_owned(),
    }];
    let mut folders = Vec::new();
    for (millions, name) in SIZES
        .into_iter()
        .filter(|(millions, _)| *millions <= most_millions)
    {
        let folder =
            TempDir::with_prefix_in("bench-", parent).context("cannot make a temporary folder")?;
        fill(program, folder.path(), millions).with_context(|| format!("a store {name}"))?;
        peers.push(Peer::Grown {
            program: program.to_owned(),
            folder: folder.path().to_owned(),
            name,
        });
        folders.push(folder);
    }
    Ok(Grown {
        peers,
        _folders: folders,
    })
}

fn fill(program: &Path, folder: &Path, millions: u64) -> Result<()> {
    let (server, address) = gateway::start_without_uplink(program, folder)?;
    for million in 1..=millions {
        let (outcome, ()) = Generator::prepare(address, &FILL, false)?.run(|| Ok(()))?;
        let rate = MILLION as f64 / outcome.took.as_secs_f64();
        eprintln!("filling: {million} of {millions} million, {rate:.0} readings/s");
    }
    server.stop()
}
