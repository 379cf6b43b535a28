//! Packed blocks in the file: what is written of them, and reading them as if their rows were still there.
//!
//! A block is packed in steps, each of them a part of some group: its packs are written, a few in each; then, at one stroke, it
//! counts as packed and its index is gone; then its rows leave, some in each step. A step that is written again writes the same,
//! and whatever step is the last before an end, every reading is found once.

use rusqlite::{Connection, OptionalExtension, params};

use super::columns::{Columns, Packable, pack, pieces_of, pieces_within};
use super::held::waiting_within;
use super::{Block, StoreError, place_of};
use crate::background::give_way_at;

/// Bytes of packs that go with one group, and rows that leave with one: a millisecond or two of a commit.
const BYTES_OF_A_STEP: usize = 64 << 10;
const ROWS_OF_A_STEP: i64 = 1024;

/// A reading that is stored, whether as a row or packed.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::store) struct Stored {
    pub(in crate::store) id: i64,
    pub(in crate::store) columns: Columns,
}

/// A step of the packing: plain data.
#[derive(Clone, Debug)]
pub(in crate::store) enum PackingStep {
    /// Some of its packs. The first ones take away what an earlier try has left.
    Packs {
        block: Block,
        is_first: bool,
        packs: Vec<(i64, Vec<u8>)>,
    },
    /// From here on it counts as packed.
    Switch {
        block: Block,
        bytes: i64,
        count: i64,
        newest_at: i64,
    },
    /// Rows that are packed leave: those from the first to the last of these ids.
    Clear { runs: Vec<[i64; 2]> },
    /// None of them is left.
    Cleared { block: Block },
}

impl PackingStep {
    pub(in crate::store) fn write(&self, connection: &Connection) -> Result<(), StoreError> {
        match self {
            Self::Packs {
                block,
                is_first,
                packs,
            } => {
                if *is_first {
                    connection
                        .prepare_cached("DELETE FROM packed_reading WHERE id BETWEEN ?1 AND ?2")?
                        .execute(block.packs())?;
                }
                let mut insert = connection
                    .prepare_cached("INSERT INTO packed_reading (id, pieces) VALUES (?1, ?2)")?;
                for (id, pieces) in packs {
                    insert.execute(params![id, pieces])?;
                }
            }
            Self::Switch {
                block,
                bytes,
                count,
                newest_at,
            } => {
                connection
                    .prepare_cached(
                        "UPDATE reading_block SET packed = 1, bytes = ?2, count = ?3, newest_at = ?4 WHERE number = ?1",
                    )?
                    .execute([block.0, *bytes, *count, *newest_at])?;
                connection
                    .prepare_cached("DELETE FROM reading_pack WHERE id BETWEEN ?1 AND ?2")?
                    .execute(block.packs())?;
            }
            Self::Clear { runs } => {
                let mut delete =
                    connection.prepare_cached("DELETE FROM reading WHERE id BETWEEN ?1 AND ?2")?;
                for run in runs {
                    delete.execute(*run)?;
                }
            }
            Self::Cleared { block } => {
                connection
                    .prepare_cached("UPDATE reading_block SET packed = 2 WHERE number = ?1")?
                    .execute([block.0])?;
            }
        }
        Ok(())
    }
}

/// The steps that pack a block; those that clear it are asked for when these are written.
pub(in crate::store) fn steps_to_pack(
    connection: &Connection,
    block: Block,
) -> Result<Vec<PackingStep>, StoreError> {
    let stay = waiting_within(connection, block)?;
    let mut newest_at = None;
    let mut readings = Vec::new();
    let rows = rows_between(connection, None, (block.first(), block.last()))?;
    for (number, Stored { id, columns }) in rows.into_iter().enumerate() {
        give_way_at(number);
        // They come newest first.
        newest_at.get_or_insert(columns.ts.saturating_add(columns.delay));
        readings.push(if stay.binary_search(&id).is_ok() {
            let Columns { sensor, place, .. } = columns;
            Packable::Stays { sensor, place }
        } else {
            Packable::Goes(columns)
        });
    }
    readings.sort_unstable_by_key(Packable::at);
    let goes = |reading: &&Packable| matches!(reading, Packable::Goes(_));
    let count = readings.iter().filter(goes).count() as i64;
    let packs = pack(block, &readings);
    let bytes = packs.iter().map(|(_, pieces)| pieces.len() as i64).sum();
    let mut steps: Vec<PackingStep> = Vec::new();
    let (mut part, mut of_part) = (Vec::new(), 0);
    for pack in packs {
        if BYTES_OF_A_STEP < of_part + pack.1.len() && !part.is_empty() {
            steps.push(PackingStep::Packs {
                block,
                is_first: steps.is_empty(),
                packs: std::mem::take(&mut part),
            });
            of_part = 0;
        }
        of_part += pack.1.len();
        part.push(pack);
    }
    steps.push(PackingStep::Packs {
        block,
        is_first: steps.is_empty(),
        packs: part,
    });
    steps.push(PackingStep::Switch {
        block,
        bytes,
        count,
        newest_at: newest_at.unwrap_or(0),
    });
    Ok(steps)
}

/// The steps after which of a packed block only the rows are left that stay.
pub(in crate::store) fn steps_to_clear(
    connection: &Connection,
    block: Block,
) -> Result<Vec<PackingStep>, StoreError> {
    let mut stay = rows_that_stay(connection, block)?;
    stay.push(block.last() + 1);
    let mut steps = Vec::new();
    let (mut runs, mut rows) = (Vec::new(), 0);
    let mut first = block.first();
    for stays in stay {
        while first < stays {
            let last = (first + ROWS_OF_A_STEP - rows - 1).min(stays - 1);
            rows += last - first + 1;
            runs.push([first, last]);
            first = last + 1;
            if rows == ROWS_OF_A_STEP {
                let runs = std::mem::take(&mut runs);
                steps.push(PackingStep::Clear { runs });
                rows = 0;
            }
        }
        first = stays + 1;
    }
    steps.push(PackingStep::Clear { runs });
    steps.push(PackingStep::Cleared { block });
    Ok(steps)
}

/// By their ids, as the packs have them.
fn rows_that_stay(connection: &Connection, block: Block) -> Result<Vec<i64>, StoreError> {
    let mut stay = Vec::new();
    for (number, (pack, bytes)) in packs_of(connection, block)?.into_iter().enumerate() {
        give_way_at(8 * number);
        for piece in pieces_of(pack, &bytes, None).unwrap_or_default() {
            stay.extend(piece.stay.iter().map(|place| block.id(*place)));
        }
    }
    stay.sort_unstable();
    Ok(stay)
}

/// How many rows of a block, or of all, are in packs as well: for some moments after it is packed.
pub(in crate::store) fn rows_in_packs(
    connection: &Connection,
    of: Option<Block>,
) -> Result<i64, StoreError> {
    let mut switched = connection.prepare_cached(
        "SELECT number FROM reading_block WHERE packed = 1 AND number = coalesce(?1, number)",
    )?;
    let switched = switched.query_map([of.map(|block| block.0)], |row| row.get(0).map(Block))?;
    let mut count = 0;
    for block in switched.collect::<Result<Vec<_>, _>>()? {
        let stay = rows_that_stay(connection, block)?;
        let mut ids =
            connection.prepare_cached("SELECT id FROM reading WHERE id BETWEEN ?1 AND ?2")?;
        for id in ids.query_map([block.first(), block.last()], |row| row.get(0))? {
            count += i64::from(stay.binary_search(&id?).is_err());
        }
    }
    Ok(count)
}

/// Whether its readings are to be read from its packs.
pub(in crate::store) fn is_packed(
    connection: &Connection,
    block: Block,
) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached("SELECT 1 FROM reading_block WHERE number = ?1 AND 0 < packed")?
        .exists([block.0])?)
}

/// Readings of one block between two ids, of one sensor or of all, newest first. To be called in a transaction with
/// [`is_packed`].
pub(in crate::store) fn between(
    connection: &Connection,
    sensor: Option<u32>,
    (lower, upper): (i64, i64),
) -> Result<Vec<Stored>, StoreError> {
    let block = Block::of(upper);
    let places = [place_of(lower.max(block.first())), place_of(upper)];
    let mut found = Vec::new();
    let mut stay = Vec::new();
    for (number, (pack, bytes)) in packs_between(connection, block, sensor, upper)?
        .into_iter()
        .enumerate()
    {
        give_way_at(8 * number);
        let Some(pieces) = pieces_within(pack, &bytes, sensor, places) else {
            tracing::error!(pack, "a pack of readings makes no sense; they are left out");
            continue;
        };
        for piece in pieces {
            stay.extend(piece.stay.iter().map(|place| block.id(*place)));
            found.extend(piece.readings.into_iter().map(|columns| Stored {
                id: block.id(columns.place),
                columns,
            }));
        }
    }
    for (number, id) in stay.into_iter().enumerate() {
        give_way_at(number);
        found.extend(row(connection, id)?);
    }
    found.sort_unstable_by_key(|stored| std::cmp::Reverse(stored.id));
    Ok(found)
}

/// A reading by its id, with the sensor's key where that is known.
pub(in crate::store) fn find(
    connection: &Connection,
    sensor: Option<u32>,
    id: i64,
) -> Result<Option<Stored>, StoreError> {
    if let Some(found) = row(connection, id)? {
        return Ok(Some(found));
    }
    if !is_packed(connection, Block::of(id))? {
        return Ok(None);
    }
    Ok(between(connection, sensor, (id, id))?.pop())
}

/// Rows between two ids, newest first.
pub(in crate::store) fn rows_between(
    connection: &Connection,
    sensor: Option<u32>,
    (lower, upper): (i64, i64),
) -> Result<Vec<Stored>, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT id, sensor, value, ts, delay, tags, attributes FROM reading \
         WHERE id BETWEEN ?1 AND ?2 AND (?3 IS NULL OR sensor = ?3) ORDER BY id DESC",
    )?;
    let mut found = Vec::new();
    for (number, row) in select
        .query_map(params![lower, upper, sensor], read)?
        .enumerate()
    {
        give_way_at(number);
        found.push(row?);
    }
    Ok(found)
}

/// Rows from the first of these ids to the last, oldest first.
pub(in crate::store) fn rows_from(
    connection: &Connection,
    (first, last): (i64, i64),
    limit: usize,
) -> Result<Vec<Stored>, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT id, sensor, value, ts, delay, tags, attributes FROM reading \
         WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT ?3",
    )?;
    let rows = select.query_map(params![first, last, limit as i64], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The first packed block behind this one.
pub(in crate::store) fn next_packed(
    connection: &Connection,
    block: Block,
) -> Result<Option<Block>, StoreError> {
    let next: Option<i64> = connection
        .prepare_cached("SELECT min(number) FROM reading_block WHERE ?1 < number AND 0 < packed")?
        .query_row([block.0], |row| row.get(0))?;
    Ok(next.map(Block))
}

pub(super) fn row(connection: &Connection, id: i64) -> Result<Option<Stored>, StoreError> {
    let found = connection
        .prepare_cached(
            "SELECT id, sensor, value, ts, delay, tags, attributes FROM reading WHERE id = ?1",
        )?
        .query_row([id], read)
        .optional()?;
    Ok(found)
}

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Stored> {
    let id = row.get(0)?;
    Ok(Stored {
        id,
        columns: Columns {
            sensor: row.get(1)?,
            place: place_of(id),
            value: row.get(2)?,
            ts: row.get(3)?,
            delay: row.get(4)?,
            tags: row.get(5)?,
            attributes: row.get(6)?,
        },
    })
}

type Pack = (i64, Vec<u8>);

pub(super) fn packs_of(connection: &Connection, block: Block) -> Result<Vec<Pack>, StoreError> {
    let [first, last] = block.packs();
    packs(connection, first, last)
}

/// Those that may have readings of the sensor up to this id.
fn packs_between(
    connection: &Connection,
    block: Block,
    sensor: Option<u32>,
    upper: i64,
) -> Result<Vec<Pack>, StoreError> {
    let Some(sensor) = sensor else {
        return packs_of(connection, block);
    };
    let [first, _] = block.packs();
    // The one before its first own pack may end with it.
    let begin: Option<i64> = connection
        .prepare_cached("SELECT max(id) FROM packed_reading WHERE id BETWEEN ?1 AND ?2")?
        .query_row([first, block.pack(sensor, 0)], |row| row.get(0))?;
    let begin = begin.unwrap_or_else(|| block.pack(sensor, 0));
    packs(connection, begin, block.pack(sensor, place_of(upper)))
}

fn packs(connection: &Connection, first: i64, last: i64) -> Result<Vec<Pack>, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT id, pieces FROM packed_reading WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
    )?;
    let rows = select.query_map([first, last], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
