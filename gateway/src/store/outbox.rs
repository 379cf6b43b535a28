//! The outbox: readings that an uplink has not confirmed, and the batches in which they are on their way.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{StoreError, clock_spans};
use crate::domain::{reading::ReadingId, timestamp::Timestamp};

/// An uplink's number in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UplinkKey(pub(super) i64);

#[cfg(test)]
impl UplinkKey {
    /// One that stands in no store.
    pub(crate) fn of_test(key: i64) -> Self {
        Self(key)
    }
}

/// Readings that go out together, under one idempotency key: as long as the batch is recorded, the same number means the
/// same readings in the same wire format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub id: i64,
    pub uplink: UplinkKey,
    /// The gateway's name when it was recorded: it stands in the key and in the body.
    pub gateway_id: Arc<str>,
    /// The names of wire format and compression, as the configuration spells them.
    pub format: Box<str>,
    pub compression: Box<str>,
    /// How often the batches that it is a part of were refused.
    pub tries: u32,
    /// In the order in which they are sent, which is that of their ids.
    pub readings: Vec<ReadingId>,
}

impl Batch {
    fn of_those(&self, is_in: impl Fn(&ReadingId) -> bool) -> Cow<'_, Self> {
        if self.readings.iter().all(&is_in) {
            return Cow::Borrowed(self);
        }
        let readings = self.readings.iter().copied().filter(is_in).collect();
        Cow::Owned(Self {
            readings,
            ..self.clone()
        })
    }
}

/// A batch that is done with.
#[derive(Clone, Debug)]
pub struct Settled {
    pub batch: Batch,
    /// Those of its readings that go to the dead letters; the receiver has the others.
    pub refused: Vec<ReadingId>,
    pub refusal: Refusal,
}

/// The answer that made dead letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status, or the reason code of MQTT.
    pub status: u16,
    /// The beginning of the answer's body.
    pub answer: Box<str>,
    pub at: Timestamp,
}

/// What an uplink has to remember of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Readings in a row that were refused alone.
    pub refused: u32,
    /// Days since 1970, in UTC.
    pub day: i64,
    /// Sent on that day.
    pub bytes: u64,
}

/// What is to be written.
#[derive(Clone, Debug)]
pub enum Change {
    /// Before its first sending.
    Record(Batch),
    /// Parts in the place of a batch.
    Replace(i64, Vec<Batch>),
    /// Its readings leave the outbox.
    Settle(Settled),
    Account(UplinkKey, Account),
    /// A dead letter is to be sent again.
    Retry(i64),
    /// A dead letter is given up.
    Drop(i64),
}

/// How many readings more an uplink has to deliver.
pub(super) type Growth = (UplinkKey, i64);

/// Writes one change.
pub(super) fn write(
    connection: &Connection,
    change: &Change,
) -> Result<Option<Growth>, StoreError> {
    match change {
        Change::Record(batch) => {
            let batch = take(connection, batch)?;
            record(connection, &batch)?;
            clock_spans::keep(connection, &batch.readings)?;
        }
        Change::Replace(whole, parts) => {
            let mut grown = -remove(connection, *whole)?;
            for part in parts {
                let part = those_there(connection, part)?;
                record(connection, &part)?;
                grown += part.readings.len() as i64;
            }
            return Ok(parts.first().map(|part| (part.uplink, grown)));
        }
        Change::Settle(settled) => {
            let batch = &settled.batch;
            bury(connection, settled)?;
            return Ok(Some((batch.uplink, -remove(connection, batch.id)?)));
        }
        Change::Account(uplink, account) => {
            let update = "UPDATE uplink SET refused = ?2, day = ?3, bytes = ?4 WHERE key = ?1";
            let bytes = i64::try_from(account.bytes).unwrap_or(i64::MAX);
            connection.prepare_cached(update)?.execute(params![
                uplink.0,
                account.refused,
                account.day,
                bytes
            ])?;
        }
        Change::Retry(id) => return retry(connection, *id),
        Change::Drop(id) => {
            remove_letter(connection, *id)?;
        }
    }
    Ok(None)
}

/// The entries of a batch leave the list of those that are in none. Gives back the batch without readings that are gone: for want
/// of room the upkeep may have been faster.
fn take<'b>(connection: &Connection, batch: &'b Batch) -> Result<Cow<'b, Batch>, StoreError> {
    let (Some(first), Some(last)) = (batch.readings.first(), batch.readings.last()) else {
        return Ok(Cow::Borrowed(batch));
    };
    let range = params![batch.uplink.0, first.0, last.0];
    let there: Vec<i64> = connection
        .prepare_cached(
            "SELECT reading FROM outbox_entry WHERE uplink = ?1 AND reading BETWEEN ?2 AND ?3 \
             ORDER BY reading",
        )?
        .query_map(range, |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    // So it is mostly, and a range costs a quarter of what its entries cost one by one.
    if there.iter().eq(batch.readings.iter().map(|id| &id.0)) {
        connection
            .prepare_cached(
                "DELETE FROM outbox_entry WHERE uplink = ?1 AND reading BETWEEN ?2 AND ?3",
            )?
            .execute(range)?;
        return Ok(Cow::Borrowed(batch));
    }
    let mut take =
        connection.prepare_cached("DELETE FROM outbox_entry WHERE uplink = ?1 AND reading = ?2")?;
    for id in &batch.readings {
        take.execute([batch.uplink.0, id.0])?;
    }
    Ok(batch.of_those(|id| there.binary_search(&id.0).is_ok()))
}

fn those_there<'b>(
    connection: &Connection,
    batch: &'b Batch,
) -> Result<Cow<'b, Batch>, StoreError> {
    let mut is_there = connection.prepare_cached("SELECT 1 FROM reading WHERE id = ?1")?;
    let mut there = Vec::new();
    for id in &batch.readings {
        if is_there.exists([id.0])? {
            there.push(*id);
        }
    }
    Ok(batch.of_those(|id| there.binary_search(id).is_ok()))
}

fn record(connection: &Connection, batch: &Batch) -> Result<(), StoreError> {
    let first = batch.readings.first().map_or(0, |id| id.0);
    connection
        .prepare_cached(
            "INSERT INTO batch (id, uplink, gateway_id, format, compression, tries, count, first, readings) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            batch.id,
            batch.uplink.0,
            batch.gateway_id,
            batch.format,
            batch.compression,
            batch.tries,
            batch.readings.len() as i64,
            first,
            encode(&batch.readings)
        ])?;
    Ok(())
}

/// How many readings it had; none if it was not there.
fn remove(connection: &Connection, batch: i64) -> Result<i64, StoreError> {
    let mut delete =
        connection.prepare_cached("DELETE FROM batch WHERE id = ?1 RETURNING count")?;
    let count = delete.query_row([batch], |row| row.get(0)).optional()?;
    Ok(count.unwrap_or(0))
}

fn bury(connection: &Connection, settled: &Settled) -> Result<(), StoreError> {
    let (batch, refusal) = (&settled.batch, &settled.refusal);
    let mut insert = connection.prepare_cached(
        "INSERT INTO dead_letter (reading, status, answer, at, uplink, tries) \
         SELECT id, ?2, ?3, ?4, ?5, ?6 FROM reading WHERE id = ?1",
    )?;
    for id in &settled.refused {
        insert.execute(params![
            id.0,
            refusal.status,
            refusal.answer,
            refusal.at.millis(),
            batch.uplink.0,
            batch.tries + 1
        ])?;
    }
    Ok(())
}

fn retry(connection: &Connection, id: i64) -> Result<Option<Growth>, StoreError> {
    let mut insert = connection.prepare_cached(
        "INSERT OR IGNORE INTO outbox_entry SELECT uplink, reading FROM dead_letter WHERE id = ?1 RETURNING uplink",
    )?;
    let mut rows = insert.query([id])?;
    let mut growth = None;
    while let Some(row) = rows.next()? {
        growth = Some((UplinkKey(row.get(0)?), 1));
    }
    remove_letter(connection, id)?;
    Ok(growth)
}

fn remove_letter(connection: &Connection, id: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM dead_letter WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}

/// Batches of all uplinks that are not settled.
pub(super) fn all_batches(connection: &Connection) -> Result<Vec<Batch>, StoreError> {
    let mut select = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM batch"))?;
    let batches = select.query_map([], read)?;
    Ok(batches.collect::<Result<_, _>>()?)
}

/// The columns that [`read`] reads.
pub(super) const COLUMNS: &str = "id, uplink, gateway_id, format, compression, tries, readings";

/// Reads a row of [`COLUMNS`].
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Batch> {
    let readings: Box<str> = row.get(6)?;
    let readings = decode(&readings).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(6, rusqlite::types::Type::Text, error.into())
    })?;
    Ok(Batch {
        id: row.get(0)?,
        uplink: UplinkKey(row.get(1)?),
        gateway_id: row.get(2)?,
        format: row.get(3)?,
        compression: row.get(4)?,
        tries: row.get(5)?,
        readings,
    })
}

/// The numbers of uplinks by their names; those that are new get one.
pub(super) fn keys(
    connection: &Connection,
    names: &[Arc<str>],
) -> Result<Vec<UplinkKey>, StoreError> {
    let mut keys = Vec::new();
    for name in names {
        connection.execute("INSERT OR IGNORE INTO uplink (name) VALUES (?1)", [name])?;
        let select = "SELECT key FROM uplink WHERE name = ?1";
        keys.push(UplinkKey(
            connection.query_row(select, [name], |row| row.get(0))?,
        ));
    }
    Ok(keys)
}

/// How many readings wait for an uplink.
pub(super) fn count(connection: &Connection, uplink: UplinkKey) -> Result<i64, StoreError> {
    let count = connection.query_row(
        "SELECT (SELECT count(*) FROM outbox_entry WHERE uplink = ?1) \
              + (SELECT coalesce(sum(count), 0) FROM batch WHERE uplink = ?1)",
        [uplink.0],
        |row| row.get(0),
    )?;
    Ok(count)
}

/// How many readings each of these has to deliver: as the last commit says, counted where none did.
pub(super) fn counts(
    connection: &Connection,
    uplinks: impl Iterator<Item = UplinkKey>,
) -> Result<Vec<(UplinkKey, i64)>, StoreError> {
    let select = "SELECT outbox FROM counter";
    // What is no text was not written by a commit.
    let written: Option<String> = connection.query_row(select, [], |row| Ok(row.get(0).ok()))?;
    let written: BTreeMap<i64, i64> = written
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    let counted = uplinks.map(|key| {
        let known = written.get(&key.0).copied();
        Ok((key, known.map_or_else(|| count(connection, key), Ok)?))
    });
    counted.collect()
}

/// Them with what grew, as they are written; `None` if nothing did.
pub(super) fn grown(
    counts: impl Iterator<Item = (UplinkKey, i64)>,
    growths: &[Growth],
) -> Option<String> {
    if growths.iter().all(|(_, by)| *by == 0) {
        return None;
    }
    let mut counts: BTreeMap<i64, i64> = counts.map(|(key, count)| (key.0, count)).collect();
    for (grown, by) in growths {
        if let Some(count) = counts.get_mut(&grown.0) {
            *count += by;
        }
    }
    Some(serde_json::json!(counts).to_string())
}

/// Growing ids as a JSON array of the differences between neighbours: mostly two bytes a reading, and plain SQL reads it.
fn encode(ids: &[ReadingId]) -> String {
    let before = std::iter::once(0).chain(ids.iter().map(|id| id.0));
    let differences: Vec<i64> = ids.iter().zip(before).map(|(id, b)| id.0 - b).collect();
    serde_json::json!(differences).to_string()
}

fn decode(text: &str) -> serde_json::Result<Vec<ReadingId>> {
    let differences: Vec<i64> = serde_json::from_str(text)?;
    let sum = |id: &mut i64, difference: i64| {
        *id = id.saturating_add(difference);
        Some(ReadingId(*id))
    };
    Ok(differences.into_iter().scan(0, sum).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_ids_survives_its_encoding() {
        let check = |ids: &[i64], text: &str| {
            let ids: Vec<ReadingId> = ids.iter().copied().map(ReadingId).collect();
            assert_eq!(encode(&ids), text);
            assert_eq!(decode(text).unwrap(), ids);
        };
        check(&[], "[]");
        check(&[1], "[1]");
        check(&[1, 2, 3, 130, 131, 20_000], "[1,1,1,127,1,19869]");
        check(&[i64::MAX - 1, i64::MAX], "[9223372036854775806,1]");
    }
}
