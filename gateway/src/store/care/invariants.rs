//! What has to hold in a store beyond SQLite's own rules: counters, outbox, batches, index, sessions. Each part is looked at in
//! short transactions, so that a gateway may run meanwhile.

use rusqlite::{Connection, ErrorCode, OptionalExtension};

use super::{CareError, Progress, readings};
use crate::domain::alert::AlertState;
use crate::store::outbox::{self, UplinkKey};
use crate::store::{StoreError, sessions};

/// How much of a store is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// What stands beside the readings.
    Figures,
    /// Each reading, and the index, as well.
    Readings,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// What must not be.
    pub(super) faults: Vec<String>,
    /// What goes away by itself, or does no harm.
    pub(super) notes: Vec<String>,
    /// Readings that were looked at.
    pub(super) readings: i64,
    /// The last id that was given.
    pub(super) last_reading: i64,
}

/// Entries of the outbox that are looked at in one transaction.
const ENTRIES_AT_ONCE: i64 = 20_000;

/// Faults of one kind that are told one by one.
const TOLD: usize = 10;

impl Found {
    pub(super) fn fault(&mut self, fault: impl Into<String>) {
        self.faults.push(fault.into());
    }

    pub(super) fn faults_of(&mut self, faults: Vec<String>) {
        let more = faults.len().saturating_sub(TOLD);
        self.faults.extend(faults.into_iter().take(TOLD));
        if 0 < more {
            self.fault(format!("and {more} more of this kind"));
        }
    }

    /// Looks at one part. A part that cannot be read is a fault of the file; the others are looked at all the same.
    fn part(
        &mut self,
        name: &str,
        connection: &Connection,
        look: impl FnOnce(&Connection, &mut Self) -> Result<(), CareError>,
    ) -> Result<(), CareError> {
        match look(connection, self) {
            Err(CareError::Store(StoreError::Sqlite(error))) if is_of_file(&error) => {
                self.fault(format!("{name}: {error}"));
                Ok(())
            }
            other => other,
        }
    }
}

/// Whether the file is to blame, not the moment.
fn is_of_file(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::Utf8Error(..) => true,
        other => matches!(
            other.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        ),
    }
}

/// Looks whether there are counters, without which nothing else makes sense. So it is in all schemas.
pub(super) fn find_counters(connection: &Connection, found: &mut Found) -> Result<bool, CareError> {
    let select = "SELECT reading FROM counter";
    match connection
        .query_row(select, [], |row| row.get(0))
        .optional()
    {
        Ok(Some(last)) => {
            found.last_reading = last;
            return Ok(true);
        }
        Ok(None) => found.fault("the counters are missing"),
        Err(error) if is_of_file(&error) => found.fault(format!("counters: {error}")),
        Err(error) => return Err(error.into()),
    }
    Ok(false)
}

/// Looks at a store of the newest schema.
pub(super) fn examine(
    connection: &Connection,
    depth: Depth,
    found: &mut Found,
    progress: Progress<'_>,
) -> Result<(), CareError> {
    found.part("counters", connection, counters)?;
    found.part("sensors", connection, sensors)?;
    found.part("outbox", connection, entries)?;
    found.part("batches", connection, batches)?;
    found.part("outbox", connection, counts)?;
    found.part("dead letters", connection, dead_letters)?;
    found.part("alerts", connection, alerts)?;
    found.part("sessions", connection, owed)?;
    if depth == Depth::Readings {
        found.part("readings", connection, |connection, found| {
            readings::look_through(connection, found, progress)
        })?;
    }
    Ok(())
}

fn number(connection: &Connection, select: &str) -> Result<i64, CareError> {
    let found: Option<i64> = connection
        .prepare_cached(select)?
        .query_row([], |row| row.get(0))?;
    Ok(found.unwrap_or(0))
}

/// No number was given twice, or will be.
fn counters(connection: &Connection, found: &mut Found) -> Result<(), CareError> {
    let _look = connection.unchecked_transaction()?;
    for (name, ids, counter) in [
        (
            "reading",
            "SELECT max(id) FROM reading",
            "SELECT reading FROM counter",
        ),
        (
            "alert",
            "SELECT max(id) FROM alert",
            "SELECT alert FROM counter",
        ),
        (
            "reject",
            "SELECT max(id) FROM reject",
            "SELECT reject FROM counter",
        ),
        (
            "batch",
            "SELECT max(id) FROM batch",
            "SELECT batch FROM counter",
        ),
        (
            "reading of a sensor that is written behind",
            "SELECT sensors_saved_upto FROM counter",
            "SELECT reading FROM counter",
        ),
        (
            "alert of a sensor that is written behind",
            "SELECT alerts_saved_upto FROM counter",
            "SELECT alert FROM counter",
        ),
        (
            "alert of a rule that is written behind",
            "SELECT rules_saved_upto FROM counter",
            "SELECT alert FROM counter",
        ),
    ] {
        let (newest, given) = (number(connection, ids)?, number(connection, counter)?);
        if given < newest {
            found.fault(format!(
                "counters: the newest {name} is {newest}, but numbers were given up to {given} only"
            ));
        }
    }
    Ok(())
}

/// Their keys are their places: 1, 2, 3 and so on.
fn sensors(connection: &Connection, found: &mut Found) -> Result<(), CareError> {
    let select = "SELECT count(*) FROM (SELECT key, row_number() OVER (ORDER BY key) AS place FROM sensor) WHERE key <> place";
    let misplaced = number(connection, select)?;
    if 0 < misplaced {
        found.fault(format!(
            "sensors: {misplaced} have a key that is not their place"
        ));
    }
    Ok(())
}

/// What waits is there, and belongs to an uplink.
fn entries(connection: &Connection, found: &mut Found) -> Result<(), CareError> {
    let mut page = connection.prepare_cached(
        "SELECT o.uplink, o.reading, r.id IS NULL, u.key IS NULL FROM outbox_entry o \
         LEFT JOIN reading r ON r.id = o.reading LEFT JOIN uplink u ON u.key = o.uplink \
         WHERE (?1, ?2) < (o.uplink, o.reading) ORDER BY o.uplink, o.reading LIMIT ?3",
    )?;
    let mut after = (i64::MIN, i64::MIN);
    let mut faults = Vec::new();
    loop {
        let mut rows = page.query([after.0, after.1, ENTRIES_AT_ONCE])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            count += 1;
            after = (row.get(0)?, row.get(1)?);
            let (uplink, reading) = after;
            if row.get(2)? {
                faults.push(format!(
                    "outbox: reading {reading} is to be delivered and is not there"
                ));
            }
            if row.get(3)? {
                faults.push(format!(
                    "outbox: reading {reading} waits for uplink {uplink}, which is not there"
                ));
            }
        }
        if count < ENTRIES_AT_ONCE {
            break;
        }
    }
    found.faults_of(faults);
    Ok(())
}

/// The list of each batch makes sense, its readings are there, and none of them waits as well.
fn batches(connection: &Connection, found: &mut Found) -> Result<(), CareError> {
    let (mut after, mut faults) = (i64::MIN, Vec::new());
    loop {
        let _look = connection.unchecked_transaction()?;
        let select = "SELECT min(id) FROM batch WHERE ?1 < id";
        let next: Option<i64> = connection
            .prepare_cached(select)?
            .query_row([after], |row| row.get(0))?;
        let Some(id) = next else { break };
        after = id;
        let select = format!(
            "SELECT {}, count, first FROM batch WHERE id = ?1",
            outbox::COLUMNS
        );
        let read = connection.prepare_cached(&select)?.query_row([id], |row| {
            Ok((outbox::read(row)?, row.get("count")?, row.get("first")?))
        });
        let (batch, count, first): (outbox::Batch, i64, i64) = match read {
            Ok(read) => read,
            Err(error) if is_of_file(&error) => {
                faults.push(format!(
                    "batches: the list of batch {id} makes no sense: {error}"
                ));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let ids: Vec<i64> = batch.readings.iter().map(|id| id.0).collect();
        if ids.len() as i64 != count
            || ids.first().is_some_and(|id| *id != first)
            || !ids.is_sorted()
        {
            faults.push(format!(
                "batches: the list of batch {id} is not what it says of itself"
            ));
        }
        let mut is_there = connection.prepare_cached("SELECT 1 FROM reading WHERE id = ?1")?;
        let mut waits = connection
            .prepare_cached("SELECT 1 FROM outbox_entry WHERE uplink = (SELECT uplink FROM batch WHERE id = ?1) AND reading = ?2")?;
        for reading in ids {
            if !is_there.exists([reading])? {
                faults.push(format!(
                    "batches: reading {reading} of batch {id} is not there"
                ));
            }
            if waits.exists([id, reading])? {
                faults.push(format!(
                    "batches: reading {reading} of batch {id} waits outside of it as well"
                ));
            }
        }
    }
    let orphans = "SELECT count(*) FROM batch WHERE uplink NOT IN (SELECT key FROM uplink)";
    let orphans = number(connection, orphans)?;
    if 0 < orphans {
        faults.push(format!("batches: {orphans} belong to no uplink"));
    }
    found.faults_of(faults);
    Ok(())
}

/// As much waits as the last commit says.
fn counts(connection: &Connection, found: &mut Found) -> Result<(), CareError> {
    let _look = connection.unchecked_transaction()?;
    let mut select = connection.prepare_cached(
        "SELECT CAST(each.key AS INTEGER), each.value \
         FROM counter, json_each(CASE WHEN json_valid(outbox) THEN outbox END) each",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (key, said): (i64, i64) = (row.get(0)?, row.get(1)?);
        let waiting = outbox::count(connection, UplinkKey(key))?;
        if said != waiting {
            found.notes.push(format!(
                "outbox: {waiting} readings wait for uplink {key}, and {said} are said to: with counter.outbox NULL a start counts them"
            ));
        }
    }
    Ok(())
}

fn dead_letters(connection: &Connection, found: &mut Found) -> Result<(), CareError> {
    let select = "SELECT count(*) FROM dead_letter WHERE uplink NOT IN (SELECT key FROM uplink)";
    let orphans = number(connection, select)?;
    if 0 < orphans {
        found.fault(format!("dead letters: {orphans} belong to no uplink"));
    }
    Ok(())
}

/// Each is of a sensor, in a state that is known.
fn alerts(connection: &Connection, found: &mut Found) -> Result<(), CareError> {
    let states = [
        AlertState::Raised,
        AlertState::Acknowledged,
        AlertState::Cleared,
    ];
    let states = states
        .map(|state| format!("'{}'", state.as_str()))
        .join(", ");
    let mut page = connection.prepare_cached(&format!(
        "SELECT id, state NOT IN ({states}), sensor NOT IN (SELECT key FROM sensor) FROM alert \
         WHERE ?1 < id ORDER BY id LIMIT ?2"
    ))?;
    let (mut after, mut faults) = (i64::MIN, Vec::new());
    loop {
        let mut rows = page.query([after, ENTRIES_AT_ONCE])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            count += 1;
            after = row.get(0)?;
            if row.get(1)? {
                faults.push(format!("alerts: {after} is in a state that nobody knows"));
            }
            if row.get(2)? {
                faults.push(format!("alerts: {after} is of a sensor that is not there"));
            }
        }
        if count < ENTRIES_AT_ONCE {
            break;
        }
    }
    found.faults_of(faults);
    Ok(())
}

/// What belongs to a session that ended is removed at the next start.
fn owed(connection: &Connection, found: &mut Found) -> Result<(), CareError> {
    for table in sessions::PARTS {
        let select =
            format!("SELECT count(*) FROM {table} WHERE session NOT IN (SELECT key FROM session)");
        let orphans = number(connection, &select)?;
        if 0 < orphans {
            found.notes.push(format!(
                "{table}: {orphans} rows of sessions that have ended; the next start removes them"
            ));
        }
    }
    Ok(())
}
