//! The write-ahead log as it lies on disk (sqlite.org/fileformat2.html, "The Write-Ahead Log").
//!
//! SQLite reads it up to the first frame whose checksum is wrong, and says nothing of what comes after. After a power cut that is
//! right: the last transaction was not synced. If whole transactions follow, a frame between has changed since it was synced.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek, SeekFrom, Write};

use super::connection::PAGE_BYTES;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
const MAGIC: u32 = 0x377f_0682;
const FORMAT: u32 = 3_007_000;
pub(super) const USUAL_PAGE: usize = PAGE_BYTES as usize;

/// What is in a log.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) page_size: usize,
    is_header_sound: bool,
    frames: Vec<Frame>,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    page: u32,
    /// The pages of the database after it, if a transaction ends with it.
    commit: u32,
    /// Not left over from before the log began anew.
    is_current: bool,
    /// Its checksum goes on from the one before it.
    follows: bool,
}

type Sum = [u32; 2];

impl Log {
    /// Reads it; `None` if there is nothing in it.
    pub(super) fn read(file: &mut impl Read) -> io::Result<Option<Self>> {
        let mut header = [0; HEADER];
        if fill(file, &mut header)? < HEADER {
            return Ok(None);
        }
        let magic = number(&header, 0);
        let mut is_big_endian = magic == MAGIC | 1;
        let mut sum = checksum(is_big_endian, &header[..24], [0; 2]);
        let is_header_sound = magic & !1 == MAGIC && sum == pair(&header, 24);
        // Most often it is, where the log was written.
        is_big_endian = is_big_endian && is_header_sound;
        let page_size = number(&header, 8) as usize;
        let is_page_size = page_size.is_power_of_two() && (512..=65536).contains(&page_size);
        let page_size = if is_header_sound && is_page_size {
            page_size
        } else {
            USUAL_PAGE
        };
        let mut salts = is_header_sound.then(|| pair(&header, 16));
        let mut frames = Vec::new();
        let mut has_content = header.iter().any(|byte| *byte != 0);
        let mut bytes = vec![0; FRAME_HEADER + page_size];
        while fill(file, &mut bytes)? == bytes.len() {
            has_content = has_content || bytes.iter().any(|byte| *byte != 0);
            let of_frame = pair(&bytes, 8);
            let salts = *salts.get_or_insert(of_frame);
            let next = checksum(is_big_endian, &bytes[..8], sum);
            let next = checksum(is_big_endian, &bytes[FRAME_HEADER..], next);
            sum = pair(&bytes, 16);
            frames.push(Frame {
                page: number(&bytes, 0),
                commit: number(&bytes, 4),
                is_current: of_frame == salts,
                follows: next == sum,
            });
        }
        let is_there = has_content && !frames.is_empty();
        Ok(is_there.then_some(Self {
            page_size,
            is_header_sound,
            frames,
        }))
    }

    /// The frame at which SQLite stops reading.
    fn first_unsound(&self) -> usize {
        let is_sound = |frame: &Frame| frame.is_current && frame.follows && frame.page != 0;
        let unsound = self.frames.iter().position(|frame| !is_sound(frame));
        if self.is_header_sound {
            unsound.unwrap_or(self.frames.len())
        } else {
            0
        }
    }

    /// Whether something in it has changed that was synced.
    pub(super) fn is_damaged(&self) -> bool {
        let rest = &self.frames[self.first_unsound()..];
        !self.is_header_sound
            || rest.windows(2).any(|two| {
                let (end, next) = (two[0], two[1]);
                end.is_current && end.commit != 0 && next.is_current && next.follows
            })
    }

    /// How many pages the database has after the last transaction that SQLite reads, and those with an image in the log; `None`
    /// if it reads none.
    pub(super) fn committed(&self) -> Option<(u32, BTreeSet<u32>)> {
        let sound = &self.frames[..self.first_unsound()];
        let end = sound.iter().rposition(|frame| frame.commit != 0)?;
        let pages = sound[..=end].iter().map(|frame| frame.page);
        Some((sound[end].commit, pages.collect()))
    }

    /// Frames after the last transaction that SQLite reads: of one that was not synced, or the last one that was and has changed.
    pub(super) fn tail(&self) -> usize {
        let first_unsound = self.first_unsound();
        let sound = &self.frames[..first_unsound];
        let committed = sound.iter().rposition(|frame| frame.commit != 0);
        let rest = &self.frames[committed.map_or(0, |end| end + 1)..];
        rest.iter().filter(|frame| frame.is_current).count()
    }

    /// The places in the file of the newest image of each page, in whole transactions, and how many pages the database has
    /// then. An image counts although its checksum is wrong: most often a single byte is.
    pub(super) fn images(&self) -> (BTreeMap<u32, u64>, u32) {
        let first_unsound = self.first_unsound();
        let ends = |(place, frame): &(usize, &Frame)| {
            frame.is_current && frame.commit != 0 && (frame.follows || *place < first_unsound)
        };
        let Some((end, last)) = self.frames.iter().enumerate().rfind(ends) else {
            return (BTreeMap::new(), 0);
        };
        let of_log = self.frames[..=end].iter().enumerate();
        let sound = of_log
            .filter(|(_, frame)| frame.is_current && frame.page != 0 && frame.page <= last.commit);
        let size = (FRAME_HEADER + self.page_size) as u64;
        let image = |place: usize| (HEADER + FRAME_HEADER) as u64 + place as u64 * size;
        let images = sound.map(|(place, frame)| (frame.page, image(place)));
        (images.collect(), last.commit)
    }
}

/// Writes a log of one transaction.
pub(super) struct LogWriter<W> {
    out: W,
    sum: Sum,
}

const SALTS: [u32; 2] = [1, 2];

impl<W: Write> LogWriter<W> {
    pub(super) fn begin(mut out: W, page_size: usize) -> io::Result<Self> {
        let mut header = Vec::with_capacity(HEADER);
        for number in [MAGIC, FORMAT, page_size as u32, 0, SALTS[0], SALTS[1]] {
            header.extend(number.to_be_bytes());
        }
        let sum = checksum(false, &header, [0; 2]);
        for part in sum {
            header.extend(part.to_be_bytes());
        }
        out.write_all(&header)?;
        Ok(Self { out, sum })
    }

    /// Adds the image of a page; `commit`: the pages of the database, with the last one.
    pub(super) fn add(&mut self, page: u32, commit: u32, image: &[u8]) -> io::Result<()> {
        let mut header = Vec::with_capacity(FRAME_HEADER);
        for number in [page, commit] {
            header.extend(number.to_be_bytes());
        }
        self.sum = checksum(false, &header, self.sum);
        self.sum = checksum(false, image, self.sum);
        for number in SALTS.into_iter().chain(self.sum) {
            header.extend(number.to_be_bytes());
        }
        self.out.write_all(&header)?;
        self.out.write_all(image)
    }

    pub(super) fn end(mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Reads bytes at a place of a file; those beyond its end are zero.
pub(super) fn read_at(file: &mut (impl Read + Seek), at: u64, bytes: &mut [u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(at))?;
    let read = fill(file, bytes)?;
    bytes[read..].fill(0);
    Ok(())
}

/// Reads until the bytes are full or the file ends.
fn fill(file: &mut impl Read, bytes: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

pub(super) fn number(bytes: &[u8], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    u32::from_be_bytes(four)
}

fn pair(bytes: &[u8], at: usize) -> Sum {
    [number(bytes, at), number(bytes, at + 4)]
}

fn checksum(is_big_endian: bool, bytes: &[u8], [mut a, mut b]: Sum) -> Sum {
    let word = |four: &[u8]| {
        let word = number(four, 0);
        if is_big_endian {
            word
        } else {
            word.swap_bytes()
        }
    };
    for eight in bytes.chunks_exact(8) {
        a = a.wrapping_add(word(&eight[..4])).wrapping_add(b);
        b = b.wrapping_add(word(&eight[4..])).wrapping_add(a);
    }
    [a, b]
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 512;

    /// A log of transactions of two frames each.
    fn log(transactions: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = LogWriter::begin(&mut bytes, PAGE).unwrap();
        for transaction in 1..=transactions {
            writer.add(1, 0, &[transaction as u8; PAGE]).unwrap();
            let page = 1 + transaction;
            writer.add(page, page, &[transaction as u8; PAGE]).unwrap();
        }
        writer.end().unwrap();
        bytes
    }

    fn read(bytes: &[u8]) -> Log {
        Log::read(&mut &*bytes).unwrap().unwrap()
    }

    fn frame(number: usize) -> usize {
        HEADER + number * (FRAME_HEADER + PAGE)
    }

    #[test]
    fn a_log_is_read_as_it_was_written() {
        let log = read(&log(3));
        assert!(!log.is_damaged());
        let (pages, images) = log.committed().unwrap();
        assert_eq!((pages, images), (4, BTreeSet::from([1, 2, 3, 4])));
        let (images, pages) = log.images();
        assert_eq!((images.len(), pages), (4, 4));
        assert_eq!(images[&1], (frame(4) + FRAME_HEADER) as u64);
    }

    #[test]
    fn a_transaction_that_was_not_synced_is_no_damage() {
        let whole = log(3);
        for at in [frame(4) + 100, frame(5) + 3, frame(5) + 100] {
            let mut torn = whole.clone();
            torn[at] ^= 1;
            assert!(!read(&torn).is_damaged(), "at {at}");
        }
        let mut short = whole;
        short.truncate(frame(5) + 7);
        assert!(!read(&short).is_damaged());
        assert_eq!((read(&short).tail(), read(&log(3)).tail()), (1, 0));
        // A log that was begun and not synced: the system gives zeros.
        assert!(Log::read(&mut &vec![0; frame(3)][..]).unwrap().is_none());
        assert!(Log::read(&mut &[0; 10][..]).unwrap().is_none());
    }

    #[test]
    fn every_byte_that_changed_in_an_older_transaction_is_damage() {
        let whole = log(4);
        for at in (0..HEADER).chain(frame(0)..frame(5)) {
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            let found = read(&changed);
            // The format's number and the checkpoint's are under the checksum as well.
            assert!(found.is_damaged(), "at {at}");
            if HEADER <= at {
                assert_eq!(found.images().1, 5, "at {at}");
            }
        }
    }

    #[test]
    fn what_is_left_over_from_before_does_not_count() {
        let mut bytes = log(1);
        let mut older = log(3);
        for place in 2..6 {
            older[frame(place) + 8] ^= 0x55;
        }
        bytes.extend(&older[frame(2)..]);
        let log = read(&bytes);
        assert!(!log.is_damaged());
        assert_eq!(log.images().1, 2);
    }
}
