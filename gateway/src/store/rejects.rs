//! What could not be read, for people to look at: kept until somebody retries or drops it.

use rusqlite::{Connection, OptionalExtension, params};

use super::reader::Reader;
use super::reading_pages::BYTES_BESIDE_TEXTS;
use super::{Group, StoreError};
use crate::domain::timestamp::Timestamp;

/// Something that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    pub id: i64,
    /// Where it was published; empty if it came by HTTP.
    pub topic: Box<str>,
    pub payload: Box<[u8]>,
    pub reason: Box<str>,
    pub received_at: Timestamp,
}

impl Reader {
    /// Rejects that come after `after`, oldest first: at most `limit`, up to the one that brings them over `max_bytes`. And
    /// whether there may be more.
    pub fn rejects(
        &self,
        after: i64,
        limit: usize,
        max_bytes: usize,
    ) -> Result<(Vec<Reject>, bool), StoreError> {
        self.with_connection(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT id, topic, payload, reason, received_at FROM reject WHERE ?1 < id ORDER BY id LIMIT ?2",
            )?;
            let rows = select.query_map(params![after, limit as i64], |row| {
                Ok(Reject {
                    id: row.get(0)?,
                    topic: row.get(1)?,
                    payload: row.get(2)?,
                    reason: row.get(3)?,
                    received_at: Timestamp::from_millis(row.get(4)?),
                })
            })?;
            let (mut rejects, mut bytes) = (Vec::new(), 0);
            for reject in rows {
                let reject: Reject = reject?;
                bytes += reject.topic.len() + reject.payload.len() + BYTES_BESIDE_TEXTS;
                rejects.push(reject);
                if max_bytes <= bytes {
                    break;
                }
            }
            let may_be_more = rejects.len() == limit || max_bytes <= bytes;
            Ok((rejects, may_be_more))
        })
    }

    /// The reject of this id.
    pub fn reject(&self, id: i64) -> Result<Option<Reject>, StoreError> {
        let (mut found, _) = self.rejects(id - 1, 1, 0)?;
        Ok(found.pop().filter(|reject| reject.id == id))
    }
}

/// Whether it is there.
pub(super) fn contains(connection: &Connection, id: i64) -> Result<bool, StoreError> {
    let found = connection
        .prepare_cached("SELECT 1 FROM reject WHERE id = ?1")?
        .query_row([id], |_| Ok(()))
        .optional()?;
    Ok(found.is_some())
}

/// Writes what could not be read, and takes away what need not be kept any more.
pub(super) fn write(connection: &Connection, group: &Group) -> Result<(), StoreError> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO reject (id, topic, payload, reason, received_at) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for (id, reject) in &group.rejects {
        insert.execute(params![
            id,
            reject.topic.as_ref().map_or("", |topic| topic.as_str()),
            reject.payload,
            reject.reason,
            reject.received_at.millis(),
        ])?;
    }
    let mut delete = connection.prepare_cached("DELETE FROM reject WHERE id = ?1")?;
    for id in &group.settled_rejects {
        delete.execute([id])?;
    }
    Ok(())
}
