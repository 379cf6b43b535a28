//! Packed blocks from which readings are taken: what leaves them, what it comes to, what is left.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::columns::{Columns, Packable, pack, pieces_of};
use super::held::waiting_within;
use super::packed::{Stored, packs_of, row};
use super::thin::{self, Interval, intervals_of};
use super::{Block, StoreError, Summary};
use crate::background::give_way_at;

/// What becomes of a reading that waits for nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Fate {
    Keep,
    /// It goes into what its interval comes to.
    Thin,
    Remove,
}

/// A block as it is to be, with what is left of it: plain data.
#[derive(Clone, Debug)]
pub(in crate::store) struct Rewritten {
    block: Block,
    packs: Vec<(i64, Vec<u8>)>,
    /// Readings that are packed, not those that are rows.
    count: i64,
    has_rows: bool,
    /// Rows that leave, by their first and last ids.
    rows: Vec<[i64; 2]>,
    unit: Option<Unit>,
    /// How many readings are not there any more, one by one.
    pub(in crate::store) removed: u64,
}

/// What the readings of some blocks come to, interval by interval: plain data.
#[derive(Clone, Debug)]
pub(in crate::store) struct Unit {
    first: Block,
    last: Block,
    /// In milliseconds.
    interval: i64,
    times: [i64; 2],
    newest_at: i64,
    count: i64,
    packs: Vec<(i64, Vec<u8>)>,
}

/// Reads a packed block, each reading of which has its fate. Those that wait stay rows.
pub(in crate::store) fn rewrite(
    connection: &Connection,
    block: Block,
    interval: i64,
    fate: impl Fn(&Columns) -> Fate,
) -> Result<Rewritten, StoreError> {
    let waiting = waiting_within(connection, block)?;
    // What a salvage brought back of readings that were thinned before: what is thinned now goes into it.
    let there = unit_that_begins(connection, block)?;
    let (ends, interval) = there.unwrap_or(([block, block], interval));
    let (mut left, mut rows, mut sums) = (Vec::new(), Vec::new(), Sums::new(interval));
    let (mut count, mut has_rows, mut removed, mut newest_at) = (0, false, 0, i64::MIN);
    let mut decide = |columns: Columns, is_row: bool| {
        let id = block.id(columns.place);
        newest_at = newest_at.max(columns.ts.saturating_add(columns.delay));
        if is_row && waiting.binary_search(&id).is_ok() {
            has_rows = true;
            let Columns { sensor, place, .. } = columns;
            return left.push(Packable::Stays { sensor, place });
        }
        if is_row {
            rows.push(id);
        }
        match fate(&columns) {
            Fate::Keep => {
                count += 1;
                left.push(Packable::Goes(columns));
            }
            Fate::Thin => {
                removed += 1;
                sums.add(&columns);
            }
            Fate::Remove => removed += 1,
        }
    };
    for (number, (pack, bytes)) in packs_of(connection, block)?.into_iter().enumerate() {
        give_way_at(8 * number);
        for piece in pieces_of(pack, &bytes, None).unwrap_or_default() {
            for columns in piece.readings {
                decide(columns, false);
            }
            for (number, place) in piece.stay.into_iter().enumerate() {
                give_way_at(number);
                if let Some(Stored { columns, .. }) = row(connection, block.id(place))? {
                    decide(columns, true);
                }
            }
        }
    }
    if there.is_some() && !sums.by_sensor.is_empty() {
        sums.merge_unit(connection, block, interval)?;
    }
    left.sort_unstable_by_key(Packable::at);
    rows.sort_unstable();
    Ok(Rewritten {
        block,
        packs: pack(block, &left),
        count,
        has_rows,
        rows: runs_of(&rows),
        unit: sums.into_unit(ends, newest_at),
        removed,
    })
}

/// Neighbours as their first and last.
fn runs_of(ids: &[i64]) -> Vec<[i64; 2]> {
    let runs = ids.chunk_by(|a, b| a + 1 == *b);
    runs.map(|run| [run[0], run[run.len() - 1]]).collect()
}

/// Puts what neighbouring units say into one with longer intervals.
pub(in crate::store) fn merge(
    connection: &Connection,
    firsts: &[Block],
    interval: i64,
) -> Result<Option<Unit>, StoreError> {
    let mut sums = Sums::new(interval);
    let (mut last, mut newest_at) = (None, i64::MIN);
    for (number, first) in firsts.iter().enumerate() {
        give_way_at(8 * number);
        let (of_last, of_interval, at): (i64, i64, i64) = connection
            .prepare_cached("SELECT last, interval, newest_at FROM summary_block WHERE first = ?1")?
            .query_row([first.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        last = last.max(Some(Block(of_last)));
        newest_at = newest_at.max(at);
        sums.merge_unit(connection, *first, of_interval)?;
    }
    let ends = firsts.first().copied().zip(last);
    Ok(ends.and_then(|(first, last)| sums.into_unit([first, last], newest_at)))
}

/// The blocks and the interval of the unit that begins with this one.
fn unit_that_begins(
    connection: &Connection,
    block: Block,
) -> Result<Option<([Block; 2], i64)>, StoreError> {
    let mut select =
        connection.prepare_cached("SELECT last, interval FROM summary_block WHERE first = ?1")?;
    let unit = select.query_row([block.0], |row| {
        Ok(([block, Block(row.get(0)?)], row.get(1)?))
    });
    Ok(unit.optional()?)
}

/// What readings come to while they are added up.
struct Sums {
    interval: i64,
    by_sensor: BTreeMap<(u32, i64), Summary>,
}

impl Sums {
    fn new(interval: i64) -> Self {
        Self {
            interval,
            by_sensor: BTreeMap::new(),
        }
    }

    fn add(&mut self, columns: &Columns) {
        self.merge(columns.sensor, columns.ts, Summary::of(columns.value));
    }

    fn merge(&mut self, sensor: u32, ts: i64, values: Summary) {
        let number = ts.div_euclid(self.interval);
        self.by_sensor
            .entry((sensor, number))
            .and_modify(|sum| *sum = sum.and(values))
            .or_insert(values);
    }

    fn merge_unit(
        &mut self,
        connection: &Connection,
        first: Block,
        interval: i64,
    ) -> Result<(), StoreError> {
        for (pack, bytes) in summary_packs(connection, first, None)? {
            for found in intervals_of(pack, &bytes, None).unwrap_or_default() {
                let ts = found.number.saturating_mul(interval);
                self.merge(found.sensor, ts, found.values);
            }
        }
        Ok(())
    }

    fn into_unit(self, [first, last]: [Block; 2], newest_at: i64) -> Option<Unit> {
        let numbers = self.by_sensor.keys().map(|(_, number)| *number);
        let begin = numbers.clone().min()?.saturating_mul(self.interval);
        let end = numbers
            .max()?
            .saturating_add(1)
            .saturating_mul(self.interval)
            - 1;
        let intervals: Vec<Interval> = self
            .by_sensor
            .into_iter()
            .map(|((sensor, number), values)| Interval {
                sensor,
                number,
                values,
            })
            .collect();
        let count = intervals
            .iter()
            .map(|interval| interval.values.count as i64);
        Some(Unit {
            first,
            last,
            interval: self.interval,
            times: [begin, end],
            newest_at,
            count: count.sum(),
            packs: thin::pack(first, &intervals),
        })
    }
}

impl Rewritten {
    pub(in crate::store) fn write(&self, connection: &Connection) -> Result<(), StoreError> {
        let block = self.block;
        connection
            .prepare_cached("DELETE FROM packed_reading WHERE id BETWEEN ?1 AND ?2")?
            .execute(block.packs())?;
        insert(connection, "packed_reading", &self.packs)?;
        let mut delete =
            connection.prepare_cached("DELETE FROM reading WHERE id BETWEEN ?1 AND ?2")?;
        for run in &self.rows {
            delete.execute(*run)?;
        }
        if self.count == 0 && !self.has_rows {
            connection
                .prepare_cached("DELETE FROM reading_block WHERE number = ?1")?
                .execute([block.0])?;
        } else {
            connection
                .prepare_cached(
                    "UPDATE reading_block SET packed = 3, bytes = ?2, count = ?3 WHERE number = ?1",
                )?
                .execute([block.0, bytes_of(&self.packs), self.count])?;
        }
        match &self.unit {
            Some(unit) => unit.write(connection),
            None => Ok(()),
        }
    }
}

impl Unit {
    /// Writes it in the place of all units of its blocks.
    pub(in crate::store) fn write(&self, connection: &Connection) -> Result<(), StoreError> {
        remove_units(connection, self.first, self.last)?;
        connection
            .prepare_cached(
                "INSERT INTO summary_block (first, last, interval, min_ts, max_ts, newest_at, bytes, count) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                self.first.0,
                self.last.0,
                self.interval,
                self.times[0],
                self.times[1],
                self.newest_at,
                bytes_of(&self.packs),
                self.count,
            ])?;
        insert(connection, "summary_pack", &self.packs)
    }
}

/// Removes what stands for the readings of these blocks.
pub(in crate::store) fn remove_units(
    connection: &Connection,
    first: Block,
    last: Block,
) -> Result<(), StoreError> {
    let within = [first.0, last.0];
    connection
        .prepare_cached("DELETE FROM summary_block WHERE first BETWEEN ?1 AND ?2")?
        .execute(within)?;
    connection
        .prepare_cached("DELETE FROM summary_pack WHERE id BETWEEN ?1 AND ?2")?
        .execute([first.packs()[0], last.packs()[1]])?;
    Ok(())
}

fn bytes_of(packs: &[(i64, Vec<u8>)]) -> i64 {
    packs.iter().map(|(_, pieces)| pieces.len() as i64).sum()
}

fn insert(
    connection: &Connection,
    table: &str,
    packs: &[(i64, Vec<u8>)],
) -> Result<(), StoreError> {
    let insert = format!("INSERT INTO {table} (id, pieces) VALUES (?1, ?2)");
    let mut insert = connection.prepare_cached(&insert)?;
    for (id, pieces) in packs {
        insert.execute(params![id, pieces])?;
    }
    Ok(())
}

/// Packs of intervals of a unit, those that may have some of a sensor or all.
pub(in crate::store) fn summary_packs(
    connection: &Connection,
    unit: Block,
    sensor: Option<u32>,
) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
    let [mut first, mut last] = unit.packs();
    if let Some(sensor) = sensor {
        let before: Option<i64> = connection
            .prepare_cached("SELECT max(id) FROM summary_pack WHERE id BETWEEN ?1 AND ?2")?
            .query_row([first, unit.pack(sensor, 0)], |row| row.get(0))?;
        first = before.unwrap_or(first);
        last = unit.pack(sensor, super::LAST_PLACE);
    }
    let mut select = connection.prepare_cached(
        "SELECT id, pieces FROM summary_pack WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
    )?;
    let rows = select.query_map([first, last], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What thinned readings of a sensor come to, with the beginnings of their intervals: those that begin within these times.
pub(in crate::store) fn intervals_within(
    connection: &Connection,
    sensor: u32,
    [from, to]: [i64; 2],
    mut take: impl FnMut(i64, Summary),
) -> Result<(), StoreError> {
    let mut units = connection.prepare_cached(
        "SELECT first, interval FROM summary_block WHERE ?1 <= max_ts AND min_ts < ?2 ORDER BY first",
    )?;
    let units = units.query_map([from, to], |row| {
        Ok((Block(row.get(0)?), row.get::<_, i64>(1)?))
    })?;
    for (number, unit) in units
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .enumerate()
    {
        give_way_at(8 * number);
        let (first, interval) = unit;
        for (pack, bytes) in summary_packs(connection, first, Some(sensor))? {
            let Some(found) = intervals_of(pack, &bytes, Some(sensor)) else {
                tracing::error!(
                    pack,
                    "a pack of summaries makes no sense; they are left out"
                );
                continue;
            };
            for Interval { number, values, .. } in found {
                let ts = number.saturating_mul(interval);
                if (from..to).contains(&ts) {
                    take(ts, values);
                }
            }
        }
    }
    Ok(())
}
