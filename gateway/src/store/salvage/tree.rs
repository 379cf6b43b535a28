//! Pages of trees as they lie on disk (SQLite's file format, 1.6 and 2.1): as much of them as says of which table they are, which
//! numbers are on them and which pages are below them.

use crate::store::inspect::{self, HEADER};
use crate::store::wal::number;

/// Of trees of rows and of trees of keys: inner pages and leaves.
const INNER: [u8; 2] = [5, 2];
const LEAF: [u8; 2] = [13, 10];
/// Bytes before the cells: of an inner page, of a leaf.
const INNER_HEADER: usize = 12;
const LEAF_HEADER: usize = 8;
/// A cell of an inner page at the most, with its own place: a page, and a number or what [`push_pair`] writes.
const INNER_CELL: [usize; 2] = [4 + 9 + 2, 4 + 20 + 2];

/// What sorts a tree: the number of a row and 0, or a key of two numbers.
pub(super) type Key = [i64; 2];

pub(super) const LEAST: Key = [i64::MIN; 2];
pub(super) const MOST: Key = [i64::MAX; 2];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// By the number of a row.
    Rows = 0,
    /// By two numbers, which are all that there is.
    Pairs = 1,
}

/// What a column of a row may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    /// The row's number stands elsewhere.
    Key,
    Whole,
    Number,
    Text,
    Blob,
}

/// A table whose rows are taken over.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    columns: &'static [Column],
    /// Columns from there on may be NULL, or missing in a row of a former schema.
    optional_from: usize,
}

use Column::{Blob, Number, Text, Whole};

pub(super) const TABLES: [Table; 7] = [
    rows(
        "reading",
        &[Column::Key, Whole, Number, Whole, Whole, Text, Text],
        5,
    ),
    rows("packed_reading", &[Column::Key, Blob], 2),
    rows("summary_pack", &[Column::Key, Blob], 2),
    rows(
        "alert",
        &[
            Column::Key,
            Whole,
            Text,
            Text,
            Whole,
            Number,
            Whole,
            Whole,
            Text,
            Text,
            Text,
        ],
        8,
    ),
    rows(
        "dead_letter",
        &[Column::Key, Whole, Whole, Whole, Text, Whole, Whole],
        7,
    ),
    rows("reject", &[Column::Key, Text, Blob, Text, Whole], 5),
    Table {
        name: "outbox_entry",
        kind: Kind::Pairs,
        columns: &[Whole, Whole],
        optional_from: 2,
    },
];

/// The table that the first page begins.
pub(super) const SCHEMA: Table = rows("sqlite_schema", &[Text, Text, Text, Whole, Text], 4);

const fn rows(name: &'static str, columns: &'static [Column], optional_from: usize) -> Table {
    Table {
        name,
        kind: Kind::Rows,
        columns,
        optional_from,
    }
}

impl Kind {
    /// That of a tree with this page; `None`: it is of none.
    pub(super) fn of(page: &[u8]) -> Option<Self> {
        let is_of = |kind: &Self| page[0] == INNER[*kind as usize] || kind.is_leaf(page);
        [Self::Rows, Self::Pairs].into_iter().find(is_of)
    }

    pub(super) fn is_leaf(self, page: &[u8]) -> bool {
        page[0] == LEAF[self as usize]
    }

    /// How many pages an inner page of this size has room for.
    pub(super) fn fan_out(self, size: usize) -> usize {
        (size - INNER_HEADER) / INNER_CELL[self as usize]
    }

    /// The pages below an inner page, each with the largest key that may be there; `None`: it is no such page.
    pub(super) fn children(self, page: &[u8], after: Key, upto: Key) -> Option<Vec<(u32, Key)>> {
        let mut children = Vec::new();
        let mut end = after;
        for cell in cells(page, INNER[self as usize], INNER_HEADER)? {
            let child = number(cell.get(..4)?, 0);
            let (first, length) = varint(&cell[4..])?;
            let last = match self {
                Self::Rows => [first, 0],
                Self::Pairs => pair(&cell[4 + length..])?,
            };
            if last < end || upto < last {
                return None;
            }
            children.push((child, last));
            end = last;
        }
        children.push((number(page, begin(page) + 8), upto));
        (1 < children.len()).then_some(children)
    }

    /// The keys of a tree that are on an inner page, and on no leaf.
    pub(super) fn keys_between(self, page: &[u8]) -> Vec<Key> {
        if self == Self::Rows {
            return Vec::new();
        }
        let mut children = self.children(page, LEAST, MOST).unwrap_or_default();
        // Behind the last key is nothing but a page.
        children.pop();
        children.into_iter().map(|(_, key)| key).collect()
    }

    /// A page above others, which are given with their largest keys.
    pub(super) fn inner_page(self, below: &[(u32, Key)], size: usize) -> Vec<u8> {
        let mut page = vec![0; size];
        let (cells, right) = match below {
            [cells @ .., (right, _)] => (cells, *right),
            [] => (below, 0),
        };
        let mut content = size;
        for (place, (child, last)) in cells.iter().enumerate() {
            let mut cell = child.to_be_bytes().to_vec();
            match self {
                Self::Rows => push_varint(&mut cell, last[0]),
                Self::Pairs => push_pair(&mut cell, *last),
            }
            content -= cell.len();
            page[content..content + cell.len()].copy_from_slice(&cell);
            let at = INNER_HEADER + 2 * place;
            page[at..at + 2].copy_from_slice(&(content as u16).to_be_bytes());
        }
        page[0] = INNER[self as usize];
        page[3..5].copy_from_slice(&(cells.len() as u16).to_be_bytes());
        page[5..7].copy_from_slice(&(content as u16).to_be_bytes());
        page[8..12].copy_from_slice(&right.to_be_bytes());
        page
    }
}

impl Table {
    /// The first and the last key on one of its leaves; `None`: it is none.
    pub(super) fn keys(&self, page: &[u8]) -> Option<(Key, Key)> {
        let (mut first, mut last) = (None, LEAST);
        for cell in cells(page, LEAF[self.kind as usize], LEAF_HEADER)? {
            let (_, length) = varint(cell)?;
            let mut record = &cell[length..];
            let key = match self.kind {
                Kind::Rows => {
                    let (id, length) = varint(record)?;
                    record = &record[length..];
                    [id, 0]
                }
                Kind::Pairs => pair(record)?,
            };
            if key <= last || !self.has(record)? {
                return None;
            }
            first = first.or(Some(key));
            last = key;
        }
        Some((first?, last))
    }

    /// Whether a record may be a row of it. `None`: it is cut off.
    fn has(&self, record: &[u8]) -> Option<bool> {
        let (length, mut at) = varint(record)?;
        let header = record.get(..usize::try_from(length).ok()?)?;
        let mut count = 0;
        while at < header.len() {
            let (kind, length) = varint(&header[at..])?;
            at += length;
            let Some(column) = self.columns.get(count) else {
                return Some(false);
            };
            let is_missing = kind == 0 && self.optional_from <= count;
            if !is_missing && !column.has(kind) {
                return Some(false);
            }
            count += 1;
        }
        Some(self.optional_from <= count)
    }
}

impl Column {
    /// Whether a value of this kind can be its.
    fn has(self, kind: i64) -> bool {
        match self {
            Self::Key => kind == 0,
            Whole => matches!(kind, 1..=6 | 8 | 9),
            // What is whole is stored so.
            Number => matches!(kind, 1..=9),
            Text => 13 <= kind && kind % 2 == 1,
            Blob => 12 <= kind && kind % 2 == 0,
        }
    }
}

/// Where it begins as a page of a tree: the first one of a database has the header of the file before that.
fn begin(page: &[u8]) -> usize {
    let is_first = page.starts_with(inspect::MAGIC);
    if is_first { HEADER } else { 0 }
}

/// What the cells of a page begin with, in their order, up to the page's end.
fn cells(page: &[u8], kind: u8, header: usize) -> Option<impl Iterator<Item = &[u8]>> {
    let two = |at: usize| usize::from(u16::from_be_bytes([page[at], page[at + 1]]));
    let begin = begin(page);
    let places = begin + header..begin + header + 2 * two(begin + 3);
    if page[begin] != kind || page.len() < places.end {
        return None;
    }
    let is_place = |at: usize| (places.end..page.len()).contains(&two(at));
    if !places.clone().step_by(2).all(is_place) {
        return None;
    }
    Some(places.step_by(2).map(move |at| &page[two(at)..]))
}

/// The two whole numbers of a record.
fn pair(record: &[u8]) -> Option<Key> {
    let [3, kinds @ ..] = record.get(..3)? else {
        return None;
    };
    let mut at = 3;
    let mut pair = [0; 2];
    for (kind, number) in kinds.iter().zip(&mut pair) {
        let length = match kind {
            length @ 1..=4 => usize::from(*length),
            5 => 6,
            6 => 8,
            8 | 9 => {
                *number = i64::from(kind - 8);
                continue;
            }
            _ => return None,
        };
        let bytes = record.get(at..at + length)?;
        let sign = bytes[0].cast_signed() >> 7;
        let mut eight = [sign.cast_unsigned(); 8];
        eight[8 - length..].copy_from_slice(bytes);
        *number = i64::from_be_bytes(eight);
        at += length;
    }
    Some(pair)
}

/// A record of two numbers, behind its length.
fn push_pair(bytes: &mut Vec<u8>, pair: Key) {
    bytes.extend([19, 3, 6, 6]);
    for number in pair {
        bytes.extend(number.to_be_bytes());
    }
}

/// A number of one to nine bytes, seven bits in each and eight in the ninth, and how many it takes.
fn varint(bytes: &[u8]) -> Option<(i64, usize)> {
    let mut number: u64 = 0;
    for (place, byte) in bytes.iter().take(9).enumerate() {
        if place == 8 {
            return Some(((number << 8 | u64::from(*byte)).cast_signed(), 9));
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((number.cast_signed(), place + 1));
        }
    }
    None
}

fn push_varint(bytes: &mut Vec<u8>, number: i64) {
    let number = number.cast_unsigned();
    if 1 << 56 <= number {
        bytes.extend(
            (0..8)
                .rev()
                .map(|place| 0x80 | (number >> (8 + 7 * place)) as u8),
        );
        bytes.push(number as u8);
        return;
    }
    let length = (1..8)
        .find(|length| number < 1 << (7 * length))
        .unwrap_or(8);
    bytes.extend(
        (1..length)
            .rev()
            .map(|place| 0x80 | (number >> (7 * place)) as u8),
    );
    bytes.push(number as u8 & 0x7f);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::pages::Pages;
    use super::*;
    use crate::store::Writer;
    use crate::store::salvage::tests::{Place, stopped};

    #[test]
    fn a_leaf_says_of_which_table_it_is() {
        let place = Place::new();
        stopped(&place);
        let writer = Writer::open(&place.path()).unwrap();
        let connection = writer.connection_of_test();
        let pack = "INSERT INTO packed_reading SELECT id, randomblob(id % 3000) FROM reading WHERE id < 400";
        connection.execute(pack, []).unwrap();
        connection
            .execute("INSERT INTO exchange VALUES (1, 7)", [])
            .unwrap();
        let leaves = "SELECT s.name, s.pageno FROM dbstat s JOIN sqlite_schema t ON t.name = s.name \
                      WHERE pagetype = 'leaf' AND 0 < ncell";
        let mut select = connection.prepare(leaves).unwrap();
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        let leaves: Vec<(String, u32)> = rows.unwrap().collect::<Result<_, _>>().unwrap();
        drop(select);
        writer.end();
        let path = place.path();
        let mut pages = Pages::of(&path, &path).unwrap().unwrap();
        let mut found = BTreeMap::new();
        for (name, page) in leaves {
            let bytes = pages.read(page).unwrap();
            let is_of = |table: &&Table| table.keys(&bytes).is_some();
            let of = TABLES.iter().filter(is_of).map(|table| table.name);
            *found.entry((name, of.collect::<Vec<_>>())).or_insert(0) += 1;
        }
        let names: Vec<_> = found.keys().filter(|(_, of)| !of.is_empty()).collect();
        let is = |name: &str, of: &[&'static str]| (name.to_owned(), of.to_vec());
        // Some are of the same shape: only the ways to the pages of the other tell.
        let packs = ["packed_reading", "summary_pack"];
        let expected = [
            is("alert", &["alert"]),
            is("dead_letter", &["dead_letter"]),
            is("exchange", &["outbox_entry"]),
            is("outbox_entry", &["outbox_entry"]),
            is("packed_reading", &packs),
            is("reading", &["reading"]),
            is("reject", &["reject"]),
        ];
        assert_eq!(names, expected.iter().collect::<Vec<_>>());
        assert!(100 < found[&expected[5]], "{found:?}");
    }

    #[test]
    fn a_number_is_read_as_it_was_written() {
        let edges = (0..64).flat_map(|bits| [(1_i64 << bits).wrapping_sub(1), 1 << bits]);
        for number in edges.chain([-1, i64::MIN, i64::MAX]) {
            let mut bytes = Vec::new();
            push_varint(&mut bytes, number);
            assert_eq!(varint(&bytes), Some((number, bytes.len())));
            assert_eq!(varint(&bytes[..bytes.len() - 1]), None);
            let mut bytes = Vec::new();
            push_pair(&mut bytes, [number, -number.max(-i64::MAX)]);
            assert_eq!(varint(&bytes), Some((bytes.len() as i64 - 1, 1)));
            assert_eq!(pair(&bytes[1..]), Some([number, -number.max(-i64::MAX)]));
        }
    }
}
