//! Which rows have to be read for a sensor, a time or both: block by block from the newest id down, passing over what the
//! index says holds nothing.

use std::collections::VecDeque;
use std::vec;

use rusqlite::{Connection, OptionalExtension};

use super::pack::{Piece, first_sensor, pieces_of};
use super::packed::is_packed;
use super::{Block, StoreError, place_of};
use crate::background::give_way_at;
use crate::store::bounds::Bounds;

/// So many rows of blocks are read at once.
const BLOCKS_AT_ONCE: i64 = 256;

/// Rows that are looked up in one transaction: well under a second, also on a small board.
const ROWS_AT_ONCE: usize = 1000;

/// To look up a row takes as long as to look through so many that lie together.
const WORTH_LOOKING_UP: i64 = 8;

/// To look into a block for a sensor is counted as so many rows.
const ROWS_OF_A_LOOK: usize = 100;

/// Rows to be read, newest first.
#[derive(Debug)]
pub(in crate::store) enum Stretch {
    /// Those between two ids that are of the sensor.
    Between { lower: i64, upper: i64 },
    /// These, as far as they are there.
    These(Vec<i64>),
}

impl Stretch {
    fn newest(&self) -> Option<i64> {
        match self {
            Self::Between { upper, .. } => Some(*upper),
            Self::These(ids) => ids.first().copied(),
        }
    }
}

/// Looks up row after row, some in each transaction, until `look_up` has found enough.
pub(in crate::store) fn in_steps(
    connection: &Connection,
    ids: &[i64],
    mut look_up: impl FnMut(i64) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    for step in ids.chunks(ROWS_AT_ONCE) {
        let _transaction = connection.unchecked_transaction()?;
        for (number, id) in step.iter().enumerate() {
            give_way_at(number);
            if !look_up(*id)? {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// On its way down.
pub(in crate::store) struct Walk<'c> {
    connection: &'c Connection,
    bounds: &'c Bounds,
    /// The sensor's key as packs have it.
    sensor: Option<u32>,
    oldest: i64,
    /// Above it all blocks have been visited.
    upper: i64,
    /// Of the block above it.
    stretches: VecDeque<Stretch>,
    looks: usize,
    /// Numbers and times of indexed blocks, newest first.
    ahead: vec::IntoIter<(i64, [i64; 2])>,
    /// Down to which all of them have been read.
    read_down_to: i64,
}

impl<'c> Walk<'c> {
    /// From the reading with the id `upper` down to `oldest`.
    pub(in crate::store) fn new(
        connection: &'c Connection,
        bounds: &'c Bounds,
        (oldest, upper): (i64, i64),
    ) -> Self {
        Self {
            connection,
            bounds,
            sensor: bounds.sensor.and_then(|key| u32::try_from(key).ok()),
            oldest,
            upper,
            stretches: VecDeque::new(),
            looks: 0,
            ahead: Vec::new().into_iter(),
            read_down_to: i64::MAX,
        }
    }

    pub(in crate::store) fn connection(&self) -> &'c Connection {
        self.connection
    }

    /// What is to be read next; it may turn out to be nothing. Pieces of the sensor that `is_known` takes are left out.
    pub(in crate::store) fn next(
        &mut self,
        mut is_known: impl FnMut(&Piece) -> bool,
    ) -> Result<Option<Stretch>, StoreError> {
        loop {
            if let Some(stretch) = self.stretches.pop_front() {
                return Ok(Some(stretch));
            }
            if self.upper < self.oldest {
                return Ok(None);
            }
            let block = Block::of(self.upper);
            let lower = block.first().max(self.oldest);
            match self.times_of(block)? {
                None => {
                    let Some(newest) = self.newest_stored()? else {
                        self.upper = self.oldest - 1;
                        return Ok(None);
                    };
                    if newest < lower {
                        // Ids were left out.
                        self.upper = newest;
                        continue;
                    }
                    self.look_through(lower, newest);
                }
                Some(times) if !self.bounds.meet(times) => {}
                Some(_) => match self.sensor {
                    None => self.look_through(lower, self.upper),
                    Some(sensor) => {
                        self.look_into(block, sensor, lower, &mut is_known)?;
                        let nothing = || Stretch::These(Vec::new());
                        let stretch = self.stretches.pop_front();
                        return Ok(Some(stretch.unwrap_or_else(nothing)));
                    }
                },
            }
            self.upper = lower - 1;
        }
    }

    /// From which id on nothing is left to be read; `None` if nothing is left at all.
    pub(in crate::store) fn has_come_to(&self) -> Option<i64> {
        let newest = self.stretches.front().and_then(Stretch::newest);
        let newest = newest.or((self.oldest <= self.upper).then_some(self.upper));
        newest.map(|id| id + 1)
    }

    /// What it has cost to find the way, in rows.
    pub(in crate::store) fn rows(&self) -> usize {
        self.looks * ROWS_OF_A_LOOK
    }

    fn look_through(&mut self, lower: i64, upper: i64) {
        self.stretches.push_back(Stretch::Between { lower, upper });
    }

    /// Between which times its readings are; `None` if the block is not indexed.
    fn times_of(&mut self, block: Block) -> Result<Option<[i64; 2]>, StoreError> {
        if block.0 < self.read_down_to {
            let mut select = self.connection.prepare_cached(
                "SELECT number, min_ts, max_ts FROM reading_block WHERE number <= ?1 ORDER BY number DESC LIMIT ?2",
            )?;
            let rows = select.query_map([block.0, BLOCKS_AT_ONCE], |row| {
                Ok((row.get(0)?, [row.get(1)?, row.get(2)?]))
            })?;
            let rows: Vec<(i64, [i64; 2])> = rows.collect::<Result<_, _>>()?;
            let is_all = (rows.len() as i64) < BLOCKS_AT_ONCE;
            let last = rows.last().filter(|_| !is_all);
            self.read_down_to = last.map_or(i64::MIN, |(number, _)| *number);
            self.ahead = rows.into_iter();
        }
        while let Some((number, times)) = self.ahead.as_slice().first().copied() {
            if number <= block.0 {
                return Ok((number == block.0).then_some(times));
            }
            self.ahead.next();
        }
        Ok(None)
    }

    fn newest_stored(&self) -> Result<Option<i64>, StoreError> {
        let row: Option<i64> = self
            .connection
            .prepare_cached(
                "SELECT id FROM reading WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT 1",
            )?
            .query_row([self.oldest, self.upper], |row| row.get(0))
            .optional()?;
        // Where there are no rows any more, there may be packed blocks.
        let block: Option<i64> = self
            .connection
            .prepare_cached("SELECT max(number) FROM reading_block WHERE number < ?1")?
            .query_row([Block::of(self.upper).0], |row| row.get(0))?;
        let packed = block.map(|number| Block(number).last());
        let packed = packed.filter(|last| self.oldest <= *last);
        Ok(row.into_iter().chain(packed).max())
    }

    /// Finds readings of a sensor: those in the newest pack that may have some. An index that makes no sense is worth no more
    /// than none; a packed block is its own.
    fn look_into(
        &mut self,
        block: Block,
        sensor: u32,
        lower: i64,
        is_known: &mut impl FnMut(&Piece) -> bool,
    ) -> Result<(), StoreError> {
        self.looks += 1;
        let upper = std::mem::replace(&mut self.upper, lower - 1);
        let transaction = self.connection.unchecked_transaction()?;
        let pieces = if is_packed(self.connection, block)? {
            None
        } else {
            self.pieces_of(block, sensor, upper)?
        };
        drop(transaction);
        let Some((pieces, is_last)) = pieces else {
            self.look_through(lower, upper);
            return Ok(());
        };
        if let Some(oldest) = pieces.first().filter(|_| !is_last) {
            self.upper = block.id(oldest.first()).max(lower) - 1;
        }
        let mut is_joined = false;
        for piece in pieces.iter().rev() {
            let is_within = piece
                .known
                .is_none_or(|known| self.bounds.meet(known.times));
            let ids = piece.places.iter().map(|place| block.id(*place));
            let ids: Vec<i64> = ids.filter(|id| (lower..=upper).contains(id)).collect();
            let is_whole = ids.len() == piece.places.len();
            if ids.is_empty() || !is_within || is_whole && is_known(piece) {
                is_joined = false;
                continue;
            }
            self.put(&ids, is_joined);
            is_joined = true;
        }
        Ok(())
    }

    /// Adds the ids of a piece, ascending, to what is to be read. What is `joined` has nothing of the sensor between it and the
    /// piece before.
    fn put(&mut self, ids: &[i64], is_joined: bool) {
        let (Some(&first), Some(&last)) = (ids.first(), ids.last()) else {
            return;
        };
        let is_dense = 1 < ids.len() && last - first < WORTH_LOOKING_UP * ids.len() as i64;
        match (self.stretches.back_mut(), is_dense) {
            (Some(Stretch::Between { lower, .. }), true) if is_joined => *lower = first,
            (_, true) => self.look_through(first, last),
            (Some(Stretch::These(others)), false) => others.extend(ids.iter().rev()),
            (_, false) => {
                let these = ids.iter().rev().copied().collect();
                self.stretches.push_back(Stretch::These(these));
            }
        }
    }

    /// Pieces of the newest pack that may have some of the sensor up to this id, oldest first, and whether no other pack has more.
    /// `None` if the index makes no sense.
    fn pieces_of(
        &self,
        block: Block,
        sensor: u32,
        upper: i64,
    ) -> Result<Option<(Vec<Piece>, bool)>, StoreError> {
        let mut select = self.connection.prepare_cached(
            "SELECT id, pieces FROM reading_pack WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT 1",
        )?;
        let newest = block.pack(sensor, place_of(upper));
        let mut packs = select.query([block.pack(0, 0), newest])?;
        let Some(row) = packs.next()? else {
            return Ok(Some((Vec::new(), true)));
        };
        let pack = row.get(0)?;
        let bytes = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        let Some(mut pieces) = pieces_of(pack, bytes, sensor) else {
            tracing::warn!(
                pack,
                "a part of the index makes no sense; its block is looked through"
            );
            return Ok(None);
        };
        pieces.retain(|piece| piece.first() <= place_of(upper));
        let is_last = pieces.is_empty() || first_sensor(pack) < sensor;
        Ok(Some((pieces, is_last)))
    }
}
