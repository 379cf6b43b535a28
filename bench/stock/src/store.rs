//! SQLite on one thread of its own: a transaction for all that has arrived, write-ahead log, synced with each commit.

use std::{
    path::Path,
    sync::mpsc::{Receiver, SyncSender, TrySendError},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use rusqlite::{CachedStatement, Connection, Transaction};

use crate::reading::{Arrived, now_ms};

const RETRY_AFTER: Duration = Duration::from_secs(1);
/// A transaction takes nothing more once it has so many readings: beyond that a longer one is no cheaper by the
/// reading, and a kill would cost more of them.
const GROUP_READINGS: usize = 10_000;
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS readings (
        id INTEGER PRIMARY KEY, sensor_id TEXT NOT NULL, value REAL NOT NULL, received_at INTEGER NOT NULL, seq INTEGER);
    CREATE TABLE IF NOT EXISTS alerts (
        id INTEGER PRIMARY KEY, sensor_id TEXT NOT NULL, value REAL NOT NULL, reading_id INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS outbox (reading_id INTEGER PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS statuses (device_id TEXT PRIMARY KEY, status TEXT NOT NULL, ts INTEGER NOT NULL)
        WITHOUT ROWID;";

pub(crate) enum Work {
    Arrived(Vec<Arrived>),
    /// The cloud has everything of the outbox in this range of ids.
    Delivered {
        first: i64,
        last: i64,
    },
    /// Answered once everything before it is committed.
    Barrier(SyncSender<()>),
}

impl Work {
    fn readings(&self) -> usize {
        match self {
            Self::Arrived(arrived) => arrived.len(),
            Self::Delivered { .. } | Self::Barrier(_) => 0,
        }
    }
}

/// What was committed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Committed {
    pub(crate) readings: u64,
    pub(crate) alerts: u64,
}

pub(crate) fn open(path: &Path) -> Result<Connection> {
    let connection =
        Connection::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.execute_batch(SCHEMA)?;
    Ok(connection)
}

/// Commits what comes until nobody can send any more; `wake` hears of every commit.
pub(crate) fn run(
    connection: &mut Connection,
    work: &Receiver<Work>,
    wake: &SyncSender<()>,
) -> Committed {
    let mut total = Committed::default();
    while let Ok(first) = work.recv() {
        let group = gather(first, work);
        let committed = loop {
            match commit(connection, &group) {
                Ok(committed) => break committed,
                Err(error) => {
                    eprintln!("stock-gateway: cannot commit, trying again: {error:#}");
                    thread::sleep(RETRY_AFTER);
                }
            }
        };
        total.readings += committed.readings;
        total.alerts += committed.alerts;
        for piece in group {
            if let Work::Barrier(done) = piece {
                // Who asked may have stopped waiting.
                done.send(()).ok();
            }
        }
        match wake.try_send(()) {
            // Full: it is awake already. Gone: nothing is forwarded any more.
            Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
        }
    }
    total
}

/// All that has arrived.
fn gather(first: Work, work: &Receiver<Work>) -> Vec<Work> {
    let mut readings = first.readings();
    let mut group = vec![first];
    while readings < GROUP_READINGS
        && let Ok(next) = work.try_recv()
    {
        readings += next.readings();
        group.push(next);
    }
    group
}

fn commit(connection: &mut Connection, group: &[Work]) -> Result<Committed> {
    let transaction = connection.transaction()?;
    let mut committed = Committed::default();
    {
        let mut statements = Statements::prepare(&transaction)?;
        for piece in group {
            match piece {
                Work::Arrived(arrived) => statements.insert(arrived, &mut committed)?,
                Work::Delivered { first, last } => {
                    statements.confirm.execute((first, last))?;
                }
                Work::Barrier(_) => {}
            }
        }
    }
    transaction.commit()?;
    Ok(committed)
}

struct Statements<'a> {
    transaction: &'a Transaction<'a>,
    reading: CachedStatement<'a>,
    alert: CachedStatement<'a>,
    outbox: CachedStatement<'a>,
    status: CachedStatement<'a>,
    confirm: CachedStatement<'a>,
}

impl<'a> Statements<'a> {
    fn prepare(transaction: &'a Transaction<'a>) -> Result<Self> {
        let prepare = |sql| transaction.prepare_cached(sql);
        Ok(Self {
            reading: prepare(
                "INSERT INTO readings (sensor_id, value, received_at, seq) VALUES (?1, ?2, ?3, ?4)",
            )?,
            alert: prepare(
                "INSERT INTO alerts (sensor_id, value, reading_id) VALUES (?1, ?2, ?3)",
            )?,
            outbox: prepare("INSERT INTO outbox (reading_id) VALUES (?1)")?,
            status: prepare("INSERT OR REPLACE INTO statuses VALUES (?1, ?2, ?3)")?,
            confirm: prepare("DELETE FROM outbox WHERE reading_id BETWEEN ?1 AND ?2")?,
            transaction,
        })
    }

    fn insert(&mut self, arrived: &[Arrived], committed: &mut Committed) -> Result<()> {
        let now = now_ms();
        for one in arrived {
            match one {
                Arrived::Reading(reading) => {
                    let (sensor_id, value) = (&reading.sensor_id, reading.value);
                    self.reading.execute((sensor_id, value, now, reading.seq))?;
                    committed.readings += 1;
                    let id = self.transaction.last_insert_rowid();
                    if reading.raises_alert() {
                        self.alert.execute((sensor_id, value, id))?;
                        committed.alerts += 1;
                    }
                    if reading.is_forwarded() {
                        self.outbox.execute([id])?;
                    }
                }
                Arrived::Status { device_id, status } => {
                    self.status.execute((device_id, status, now))?;
                }
            }
        }
        Ok(())
    }
}
