//! What a server has on disk: its SQLite file, read as any tool may read it.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use rusqlite::Connection;

const BUSY_LIMIT: Duration = Duration::from_secs(10);

pub(crate) struct Stored {
    pub(crate) file: PathBuf,
    /// Selects the `seq` of each reading.
    pub(crate) seqs: &'static str,
}

impl Stored {
    pub(crate) fn count(&self) -> Result<u64> {
        let connection = open(&self.file)?;
        let count: i64 =
            connection.query_row("SELECT count(*) FROM readings", [], |row| row.get(0))?;
        Ok(count.try_into()?)
    }

    pub(crate) fn seqs(&self) -> Result<HashSet<u64>> {
        let connection = open(&self.file)?;
        let mut statement = connection.prepare(self.seqs)?;
        let rows = statement.query_map([], |row| row.get::<_, i64>(0))?;
        rows.map(|seq| Ok(seq?.try_into()?)).collect()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the file of a server under test, which this only reads"
)]
fn open(file: &Path) -> Result<Connection> {
    let connection =
        Connection::open(file).with_context(|| format!("cannot open {}", file.display()))?;
    connection.busy_timeout(BUSY_LIMIT)?;
    Ok(connection)
}
