//! How the index of a block is written: pieces, each a run of one sensor's readings, in the order of sensors and places,
//! packed into about a page of the file. Pure: bytes in, bytes out.
//!
//! A piece: its sensor, as the difference to the one before, with a bit that says whether it is a single reading. A single one
//! goes on with its place. Others have their number and the length of their places; then, if they are many enough to be
//! worth it, times and values; then the first place and the differences of the others. Numbers are LEB128.

use super::numbers::{Bytes, put_number, unzigzag, zigzag};
use super::{Block, LAST_PLACE, PLACE_BITS, SENSOR_BITS, Summary};

/// A pack fills a page of the file, but for what SQLite keeps beside it.
const PACK_BYTES: usize = 4000;

/// A piece has at most so many readings: a bound on what is read where it has to be looked into.
const PIECE_READINGS: usize = 128;

/// From so many on a piece says when its readings were and what they come to.
const WORTH_A_SUMMARY: usize = 16;

/// What the index knows of a reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) sensor: u32,
    pub(super) place: u16,
    pub(super) ts: i64,
    pub(super) value: f64,
}

/// Some readings of a sensor, one behind the other.
#[derive(Debug, PartialEq)]
pub(in crate::store) struct Piece {
    /// `None` if they are few.
    pub(in crate::store) known: Option<Known>,
    /// Ascending; at least one.
    pub(super) places: Vec<u16>,
}

impl Piece {
    pub(super) fn first(&self) -> u16 {
        self.places[0]
    }
}

/// What readings come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::store) struct Known {
    /// The first and the last.
    pub(in crate::store) times: [i64; 2],
    pub(in crate::store) values: Summary,
}

impl Known {
    fn of(entries: &[Entry]) -> Option<Self> {
        let times = entries.iter().map(|entry| entry.ts);
        let values = entries.iter().map(|entry| entry.value);
        Some(Self {
            times: [times.clone().min()?, times.max()?],
            values: Summary::of_all(values)?,
        })
    }
}

/// Packs entries, which are in the order of places.
pub(super) fn pack(block: Block, entries: &[Entry]) -> Vec<(i64, Vec<u8>)> {
    let entries = by_sensor(entries);
    let mut packs: Vec<(i64, Vec<u8>)> = Vec::new();
    let mut before = Before::default();
    let mut bytes = Vec::new();
    for of_sensor in entries.chunk_by(|a, b| a.sensor == b.sensor) {
        let pieces = of_sensor.len().div_ceil(PIECE_READINGS);
        for piece in of_sensor.chunks(of_sensor.len().div_ceil(pieces)) {
            bytes.clear();
            let behind = before.put(piece, &mut bytes);
            match packs.last_mut() {
                Some((_, pack)) if pack.len() + bytes.len() <= PACK_BYTES => {
                    pack.extend_from_slice(&bytes);
                    before = behind;
                }
                _ => {
                    before = Before::of_pack(piece[0].sensor);
                    let mut pack = Vec::with_capacity(PACK_BYTES);
                    before = before.put(piece, &mut pack);
                    packs.push((block.pack(piece[0].sensor, piece[0].place), pack));
                }
            }
        }
    }
    packs
}

/// The same in the order of sensors and places. What is sorted is small: a sensor and where its entry stands.
fn by_sensor(entries: &[Entry]) -> Vec<Entry> {
    let at = |(at, entry): (usize, &Entry)| (entry.sensor << PLACE_BITS) | at as u32;
    let mut order: Vec<u32> = entries.iter().enumerate().map(at).collect();
    order.sort_unstable();
    let entry = |at: u32| entries[at as usize & usize::from(LAST_PLACE)];
    order.into_iter().map(entry).collect()
}

/// The pieces of one sensor in a pack, oldest first. `None` if the bytes make no sense.
pub(super) fn pieces_of(pack: i64, bytes: &[u8], sensor: u32) -> Option<Vec<Piece>> {
    let mut before = Before::of_pack(first_sensor(pack));
    let mut bytes = Bytes::new(bytes);
    let mut found = Vec::new();
    while !bytes.is_empty() && before.sensor <= sensor {
        let piece = before.take(&mut bytes)?;
        if before.sensor == sensor {
            found.push(piece.decode()?);
        }
    }
    Some(found)
}

/// The sensor of a pack's first piece.
pub(super) fn first_sensor(pack: i64) -> u32 {
    (pack >> PLACE_BITS) as u32 & ((1 << SENSOR_BITS) - 1)
}

/// What a piece is written as a difference to.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    sensor: u32,
    ts: i64,
}

impl Before {
    fn of_pack(sensor: u32) -> Self {
        Self { sensor, ts: 0 }
    }

    /// Writes a piece and gives what the next one is a difference to.
    fn put(self, piece: &[Entry], bytes: &mut Vec<u8>) -> Self {
        let mut behind = self;
        behind.sensor = piece[0].sensor;
        let step = u64::from(behind.sensor.wrapping_sub(self.sensor)) << 1;
        if let [single] = piece {
            put_number(bytes, step | 1);
            bytes.extend_from_slice(&single.place.to_le_bytes());
            return behind;
        }
        let mut rest = Vec::with_capacity(2 * piece.len());
        for pair in piece.windows(2) {
            put_number(&mut rest, u64::from(pair[1].place - pair[0].place));
        }
        put_number(bytes, step);
        put_number(bytes, piece.len() as u64);
        put_number(bytes, rest.len() as u64);
        if WORTH_A_SUMMARY <= piece.len()
            && let Some(known) = Known::of(piece)
        {
            let [first, last] = known.times;
            put_number(bytes, zigzag(first.wrapping_sub(self.ts)));
            put_number(bytes, last.abs_diff(first));
            for value in [known.values.min, known.values.max, known.values.mean] {
                bytes.extend_from_slice(&value.to_le_bytes());
            }
            behind.ts = first;
        }
        bytes.extend_from_slice(&piece[0].place.to_le_bytes());
        bytes.extend_from_slice(&rest);
        behind
    }

    /// Reads a piece and becomes what the next one is a difference to.
    fn take<'b>(&mut self, bytes: &mut Bytes<'b>) -> Option<Packed<'b>> {
        let head = bytes.number()?;
        self.sensor = self.sensor.checked_add(u32::try_from(head >> 1).ok()?)?;
        if head & 1 == 1 {
            return Some(Packed {
                known: None,
                count: 1,
                first: u16::from_le_bytes(bytes.array()?),
                rest: Bytes::new(&[]),
            });
        }
        let count = usize::try_from(bytes.number()?).ok()?;
        let length = usize::try_from(bytes.number()?).ok()?;
        let mut known = None;
        if WORTH_A_SUMMARY <= count {
            let first = self.ts.wrapping_add(unzigzag(bytes.number()?));
            let last = first.wrapping_add_unsigned(bytes.number()?);
            self.ts = first;
            known = Some(Known {
                times: [first, last],
                values: Summary {
                    count: count as u64,
                    min: f64::from_le_bytes(bytes.array()?),
                    max: f64::from_le_bytes(bytes.array()?),
                    mean: f64::from_le_bytes(bytes.array()?),
                },
            });
        }
        Some(Packed {
            known,
            count,
            first: u16::from_le_bytes(bytes.array()?),
            rest: Bytes::new(bytes.take(length)?),
        })
    }
}

/// A piece whose places have not been read.
struct Packed<'b> {
    known: Option<Known>,
    count: usize,
    first: u16,
    /// Differences of the places that follow.
    rest: Bytes<'b>,
}

impl Packed<'_> {
    fn decode(mut self) -> Option<Piece> {
        let mut place = self.first;
        let mut places = Vec::with_capacity(self.count.min(PIECE_READINGS));
        places.push(place);
        for _ in 1..self.count {
            place = place.checked_add(u16::try_from(self.rest.number()?).ok()?)?;
            places.push(place);
        }
        let is_whole = self.rest.is_empty() && place <= LAST_PLACE;
        is_whole.then_some(Piece {
            known: self.known,
            places,
        })
    }
}

#[cfg(test)]
mod tests;
