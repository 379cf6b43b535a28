//! The outbox: readings the cloud has not confirmed, and the batches in which they are on their way.

use std::sync::Arc;

use rusqlite::{Connection, Row, params};

use super::StoreError;
use crate::domain::reading::ReadingId;

/// Readings that go to the cloud together, under one idempotency key: as long as the batch is recorded, the same
/// number means the same readings in the same wire format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub id: i64,
    /// The gateway's name when it was recorded: it stands in the key and in the body.
    pub gateway_id: Arc<str>,
    /// The names of wire format and compression, as the configuration spells them.
    pub format: Box<str>,
    pub compression: Box<str>,
    /// In the order in which they are sent, which is that of their ids.
    pub readings: Vec<ReadingId>,
}

/// What the forwarder asks the committer to write.
#[derive(Clone, Debug)]
pub enum Change {
    /// Before its first sending.
    Record(Batch),
    /// The cloud has it: its readings leave the outbox.
    Confirm(Batch),
}

/// Writes one change and tells by how many readings the outbox shrank.
pub(super) fn write(connection: &Connection, change: &Change) -> Result<usize, StoreError> {
    match change {
        Change::Record(batch) => {
            let mut insert = connection.prepare_cached(
                "INSERT INTO batch (id, gateway_id, format, compression, readings) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            let readings = encode(&batch.readings);
            insert.execute(params![
                batch.id,
                batch.gateway_id,
                batch.format,
                batch.compression,
                readings
            ])?;
            Ok(0)
        }
        Change::Confirm(batch) => {
            let mut delete =
                connection.prepare_cached("DELETE FROM outbox_entry WHERE reading = ?1")?;
            let mut gone = 0;
            for id in &batch.readings {
                gone += delete.execute([id.0])?;
            }
            connection
                .prepare_cached("DELETE FROM batch WHERE id = ?1")?
                .execute([batch.id])?;
            Ok(gone)
        }
    }
}

/// Reads a row of `id, gateway_id, format, compression, readings`.
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Batch> {
    Ok(Batch {
        id: row.get(0)?,
        gateway_id: row.get(1)?,
        format: row.get(2)?,
        compression: row.get(3)?,
        readings: decode(row.get_ref(4)?.as_blob()?),
    })
}

/// Growing ids as the differences between neighbours, each in LEB128 (DWARF 5, section 7.6): mostly one byte a reading.
fn encode(ids: &[ReadingId]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ids.len() + 8);
    let mut before = 0_u64;
    for id in ids {
        let id = id.0.unsigned_abs();
        let mut rest = id.wrapping_sub(before);
        before = id;
        while 0x7f < rest {
            bytes.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
    }
    bytes
}

fn decode(bytes: &[u8]) -> Vec<ReadingId> {
    let mut ids = Vec::with_capacity(bytes.len());
    let (mut id, mut difference, mut shift) = (0_u64, 0_u64, 0_u32);
    for byte in bytes {
        difference |= u64::from(byte & 0x7f).wrapping_shl(shift);
        if byte & 0x80 != 0 {
            shift += 7;
            continue;
        }
        id = id.wrapping_add(difference);
        ids.push(ReadingId(id as i64));
        (difference, shift) = (0, 0);
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_ids_survives_its_encoding() {
        let check = |ids: &[i64]| {
            let ids: Vec<ReadingId> = ids.iter().copied().map(ReadingId).collect();
            assert_eq!(decode(&encode(&ids)), ids);
        };
        check(&[]);
        check(&[1]);
        check(&[1, 2, 3, 130, 131, 20_000]);
        check(&[i64::MAX - 1, i64::MAX]);
    }

    #[test]
    fn neighbours_take_a_byte_each() {
        let ids: Vec<ReadingId> = (1_000_000..1_001_000).map(ReadingId).collect();
        assert!(encode(&ids).len() < 1_010);
    }
}
