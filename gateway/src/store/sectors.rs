//! Places of a file that the disk does not give back any more, while it gives others: cards and disks go bad by the sector. What is
//! there counts as damaged. A disk that gives nothing at all may come back: then nothing is.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use rustix::fs::{Advice, fadvise};
use rustix::io::Errno;

/// What the system reads from a disk at the least, in bytes.
const SECTOR: u64 = 4096;
/// Where a file is probed.
const PROBES: u64 = 16;

/// Whether it says that a place could not be read.
pub(super) fn is_of_reading(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::IO.raw_os_error())
}

/// Whether the disk gives any of some places of the file. What the system has in memory says nothing of that and is let go.
pub(super) fn answers(file: &File) -> bool {
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let mut sector = [0; SECTOR as usize];
    (0..PROBES).any(|probe| {
        let at = length / PROBES * probe / SECTOR * SECTOR;
        fadvise(file, at, SECTOR.try_into().ok(), Advice::DontNeed).ok();
        matches!(file.read_at(&mut sector, at), Ok(1..))
    })
}

/// A file with zeros where it cannot be read.
#[derive(Debug)]
pub(super) struct Patched<F> {
    file: F,
    length: u64,
}

impl<F: Seek> Patched<F> {
    /// From its beginning on.
    pub(super) fn of(mut file: F) -> io::Result<Self> {
        let length = file.seek(SeekFrom::End(0))?;
        file.rewind()?;
        Ok(Self { file, length })
    }
}

impl<F: Read + Seek> Read for Patched<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.file.read(buffer) {
            Err(error) if is_of_reading(&error) => {
                let at = self.file.stream_position()?;
                let upto = self.length.min((at / SECTOR + 1) * SECTOR);
                let gap = buffer.len().min(upto.saturating_sub(at) as usize);
                buffer[..gap].fill(0);
                self.file.seek(SeekFrom::Current(gap as i64))?;
                Ok(gap)
            }
            read => read,
        }
    }
}

impl<F: Seek> Seek for Patched<F> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::ops::Range;

    use super::*;

    const BAD: Range<u64> = SECTOR..2 * SECTOR;

    /// Some of it cannot be read.
    struct Bad(Cursor<Vec<u8>>, Range<u64>);

    impl Read for Bad {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let at = self.0.position();
            if self.1.contains(&at) {
                return Err(Errno::IO.into());
            }
            let upto = SECTOR - at % SECTOR;
            let most = buffer.len().min(upto as usize);
            self.0.read(&mut buffer[..most])
        }
    }

    impl Seek for Bad {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }

    #[test]
    fn what_cannot_be_read_is_zeros_and_the_rest_is_in_its_place() {
        let bytes: Vec<u8> = (0..3 * SECTOR + 100)
            .map(|at| (at % 251) as u8 + 1)
            .collect();
        for first in [0, 100, SECTOR, SECTOR + 7, 2 * SECTOR - 1, 2 * SECTOR] {
            let file = Bad(Cursor::new(bytes.clone()), BAD);
            let mut patched = Patched::of(file).unwrap();
            patched.seek(SeekFrom::Start(first)).unwrap();
            let mut read = Vec::new();
            patched.read_to_end(&mut read).unwrap();
            assert_eq!(read.len() as u64, bytes.len() as u64 - first);
            for (at, byte) in (first..).zip(read) {
                let expected = if BAD.contains(&at) {
                    0
                } else {
                    bytes[at as usize]
                };
                assert_eq!(byte, expected, "from {first}: at {at}");
            }
        }
    }

    #[test]
    fn a_file_of_which_nothing_can_be_read_has_an_end() {
        let file = Bad(Cursor::new(vec![1; 10_000]), 0..u64::MAX);
        let mut read = Vec::new();
        Patched::of(file).unwrap().read_to_end(&mut read).unwrap();
        assert!(read == [0; 10_000]);
    }
}
