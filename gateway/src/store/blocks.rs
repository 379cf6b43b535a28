//! The index behind the hot table: which readings of a block of ids are of which sensor, from when, and what they come to.
//!
//! What is known of a block is written with the group that gives its last id, and never changed, unless its rows are
//! (`store::clock_spans`): then it is written anew. Who takes readings away
//! takes all below an id, or the block's rows with them. A block without a row in `reading_block` is looked through reading
//! by reading: the one that fills, and what an older version left until it is made up for.
//!
//! Absent on purpose: anything that a commit does for a single reading, beyond remembering it.

mod anew;
mod cache;
mod columns;
mod held;
mod numbers;
mod pack;
mod packed;
mod proof;
mod rewritten;
mod summary;
mod thin;
mod unit_pack;
mod walk;

use rusqlite::{Connection, OptionalExtension, params};

pub(super) use self::anew::index_anew;
pub(super) use self::cache::BlockCache;
pub(super) use self::columns::Columns;
pub(super) use self::held::{held_between, is_waited_for};
pub(super) use self::pack::Piece;
use self::pack::{Entry, pack};
pub(super) use self::packed::{
    PackingStep, Stored, between, find, is_packed, next_packed, rows_from, rows_in_packs,
    steps_to_clear, steps_to_pack,
};
pub(super) use self::proof::is_wrong;
pub(super) use self::rewritten::{
    Fate, Rewritten, Unit, intervals_within, merge, remove_units, rewrite,
};
pub(super) use self::summary::Summary;
pub(super) use self::unit_pack::UnitPack;
pub(super) use self::walk::{Stretch, Walk, in_steps};
use super::StoreError;
use super::sensors::MAX_SENSORS;

/// Bits of an id that say where in its block it is, and bits of a sensor's key.
const PLACE_BITS: u32 = 15;
const SENSOR_BITS: u32 = 17;
const LAST_PLACE: u16 = (1 << PLACE_BITS) - 1;
const _: () = assert!(MAX_SENSORS < 1 << SENSOR_BITS);

/// Beyond it there would be no room for the numbers of packs: such blocks are not indexed.
const LAST_INDEXED: Block = Block(i64::MAX >> (SENSOR_BITS + PLACE_BITS));

/// Blocks that are looked at for one that is not indexed, in one transaction.
const STEPS: usize = 500;

/// A range of ids: those that differ only in their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Block(pub(super) i64);

impl Block {
    pub(super) fn of(id: i64) -> Self {
        Self(id >> PLACE_BITS)
    }

    /// The one of this number.
    pub(super) fn numbered(number: i64) -> Self {
        Self(number)
    }

    pub(super) fn number(self) -> i64 {
        self.0
    }

    pub(super) fn first(self) -> i64 {
        self.0 << PLACE_BITS
    }

    pub(super) fn last(self) -> i64 {
        self.first() | i64::from(LAST_PLACE)
    }

    fn id(self, place: u16) -> i64 {
        self.first() | i64::from(place)
    }

    /// The smallest and the largest id that its packs can have.
    pub(super) fn packs(self) -> [i64; 2] {
        let bits = SENSOR_BITS + PLACE_BITS;
        [self.0 << bits, (self.0 << bits) | ((1 << bits) - 1)]
    }

    /// The id of a pack whose first reading is this one.
    fn pack(self, sensor: u32, place: u16) -> i64 {
        let within = (i64::from(sensor) << PLACE_BITS) | i64::from(place);
        (self.0 << (SENSOR_BITS + PLACE_BITS)) | within
    }
}

/// The readings of a row of `packed_reading`, with the keys of their sensors; `None` if it makes no sense.
pub(super) fn readings_of_pack(pack: i64, pieces: &[u8]) -> Option<Vec<(i64, Columns)>> {
    let pieces = columns::pieces_of(pack, pieces, None)?;
    let of_piece = |piece: columns::PackedPiece| {
        let sensor = i64::from(piece.sensor);
        let readings = piece.readings.into_iter();
        readings.map(move |reading| (sensor, reading))
    };
    Some(pieces.into_iter().flat_map(of_piece).collect())
}

/// The id of a packed reading.
pub(super) fn id_in_pack(pack: i64, reading: &Columns) -> i64 {
    Block(pack >> (SENSOR_BITS + PLACE_BITS)).id(reading.place)
}

/// A sensor's key as packs have it; `None` for one that cannot be in any.
pub(super) fn key(sensor: i64) -> Option<u32> {
    u32::try_from(sensor).ok()
}

fn place_of(id: i64) -> u16 {
    (id & i64::from(LAST_PLACE)) as u16
}

/// What is written of a block: plain data.
#[derive(Debug)]
pub(super) struct FullBlock {
    block: Block,
    times: [i64; 2],
    packs: Vec<(i64, Vec<u8>)>,
}

impl FullBlock {
    /// `None`: there is nothing to index.
    fn of(block: Block, entries: &[Entry]) -> Option<Self> {
        let times = entries.iter().map(|entry| entry.ts);
        let times = [times.clone().min()?, times.max()?];
        (block <= LAST_INDEXED).then(|| Self {
            block,
            times,
            packs: pack(block, entries),
        })
    }

    fn write(&self, connection: &Connection) -> Result<(), StoreError> {
        let [min, max] = self.times;
        connection
            .prepare_cached(
                "INSERT INTO reading_block (number, min_ts, max_ts) VALUES (?1, ?2, ?3)",
            )?
            .execute([self.block.0, min, max])?;
        let mut insert =
            connection.prepare_cached("INSERT INTO reading_pack (id, pieces) VALUES (?1, ?2)")?;
        for (id, pieces) in &self.packs {
            insert.execute(params![id, pieces])?;
        }
        Ok(())
    }
}

/// The block that fills: of each reading in it what its index will need.
#[derive(Debug)]
pub(super) struct Filling {
    block: Block,
    entries: Vec<Entry>,
}

impl Filling {
    /// The block of the id after `last`, with what of it is stored.
    pub(super) fn load(connection: &Connection, last: i64) -> Result<Self, StoreError> {
        let block = Block::of(last + 1);
        Ok(Self {
            block,
            entries: entries_of(connection, block)?,
        })
    }

    /// Takes in the next reading. With the last id of the block it is full, and the next one begins.
    pub(super) fn add(&mut self, id: i64, sensor: i64, ts: i64, value: f64) -> Option<FullBlock> {
        if self.entries.len() == self.entries.capacity() {
            // Memory that is not touched costs nothing, and this is touched as it fills.
            self.entries
                .reserve_exact(1 + usize::from(LAST_PLACE) - self.entries.len());
        }
        self.entries.push(Entry {
            sensor: sensor as u32,
            place: place_of(id),
            ts,
            value,
        });
        if id < self.block.last() {
            return None;
        }
        let full = FullBlock::of(self.block, &self.entries);
        self.block = Block::of(id + 1);
        self.entries.clear();
        full
    }

    /// Below it no readings are added any more.
    pub(super) fn block(&self) -> Block {
        self.block
    }
}

fn entries_of(connection: &Connection, block: Block) -> Result<Vec<Entry>, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT id, sensor, ts, value FROM reading WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
    )?;
    let entries = select.query_map([block.first(), block.last()], |row| {
        Ok(Entry {
            place: place_of(row.get(0)?),
            sensor: row.get(1)?,
            ts: row.get(2)?,
            value: row.get(3)?,
        })
    })?;
    Ok(entries.collect::<Result<_, _>>()?)
}

/// The oldest block that is full and not indexed, if there is one: where readings of a damaged store came back, or an older version
/// left them.
pub(super) fn first_unindexed(connection: &Connection) -> Result<Option<Block>, StoreError> {
    let last: i64 = connection.query_row("SELECT reading FROM counter", [], |row| row.get(0))?;
    let filling = Block::of(last + 1);
    let mut next = first_row_from(connection, i64::MIN)?.map(Block::of);
    while let Some(block) = next.filter(|block| *block < filling && *block <= LAST_INDEXED) {
        if !is_indexed(connection, block)? {
            return Ok(Some(block));
        }
        next = first_row_from(connection, block.last() + 1)?.map(Block::of);
    }
    Ok(None)
}

/// The smallest id of a row that is not below this one.
pub(super) fn first_row_from(connection: &Connection, id: i64) -> Result<Option<i64>, StoreError> {
    let mut select = connection.prepare_cached("SELECT min(id) FROM reading WHERE ?1 <= id")?;
    Ok(select.query_row([id], |row| row.get(0))?)
}

/// Indexes a block that is full; false if it was indexed before.
pub(super) fn index(connection: &Connection, block: Block) -> Result<bool, StoreError> {
    if is_indexed(connection, block)? {
        return Ok(false);
    }
    if let Some(full) = FullBlock::of(block, &entries_of(connection, block)?) {
        full.write(connection)?;
    }
    Ok(true)
}

fn is_indexed(connection: &Connection, block: Block) -> Result<bool, StoreError> {
    let mut select = connection.prepare_cached("SELECT 1 FROM reading_block WHERE number = ?1")?;
    Ok(select.exists([block.0])?)
}

/// Writes what is known of blocks. With them comes one that should have been indexed before: the newest below
/// `unindexed_below`; tells below which one the next is to be looked for, `None` when there are no more.
pub(super) fn write(
    connection: &Connection,
    full: &[FullBlock],
    unindexed_below: Option<Block>,
) -> Result<Option<Block>, StoreError> {
    for block in full {
        block.write(connection)?;
    }
    match unindexed_below {
        Some(below) if !full.is_empty() => make_up(connection, below),
        other => Ok(other),
    }
}

fn make_up(connection: &Connection, mut below: Block) -> Result<Option<Block>, StoreError> {
    let mut newest = connection
        .prepare_cached("SELECT id FROM reading WHERE id < ?1 ORDER BY id DESC LIMIT 1")?;
    for _ in 0..STEPS {
        let newest: Option<i64> = newest
            .query_row([below.first()], |row| row.get(0))
            .optional()?;
        let Some(newest) = newest else {
            return Ok(None);
        };
        below = Block::of(newest);
        if index(connection, below)? {
            break;
        }
    }
    Ok(Some(below))
}
