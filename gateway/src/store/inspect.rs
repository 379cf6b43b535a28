//! A look at the files before SQLite opens them, in bounded time: what SQLite would pass over without a word (a log without its
//! database, a log that breaks off in its middle, pages that are in neither) and what must stand in a header.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use super::connection::beside;
use super::damage::{Damage, Kind};
use super::wal::{Log, number, read_at};

pub(super) const HEADER: usize = 100;
pub(super) const MAGIC: &[u8] = b"SQLite format 3\0";

/// Where the header says what all files of ours say: the place, and what stands there.
const FIXED: &[(usize, &[u8])] = &[
    (0, MAGIC),
    // No bytes at the end of a page are set apart; the fractions of a page are fixed by the format.
    (20, &[0, 64, 32, 32]),
    (44, &[0, 0, 0, 4]),
    // UTF-8.
    (56, &[0, 0, 0, 1]),
];
pub(super) const PAGE_SIZE_AT: usize = 16;
pub(super) const VERSIONS_AT: usize = 18;
pub(super) const PAGES_AT: usize = 28;

/// SQLite leaves out the page with this byte: it is for locks.
pub(super) const LOCK_BYTE: u64 = 1 << 30;

/// What can be seen without reading the database.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// What is wrong.
    pub(super) damage: Option<Damage>,
    /// Numbers that were given in a transaction at the log's end that cannot be read, at the most. It was not acknowledged, or has
    /// changed since: nothing tells which, so that they are not given again.
    pub(super) lost_numbers: i64,
}

/// A page has no more numbers than one for so many of its bytes.
pub(super) const BYTES_OF_NUMBER: u64 = 8;

/// Looks. `has_served`: a gateway has been here.
pub(super) fn look(path: &Path, has_served: bool) -> Look {
    let log = match File::open(beside(path, "-wal")) {
        Ok(file) => Log::read(&mut BufReader::with_capacity(1 << 16, file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    // Who may not read it is told so when it is opened.
    let Ok(log) = log else {
        return Look::default();
    };
    let lost_bytes = log.as_ref().map_or(0, |log| log.tail() * log.page_size);
    Look {
        lost_numbers: i64::try_from(lost_bytes as u64 / BYTES_OF_NUMBER).unwrap_or(0),
        damage: examine(path, has_served, log.as_ref()).unwrap_or(None),
    }
}

fn examine(path: &Path, has_served: bool, log: Option<&Log>) -> io::Result<Option<Damage>> {
    let damage = |kind, detail: &str| Ok(Some(Damage::new(kind, detail)));
    // The power went while the file was made: SQLite takes back what was half done.
    let journal = beside(path, "-journal").metadata();
    if journal.is_ok_and(|journal| 0 < journal.len()) {
        return Ok(None);
    }
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return match log {
                Some(_) => damage(Kind::Missing, "there is a log and no database"),
                None => Ok(None),
            };
        }
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(None);
    }
    if metadata.len() == 0 {
        // The reserve is made when the first start has made the file.
        let has_opened = has_served && beside(path, "-reserve").exists();
        return match log {
            None if !has_opened => Ok(None),
            _ => damage(Kind::Empty, "the file has no contents"),
        };
    }
    if log.is_some_and(Log::is_damaged) {
        return damage(Kind::Log, "the log has changed since it was written");
    }
    let committed = log.and_then(Log::committed);
    let mut header = [0; HEADER];
    read_at(&mut file, 0, &mut header)?;
    let is_in_log = committed
        .as_ref()
        .is_some_and(|(_, images)| images.contains(&1));
    if !is_in_log && let Some(detail) = unusual(&header) {
        return damage(Kind::NotADatabase, detail);
    }
    if let (Some(log), Some((pages, images))) = (log, &committed) {
        let size = log.page_size as u64;
        let stored = metadata.len() / size;
        let mut beyond =
            (stored + 1..=u64::from(*pages)).filter(|page| *page != LOCK_BYTE / size + 1);
        if beyond.any(|page| u32::try_from(page).is_ok_and(|page| !images.contains(&page))) {
            return damage(
                Kind::Truncated,
                "pages are neither in the database nor in its log",
            );
        }
    } else if metadata.len() / page_size(&header).max(1) < u64::from(number(&header, PAGES_AT)) {
        return damage(Kind::Truncated, "the file is shorter than its header says");
    }
    Ok(None)
}

/// What of the header cannot be.
fn unusual(header: &[u8; HEADER]) -> Option<&'static str> {
    let stands = |(at, bytes): &(usize, &[u8])| header[*at..].starts_with(bytes);
    if !stands(&FIXED[0]) {
        return Some("the file is no SQLite database");
    }
    let is_size = page_size(header).is_power_of_two() && 512 <= page_size(header);
    let is_version = |at: usize| matches!(header[at], 1 | 2);
    let is_usual = is_size && is_version(VERSIONS_AT) && is_version(VERSIONS_AT + 1);
    (!is_usual || !FIXED.iter().all(stands)).then_some("its header makes no sense")
}

/// As the header has it: 1 stands for 65,536.
fn page_size(header: &[u8; HEADER]) -> u64 {
    match u16::from_be_bytes([header[PAGE_SIZE_AT], header[PAGE_SIZE_AT + 1]]) {
        1 => 1 << 16,
        size => u64::from(size),
    }
}

/// Puts what must stand in a header where it must.
pub(super) fn mend_header(page: &mut [u8], pages: u32) {
    for (at, bytes) in FIXED {
        page[*at..at + bytes.len()].copy_from_slice(bytes);
    }
    let size = if page.len() == 1 << 16 {
        1
    } else {
        page.len() as u16
    };
    page[PAGE_SIZE_AT..PAGE_SIZE_AT + 2].copy_from_slice(&size.to_be_bytes());
    page[VERSIONS_AT..VERSIONS_AT + 2].fill(2);
    page[PAGES_AT..PAGES_AT + 4].copy_from_slice(&pages.to_be_bytes());
    // The number of changes stands twice: only where both agree SQLite believes the number of pages.
    let changes = [page[24], page[25], page[26], page[27]];
    page[92..96].copy_from_slice(&changes);
}

#[cfg(test)]
mod tests;
