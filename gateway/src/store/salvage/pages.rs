//! The pages of a damaged store, each as its last transaction left it: out of the old log or of the database.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom};
use std::path::Path;

use super::schema;
use crate::store::connection::beside;
use crate::store::inspect::{HEADER, LOCK_BYTE, PAGES_AT, mend_header};
use crate::store::sectors::Patched;
use crate::store::wal::{Log, LogWriter, USUAL_PAGE, number, read_at};

/// Of pages before decision 8.
const FORMER_PAGE: usize = 4096;

/// So much of a file without a header is looked at for where its pages begin, and one in so many has to look like one.
const LOOKED_AT: u64 = 4 << 20;
const SHARE_OF_PAGES: usize = 8;

/// A header may claim so many pages more than there are: what is beyond is no number of pages.
const PLAUSIBLE_PAGES: u32 = 1 << 20;

/// Where the first page says that a map tells of each page whose it is (SQLite's file format, 1.3.12 and 1.8), and the length of an
/// entry.
const MAPPED_AT: usize = 52;
const MAP_ENTRY: u32 = 5;

/// Pages that are read at once where all are.
const CHUNK: usize = 256;

/// Pages, by their numbers, from 1 on. What cannot be read is zeros.
#[derive(Debug)]
pub(super) struct Pages {
    pub(super) size: usize,
    /// The number of the last one.
    pub(super) last: u32,
    database: Patched<File>,
    /// Where in the old log the newest images are.
    images: BTreeMap<u32, u64>,
    log: Option<Patched<File>>,
    first: Vec<u8>,
    /// Those of the schema that are to be read in place of what is there.
    schema: BTreeMap<u32, Vec<u8>>,
    /// The page of the map that was read last.
    map: (u32, Vec<u8>),
}

/// What the map says of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// Nothing that could be.
    Unknown,
    /// It is of a tree, below this page.
    Tree(u32),
    /// A root, a part of a value, or free.
    Other,
}

impl Pages {
    /// Those of the database `view`, which is a second name for `moved`; `None`: there are none.
    pub(super) fn of(moved: &Path, view: &Path) -> io::Result<Option<Self>> {
        let old_log = beside(moved, "-wal");
        let log = match File::open(&old_log) {
            Ok(file) => Log::read(&mut BufReader::with_capacity(1 << 16, Patched::of(file)?))?,
            Err(_) => None,
        };
        let length = fs::metadata(moved).map_or(0, |metadata| metadata.len());
        if length == 0 && log.is_none() {
            return Ok(None);
        }
        let mut database = Patched::of(File::open(view)?)?;
        let size = match &log {
            Some(log) => log.page_size,
            None => first_page_size(&mut database)?,
        };
        let (images, committed) = log.map(|log| log.images()).unwrap_or_default();
        let stored = u32::try_from(length / size as u64).unwrap_or(u32::MAX);
        let mut pages = Self {
            size,
            last: stored.max(1),
            database,
            images,
            log: File::open(&old_log).and_then(Patched::of).ok(),
            first: Vec::new(),
            schema: BTreeMap::new(),
            map: (0, Vec::new()),
        };
        let first = pages.read(1)?;
        let claimed = number(&first, PAGES_AT).min(stored.saturating_add(PLAUSIBLE_PAGES));
        let committed = committed.min(stored.saturating_add(PLAUSIBLE_PAGES));
        pages.last = stored.max(committed).max(claimed).max(1);
        pages.schema = schema::mended(&mut pages, view)?;
        pages.first = pages.schema.remove(&1).unwrap_or(first);
        Ok(Some(pages))
    }

    /// One of them.
    pub(super) fn read(&mut self, page: u32) -> io::Result<Vec<u8>> {
        if let Some(bytes) = self.schema.get(&page) {
            return Ok(bytes.clone());
        }
        let mut bytes = vec![0; self.size];
        match (self.images.get(&page), &mut self.log) {
            _ if page == 1 && !self.first.is_empty() => bytes.copy_from_slice(&self.first),
            (Some(at), Some(log)) => read_at(log, *at, &mut bytes)?,
            _ => {
                let at = u64::from(page.saturating_sub(1)) * self.size as u64;
                read_at(&mut self.database, at, &mut bytes)?;
            }
        }
        Ok(bytes)
    }

    fn owner(&mut self, page: u32) -> io::Result<Owner> {
        let mapped = self.size as u32 / MAP_ENTRY;
        if page <= 2 || number(&self.first, MAPPED_AT) == 0 {
            return Ok(Owner::Unknown);
        }
        let map = (page - 2) / (mapped + 1) * (mapped + 1) + 2;
        let map = map + u32::from(u64::from(map - 1) == LOCK_BYTE / self.size as u64);
        if page <= map {
            return Ok(Owner::Other);
        }
        if self.map.0 != map {
            self.map = (map, self.read(map)?);
        }
        let entry = &self.map.1[((page - map - 1) * MAP_ENTRY) as usize..];
        Ok(match entry[0] {
            5 => Owner::Tree(number(entry, 1)),
            1..=4 => Owner::Other,
            _ => Owner::Unknown,
        })
    }

    /// Each of them, in the order in which they lie.
    pub(super) fn each(&mut self, mut look: impl FnMut(u32, &[u8], Owner)) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK * self.size];
        for start in (1..=self.last).step_by(CHUNK) {
            let at = u64::from(start - 1) * self.size as u64;
            read_at(&mut self.database, at, &mut chunk)?;
            for (page, bytes) in (start..=self.last).zip(chunk.chunks_exact(self.size)) {
                let owner = self.owner(page)?;
                if self.images.contains_key(&page) {
                    look(page, &self.read(page)?, owner);
                } else {
                    look(page, bytes, owner);
                }
            }
        }
        Ok(())
    }

    /// Writes the log of the view: what of the old one is of use, other pages, and a header as it must be.
    pub(super) fn write_log(
        &mut self,
        view: &Path,
        others: &BTreeMap<u32, Vec<u8>>,
    ) -> io::Result<()> {
        let out = BufWriter::new(File::create(beside(view, "-wal"))?);
        let mut writer = LogWriter::begin(out, self.size)?;
        let of_log: Vec<u32> = self.images.keys().copied().collect();
        for page in of_log {
            if page != 1 && !others.contains_key(&page) && !self.schema.contains_key(&page) {
                writer.add(page, 0, &self.read(page)?)?;
            }
        }
        for (page, image) in self.schema.iter().chain(others) {
            writer.add(*page, 0, image)?;
        }
        let ends = [&self.schema, others].map(|pages| pages.keys().next_back());
        let last = ends
            .into_iter()
            .flatten()
            .fold(self.last, |last, end| last.max(*end));
        let mut first = self.first.clone();
        mend_header(&mut first, last);
        writer.add(1, last, &first)?;
        writer.end()
    }
}

/// The size of its pages: ours, unless the header has another one that can be.
pub(super) fn first_page_size(file: &mut (impl Read + Seek)) -> io::Result<usize> {
    let mut header = [0; HEADER];
    read_at(file, 0, &mut header)?;
    let size = usize::from(u16::from_be_bytes([header[16], header[17]]));
    let is_size = size.is_power_of_two() && (512..=1 << 15).contains(&size);
    if is_size {
        return Ok(size);
    }
    Ok(if has_usual_pages(file)? {
        USUAL_PAGE
    } else {
        FORMER_PAGE
    })
}

/// Whether pages of the usual size begin where none of the former size does.
fn has_usual_pages(file: &mut (impl Read + Seek)) -> io::Result<bool> {
    let length = file.seek(SeekFrom::End(0))?.min(LOOKED_AT);
    let mut beginning = vec![0; length as usize];
    read_at(file, 0, &mut beginning)?;
    let between = beginning.chunks_exact(USUAL_PAGE).enumerate();
    let between = between.filter(|(number, _)| !(number * USUAL_PAGE).is_multiple_of(FORMER_PAGE));
    let (mut all, mut pages) = (0, 0);
    for (_, page) in between {
        all += 1;
        pages += usize::from(may_be_page(page));
    }
    // Between them a page of the former size has anything, and pages of blobs do not show what they are.
    Ok(all == 0 || all < SHARE_OF_PAGES * pages)
}

/// Whether it begins as a page of a tree (SQLite's file format, 1.6): its kind, where its free blocks begin, how many cells it has and
/// where they begin.
fn may_be_page(page: &[u8]) -> bool {
    let two = |at: usize| usize::from(u16::from_be_bytes([page[at], page[at + 1]]));
    let (free, cells, content) = (two(1), two(3), two(5));
    matches!(page[0], 2 | 5 | 10 | 13)
        && free < page.len()
        && (8 + 2 * cells..=page.len()).contains(&content)
}
