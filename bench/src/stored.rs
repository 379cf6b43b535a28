//! What a server has on disk: its SQLite file, read as any tool may read it.

use std::{collections::HashSet, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use rusqlite::Connection;

const BUSY_LIMIT: Duration = Duration::from_secs(10);

pub(crate) struct Stored {
    pub(crate) file: PathBuf,
    /// Selects the `seq` of each reading.
    pub(crate) seqs: &'static str,
    /// Readings up to this id are not counted.
    pub(crate) after: i64,
}

impl Stored {
    #[expect(
        clippy::disallowed_methods,
        reason = "the file of a server under test, which this only reads"
    )]
    pub(crate) fn open(&self) -> Result<Reader> {
        let connection = Connection::open(&self.file)
            .with_context(|| format!("cannot open {}", self.file.display()))?;
        connection.busy_timeout(BUSY_LIMIT)?;
        Ok(Reader {
            connection,
            seqs: self.seqs,
            after: self.after,
        })
    }
}

pub(crate) struct Reader {
    connection: Connection,
    seqs: &'static str,
    after: i64,
}

impl Reader {
    /// For questions of other kinds.
    pub(crate) fn into_connection(self) -> Connection {
        self.connection
    }

    /// How many readings were committed when this began.
    pub(crate) fn count(&self) -> Result<u64> {
        let sql = "SELECT count(*) FROM readings WHERE ?1 < id";
        let count: i64 = self
            .connection
            .query_row(sql, [self.after], |row| row.get(0))?;
        Ok(count.try_into()?)
    }

    /// The newest id.
    pub(crate) fn newest(&self) -> Result<i64> {
        let sql = "SELECT coalesce(max(id), 0) FROM readings";
        Ok(self.connection.query_row(sql, [], |row| row.get(0))?)
    }

    pub(crate) fn seqs(&self) -> Result<HashSet<u64>> {
        let mut statement = self.connection.prepare(self.seqs)?;
        let rows = statement.query_map([], |row| row.get::<_, i64>(0))?;
        rows.map(|seq| Ok(seq?.try_into()?)).collect()
    }
}
