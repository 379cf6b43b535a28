//! Readings of a block by columns: what stands in the place of their rows once they are a day old. Pure: rows in, bytes out.
//!
//! As in the index, a piece is a run of one sensor's readings, and pieces in the order of sensors and places fill about a page.
//! A piece: its sensor, as the difference to the one before; how many readings it has, and how many more stay rows; the length
//! of what follows; then columns: places, places of those that stay, times, delays, values, and texts, if there are any.

use std::cell::RefCell;

use zstd::bulk::Decompressor;

use super::numbers::{Bytes, put_column, put_number, put_values, unzigzag, zigzag};
use super::pack::first_sensor;
use super::{Block, LAST_PLACE};
use crate::background::give_way;

/// A pack fills a page of the file, but for what SQLite keeps beside it.
const PACK_BYTES: usize = 4000;

/// A piece has at most so many readings, and so many bytes of texts: bounds on what is read for one of them.
const PIECE_READINGS: usize = 128;
const PIECE_TEXTS: usize = 16 << 10;

/// Texts can be no longer than this all in all, whatever the bytes say: a piece's, and one reading that goes over.
const MOST_TEXTS: usize = 64 << 20;

/// Short texts are not worth a compressed frame.
const WORTH_COMPRESSING: usize = 64;
const COMPRESSION_LEVEL: i32 = 3;

/// How texts are written.
const NO_TEXTS: u8 = 0;
const PLAIN_TEXTS: u8 = 1;
const COMPRESSED_TEXTS: u8 = 2;

/// A reading as its row has it.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::store) struct Columns {
    pub(in crate::store) sensor: u32,
    pub(in crate::store) place: u16,
    pub(in crate::store) ts: i64,
    pub(in crate::store) delay: i64,
    pub(in crate::store) value: f64,
    pub(in crate::store) tags: Option<Box<str>>,
    pub(in crate::store) attributes: Option<Box<str>>,
}

impl Columns {
    fn texts(&self) -> usize {
        self.tags.as_deref().map_or(0, str::len) + self.attributes.as_deref().map_or(0, str::len)
    }
}

/// A reading to be packed, or one whose row stays.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::store) enum Packable {
    Goes(Columns),
    Stays { sensor: u32, place: u16 },
}

impl Packable {
    pub(in crate::store) fn at(&self) -> (u32, u16) {
        match self {
            Self::Goes(columns) => (columns.sensor, columns.place),
            Self::Stays { sensor, place } => (*sensor, *place),
        }
    }

    fn texts(&self) -> usize {
        match self {
            Self::Goes(columns) => columns.texts(),
            Self::Stays { .. } => 0,
        }
    }
}

/// A run of one sensor's readings, oldest first.
#[derive(Debug, PartialEq)]
pub(in crate::store) struct PackedPiece {
    pub(in crate::store) sensor: u32,
    pub(in crate::store) readings: Vec<Columns>,
    /// Places of those whose rows stay.
    pub(in crate::store) stay: Vec<u16>,
}

/// Packs readings, which are in the order of sensors and places.
pub(in crate::store) fn pack(block: Block, readings: &[Packable]) -> Vec<(i64, Vec<u8>)> {
    let mut packs: Vec<(i64, Vec<u8>)> = Vec::new();
    let mut before = Before::default();
    let mut bytes = Vec::new();
    for of_sensor in readings.chunk_by(|a, b| a.at().0 == b.at().0) {
        let mut rest = of_sensor;
        while !rest.is_empty() {
            give_way();
            let (piece, behind) = rest.split_at(length_of_piece(rest));
            rest = behind;
            bytes.clear();
            let after = before.put(piece, &mut bytes);
            match packs.last_mut() {
                Some((_, pack)) if pack.len() + bytes.len() <= PACK_BYTES => {
                    pack.extend_from_slice(&bytes);
                    before = after;
                }
                _ => {
                    let (sensor, place) = piece[0].at();
                    let mut pack = Vec::with_capacity(PACK_BYTES);
                    before = Before::of_pack(sensor).put(piece, &mut pack);
                    packs.push((block.pack(sensor, place), pack));
                }
            }
        }
    }
    packs
}

/// How many readings the next piece has; at least one.
fn length_of_piece(rest: &[Packable]) -> usize {
    let pieces = rest.len().div_ceil(PIECE_READINGS);
    let most = rest.len().div_ceil(pieces);
    let mut texts = 0;
    let fits = |reading: &&Packable| {
        texts += reading.texts();
        texts <= PIECE_TEXTS
    };
    rest[..most].iter().take_while(fits).count().max(1)
}

/// The pieces of a pack, of one sensor or of all; oldest first of each sensor. `None` if the bytes make no sense.
pub(in crate::store) fn pieces_of(
    pack: i64,
    bytes: &[u8],
    sensor: Option<u32>,
) -> Option<Vec<PackedPiece>> {
    pieces_within(pack, bytes, sensor, [0, LAST_PLACE])
}

/// The same, of those only the readings between two places.
pub(in crate::store) fn pieces_within(
    pack: i64,
    bytes: &[u8],
    sensor: Option<u32>,
    places: [u16; 2],
) -> Option<Vec<PackedPiece>> {
    let mut before = Before::of_pack(first_sensor(pack));
    let mut bytes = Bytes::new(bytes);
    let mut found = Vec::new();
    while !bytes.is_empty() && sensor.is_none_or(|sensor| before.sensor <= sensor) {
        found.extend(before.take(&mut bytes, sensor, places)?);
    }
    Some(found)
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
    fn put(self, piece: &[Packable], bytes: &mut Vec<u8>) -> Self {
        let (mut go, mut stay) = (Vec::new(), Vec::new());
        for reading in piece {
            match reading {
                Packable::Goes(columns) => go.push(columns),
                Packable::Stays { place, .. } => stay.push(i64::from(*place)),
            }
        }
        let (sensor, _) = piece[0].at();
        let ts = go.first().map_or(self.ts, |columns| columns.ts);
        let body = body_of(&go, &stay, ts);
        put_number(bytes, u64::from(sensor.wrapping_sub(self.sensor)));
        put_number(bytes, go.len() as u64);
        put_number(bytes, stay.len() as u64);
        put_number(bytes, zigzag(ts.wrapping_sub(self.ts)));
        put_number(bytes, body.len() as u64);
        bytes.extend_from_slice(&body);
        Self { sensor, ts }
    }

    /// Reads a piece and becomes what the next one is a difference to. One of another sensor is passed over.
    fn take(
        &mut self,
        bytes: &mut Bytes<'_>,
        wanted: Option<u32>,
        places: [u16; 2],
    ) -> Option<Option<PackedPiece>> {
        let step = u32::try_from(bytes.number()?).ok()?;
        self.sensor = self.sensor.checked_add(step)?;
        let go = bytes.count(PIECE_READINGS)?;
        let stay = bytes.count(PIECE_READINGS)?;
        self.ts = self.ts.wrapping_add(unzigzag(bytes.number()?));
        let length = usize::try_from(bytes.number()?).ok()?;
        let body = Bytes::new(bytes.take(length)?);
        if wanted.is_some_and(|sensor| sensor != self.sensor) {
            return Some(None);
        }
        Some(Some(self.decode(body, go, stay, places)?))
    }

    fn decode(
        self,
        mut body: Bytes<'_>,
        go: usize,
        stay: usize,
        [first, last]: [u16; 2],
    ) -> Option<PackedPiece> {
        let places = places_of(&mut body, go)?;
        let mut stay = places_of(&mut body, stay)?;
        let is_within = |place: &u16| (first..=last).contains(place);
        stay.retain(is_within);
        if !places.iter().any(is_within) {
            // Its readings are not looked at.
            return Some(PackedPiece {
                sensor: self.sensor,
                readings: Vec::new(),
                stay,
            });
        }
        let mut piece = PackedPiece {
            sensor: self.sensor,
            readings: Vec::with_capacity(places.iter().filter(|place| is_within(place)).count()),
            stay,
        };
        if 0 < go {
            let times = body.column(go)?;
            let delays = body.column(go)?;
            let values = body.values(go)?;
            let mut texts = take_texts(&mut body, go, &|number| is_within(&places[number]))?;
            for (number, &place) in places.iter().enumerate() {
                if !is_within(&place) {
                    continue;
                }
                let (tags, attributes) = texts
                    .get_mut(number)
                    .map(std::mem::take)
                    .unwrap_or_default();
                piece.readings.push(Columns {
                    sensor: self.sensor,
                    place,
                    ts: self.ts.wrapping_add(times[number]),
                    delay: delays[number],
                    value: values[number],
                    tags,
                    attributes,
                });
            }
        }
        body.is_empty().then_some(piece)
    }
}

fn body_of(go: &[&Columns], stay: &[i64], ts: i64) -> Vec<u8> {
    let column = |of: &dyn Fn(&Columns) -> i64| -> Vec<i64> {
        go.iter().map(|columns| of(columns)).collect()
    };
    let mut body = Vec::with_capacity(8 * go.len() + 16);
    put_column(&mut body, &column(&|columns| i64::from(columns.place)));
    put_column(&mut body, stay);
    if !go.is_empty() {
        put_column(&mut body, &column(&|columns| columns.ts.wrapping_sub(ts)));
        put_column(&mut body, &column(&|columns| columns.delay));
        let values: Vec<f64> = go.iter().map(|columns| columns.value).collect();
        put_values(&mut body, &values);
        put_texts(&mut body, go);
    }
    body
}

fn places_of(body: &mut Bytes<'_>, count: usize) -> Option<Vec<u16>> {
    let place = |place: i64| {
        u16::try_from(place)
            .ok()
            .filter(|place| *place <= LAST_PLACE)
    };
    body.column(count)?.into_iter().map(place).collect()
}

/// Tags and attributes of all, each with its length more one; none at all take a byte.
fn put_texts(body: &mut Vec<u8>, go: &[&Columns]) {
    if go
        .iter()
        .all(|columns| columns.tags.is_none() && columns.attributes.is_none())
    {
        return body.push(NO_TEXTS);
    }
    let mut texts = Vec::new();
    let tags = go.iter().map(|columns| &columns.tags);
    for text in tags.chain(go.iter().map(|columns| &columns.attributes)) {
        put_number(
            &mut texts,
            text.as_deref().map_or(0, |text| text.len() as u64 + 1),
        );
        texts.extend_from_slice(text.as_deref().unwrap_or_default().as_bytes());
    }
    let compressed = (WORTH_COMPRESSING <= texts.len())
        .then(|| zstd::bulk::compress(&texts, COMPRESSION_LEVEL).ok())
        .flatten()
        .filter(|compressed| compressed.len() < texts.len());
    match compressed {
        Some(compressed) => {
            body.push(COMPRESSED_TEXTS);
            put_number(body, texts.len() as u64);
            put_number(body, compressed.len() as u64);
            body.extend_from_slice(&compressed);
        }
        None => {
            body.push(PLAIN_TEXTS);
            body.extend_from_slice(&texts);
        }
    }
}

/// Tags and attributes of a reading.
type Texts = (Option<Box<str>>, Option<Box<str>>);

/// Nothing if there are none at all.
fn take_texts(
    body: &mut Bytes<'_>,
    count: usize,
    is_wanted: &dyn Fn(usize) -> bool,
) -> Option<Vec<Texts>> {
    let unpacked;
    let [how] = body.array()?;
    let mut texts = match how {
        NO_TEXTS => return Some(Vec::new()),
        PLAIN_TEXTS => return take_plain_texts(body, count, is_wanted),
        COMPRESSED_TEXTS => {
            let length = body.count(MOST_TEXTS)?;
            let compressed = usize::try_from(body.number()?).ok()?;
            unpacked = decompress(body.take(compressed)?, length)?;
            Bytes::new(&unpacked)
        }
        _ => return None,
    };
    let found = take_plain_texts(&mut texts, count, is_wanted)?;
    texts.is_empty().then_some(found)
}

/// To make what unpacks takes longer than to unpack a piece: each thread keeps one.
fn decompress(bytes: &[u8], length: usize) -> Option<Vec<u8>> {
    thread_local! {
        static KEPT: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
    }
    KEPT.with_borrow_mut(|kept| {
        let decompressor = match kept {
            Some(decompressor) => decompressor,
            none => none.insert(Decompressor::new().ok()?),
        };
        decompressor.decompress(bytes, length).ok()
    })
}

fn take_plain_texts(
    texts: &mut Bytes<'_>,
    count: usize,
    is_wanted: &dyn Fn(usize) -> bool,
) -> Option<Vec<Texts>> {
    let mut text = |number: usize| match usize::try_from(texts.number()?).ok()? {
        0 => Some(None),
        length => {
            let text = std::str::from_utf8(texts.take(length - 1)?).ok()?;
            Some(is_wanted(number).then(|| Box::from(text)))
        }
    };
    let tags: Vec<Option<Box<str>>> = (0..count).map(&mut text).collect::<Option<_>>()?;
    let attributes = (0..count).map(text).collect::<Option<Vec<_>>>()?;
    Some(tags.into_iter().zip(attributes).collect())
}

#[cfg(test)]
mod tests;
