//! A consistent copy of a store to which a gateway may be writing thousands of readings a second.
//!
//! A copy in one transaction would keep the log from being checkpointed for as long as it takes, and SQLite's own online backup
//! begins anew whenever another process writes. So what is large is copied in short steps: full blocks, which do not change
//! but with their descriptions, and lists, whose rows only come at the end and leave. When little is left, one last transaction
//! copies the rest, all small tables and what has changed since: the copy is the store as that transaction sees it.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::blocks::{Blocks, is_by_block};
use super::check::prove;
use super::copying::copy_rows;
use super::files::{Partial, bytes_in_use, folder_of, has_room, open_to_read};
use super::lists::{LISTS, List};
use super::{CareError, Progress};
use crate::store::connection;

/// Rounds before the last one, if blocks keep changing.
const MAX_ROUNDS: usize = 10;

/// What is copied in the last transaction is at most so many blocks, if they do not keep changing.
const BLOCKS_LEFT: usize = 2;

/// After so many blocks what was written goes to the disk, outside of any look at the store: so the system does not make
/// a look wait for it.
const BLOCKS_UNSYNCED: usize = 8;

/// A backup that was made.
#[derive(Debug)]
pub struct BackedUp {
    /// The last reading that it has.
    pub last_reading: i64,
    pub bytes: u64,
    /// The longest that the store was looked at without a break.
    pub longest_look: Duration,
}

/// Copies the store at `path` into `file`.
pub fn backup(
    path: &Path,
    file: &Path,
    overwrite: bool,
    progress: Progress<'_>,
) -> Result<BackedUp, CareError> {
    let (source, schema) = open_to_read(path)?;
    let shown = || file.display().to_string();
    if is_same(path, file) {
        return Err(CareError::Itself { path: shown() });
    }
    if file.exists() && !overwrite {
        return Err(CareError::Exists { path: shown() });
    }
    let folder = folder_of(file);
    folder.metadata().map_err(CareError::at(folder))?;
    has_room(file, bytes_in_use(&source)?)?;
    let partial = Partial::beside(file, ".partial")?;
    let target = partial.open()?;
    let mut copy = Copy::begin(&source, &target, &partial, schema)?;
    copy.all(progress)?;
    let longest_look = copy.longest_look;
    target.close().map_err(|(_, error)| error)?;
    let found = prove(partial.path(), progress)?;
    // The copy has what the store has.
    found.must_be_sound(path)?;
    let bytes = partial
        .path()
        .metadata()
        .map_err(CareError::at(file))?
        .len();
    partial.place(file, overwrite)?;
    Ok(BackedUp {
        last_reading: found.last_reading,
        bytes,
        longest_look,
    })
}

/// Whether two names stand for one file, or for a part of one store.
fn is_same(store: &Path, file: &Path) -> bool {
    let of_store = ["", "-wal", "-shm", "-lock"].map(|suffix| connection::beside(store, suffix));
    let Ok(named) = file.canonicalize() else {
        return false;
    };
    of_store
        .iter()
        .any(|part| part.canonicalize().is_ok_and(|part| part == named))
}

/// A copy in the making.
struct Copy<'c> {
    source: &'c Connection,
    target: &'c Connection,
    partial: &'c Partial,
    schema: i64,
    /// Those that are copied as a whole, in the last transaction.
    small: Vec<String>,
    blocks: Option<Blocks>,
    lists: Vec<List>,
    longest_look: Duration,
}

impl<'c> Copy<'c> {
    /// Makes the tables.
    fn begin(
        source: &'c Connection,
        target: &'c Connection,
        partial: &'c Partial,
        schema: i64,
    ) -> Result<Self, CareError> {
        let _look = source.unchecked_transaction()?;
        for name in ["page_size", "auto_vacuum"] {
            let value: i64 = source.pragma_query_value(None, name, |row| row.get(0))?;
            target.pragma_update(None, name, value)?;
        }
        target.pragma_update(None, "user_version", schema)?;
        let mut select = source.prepare(
            "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite%' \
             ORDER BY type <> 'table', rowid",
        )?;
        let mut tables: Vec<String> = Vec::new();
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (kind, sql): (Box<str>, Box<str>) = (row.get(0)?, row.get(2)?);
            target.execute_batch(&sql)?;
            tables.extend((&*kind == "table").then(|| row.get(1)).transpose()?);
        }
        // What an older schema has is copied as a whole.
        let is_present = schema == connection::KNOWN_SCHEMA;
        let blocks = is_present.then(Blocks::default);
        let is_stepped = |name: &str| {
            is_present && (is_by_block(name) || LISTS.iter().any(|(list, ..)| *list == name))
        };
        tables.retain(|name| !is_stepped(name));
        Ok(Self {
            source,
            target,
            partial,
            schema,
            small: tables,
            blocks,
            lists: Vec::new(),
            longest_look: Duration::ZERO,
        })
    }

    fn all(&mut self, progress: Progress<'_>) -> Result<(), CareError> {
        if let Some(mut blocks) = self.blocks.take() {
            self.rounds(&mut blocks, progress)?;
            self.blocks = Some(blocks);
        }
        self.look(|copy| copy.rest())?;
        self.partial.sync()
    }

    /// Copies in short steps, until little has changed since.
    fn rounds(&mut self, blocks: &mut Blocks, progress: Progress<'_>) -> Result<(), CareError> {
        let mut before = usize::MAX;
        for round in 0..MAX_ROUNDS {
            let plan = self.look(|copy| blocks.plan(copy.source))?;
            let all = plan.changed.len();
            // Or they come as fast as they are copied.
            if 0 < round && (all <= BLOCKS_LEFT || before <= all) {
                break;
            }
            before = all;
            for (number, block) in plan.changed.into_iter().enumerate() {
                progress("copying", number as i64, all as i64);
                self.look(|copy| blocks.copy(copy.source, copy.target, block))?;
                if (number + 1) % BLOCKS_UNSYNCED == 0 {
                    self.partial.sync()?;
                }
            }
            self.copy_lists()?;
        }
        // So that the last look finds little to do.
        let mut lists = std::mem::take(&mut self.lists);
        for list in &mut lists {
            self.look(|copy| list.renew(copy.source, copy.target))?;
        }
        self.lists = lists;
        self.partial.sync()?;
        progress("copying", 1, 1);
        Ok(())
    }

    fn copy_lists(&mut self) -> Result<(), CareError> {
        self.find_lists()?;
        let mut lists = std::mem::take(&mut self.lists);
        for list in &mut lists {
            while self.look(|copy| list.copy_next(copy.source, copy.target))? {}
        }
        self.lists = lists;
        self.partial.sync()
    }

    /// Finds lists that are not known yet: the outbox has one for each uplink.
    fn find_lists(&mut self) -> Result<(), CareError> {
        let mut next = self
            .source
            .prepare_cached("SELECT min(uplink) FROM outbox_entry WHERE ?1 < uplink")?;
        let mut uplinks: Vec<Option<i64>> = Vec::new();
        while let Some(key) = next.query_row(
            [uplinks.last().copied().flatten().unwrap_or(i64::MIN)],
            |row| row.get::<_, Option<i64>>(0),
        )? {
            uplinks.push(Some(key));
        }
        for (table, ..) in LISTS {
            let parts = if table == "outbox_entry" {
                &uplinks[..]
            } else {
                &[None]
            };
            for uplink in parts {
                if !self.lists.iter().any(|list| list.is_of(table, *uplink)) {
                    self.lists.extend(List::new(table, *uplink));
                }
            }
        }
        Ok(())
    }

    /// All that is left, and what has changed.
    fn rest(&mut self) -> Result<(), CareError> {
        let schema: i64 = self
            .source
            .pragma_query_value(None, "user_version", |row| row.get(0))?;
        if schema != self.schema {
            return Err(CareError::Changed);
        }
        if let Some(mut blocks) = self.blocks.take() {
            let plan = blocks.plan(self.source)?;
            blocks.end(self.source, self.target, &plan)?;
            self.find_lists()?;
            for list in &mut self.lists {
                list.renew(self.source, self.target)?;
                while list.copy_next(self.source, self.target)? {}
            }
        }
        for table in &self.small {
            copy_rows(self.source, self.target, table, "true", &[])?;
        }
        // Made with the tables that give numbers by themselves, and filled as rows came in.
        let has_sequence = "SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'";
        if self.target.prepare(has_sequence)?.exists([])? {
            self.target.execute("DELETE FROM sqlite_sequence", [])?;
            copy_rows(self.source, self.target, "sqlite_sequence", "true", &[])?;
        }
        Ok(())
    }

    /// One look at the store, of which nothing changes meanwhile.
    fn look<T>(
        &mut self,
        look: impl FnOnce(&mut Self) -> Result<T, CareError>,
    ) -> Result<T, CareError> {
        let (source, target) = (self.source, self.target);
        let written = target.unchecked_transaction()?;
        let started = Instant::now();
        let seen = source.unchecked_transaction()?;
        let found = look(self)?;
        drop(seen);
        self.longest_look = self.longest_look.max(started.elapsed());
        written.commit()?;
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
