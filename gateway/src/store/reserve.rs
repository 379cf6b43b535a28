//! Room on the disk that is kept for when there is no more: a file beside the database that is let go when a commit finds
//! none, and made again when there is some.
//!
//! It is as large as the log may be, so that what is in the log can be copied into the database; on a small disk it is
//! smaller.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::connection::beside;

/// The part of the disk that it takes at most.
const SHARE: u64 = 64;

/// By so much it is to grow, to find out whether there is room.
const PAGE: u64 = 4096;

#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    bytes: u64,
}

impl Reserve {
    pub(super) fn of(database: &Path) -> Self {
        Self {
            path: beside(database, "-reserve"),
            bytes: 0,
        }
    }

    /// Says how large it is to be, if the disk is large.
    pub(super) fn set_bytes(&mut self, bytes: u64) {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let disk = rustix::fs::statvfs(folder)
            .map_or(u64::MAX, |disk| disk.f_blocks.saturating_mul(disk.f_frsize));
        self.bytes = bytes.min(disk / SHARE) / PAGE * PAGE;
    }

    /// Makes it, unless it is there.
    pub(super) fn make(&self) -> io::Result<()> {
        let file = self.open()?;
        if file.metadata()?.len() == self.bytes {
            return Ok(());
        }
        file.set_len(0)?;
        self.grow(&file, self.bytes)
            .inspect_err(|_| let_go_of(&self.path))
    }

    /// Gives its room to others.
    pub(super) fn let_go(&self) {
        let_go_of(&self.path);
    }

    /// Why nothing more can be written beside the database, if that is so.
    pub(super) fn trouble(&self) -> Option<io::Error> {
        let look = || {
            let file = self.open()?;
            let bytes = file.metadata()?.len();
            let grown = self.grow(&file, bytes + PAGE);
            file.set_len(bytes)?;
            grown
        };
        look().err()
    }

    fn open(&self) -> io::Result<File> {
        File::options().create(true).append(true).open(&self.path)
    }

    fn grow(&self, file: &File, bytes: u64) -> io::Result<()> {
        let length = file.metadata()?.len();
        if bytes <= length {
            return Ok(());
        }
        match fallocate(file, FallocateFlags::empty(), length, bytes - length) {
            // The file system cannot: it takes zeros.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                let zeros = vec![0; (bytes - length) as usize];
                let mut file = file;
                file.write_all(&zeros)
            }
            other => Ok(other?),
        }
    }
}

/// Whether it says that there is no room on the disk, or in what one may have of it.
pub(super) fn is_lack_of_room(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Lets go of the reserve of a database that cannot be opened for lack of room. Whether there was one.
pub(super) fn let_go_to_open(database: &Path) -> bool {
    let path = beside(database, "-reserve");
    let is_there = path.metadata().is_ok_and(|file| 0 < file.len());
    if is_there {
        let_go_of(&path);
    }
    is_there
}

fn let_go_of(path: &Path) {
    // Where it cannot be, nothing else can be written either, and that is told.
    if let Ok(file) = File::options().write(true).open(path) {
        file.set_len(0).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_let_go_and_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut reserve = Reserve::of(&folder.path().join("gateway.db"));
        let length = || {
            folder
                .path()
                .join("gateway.db-reserve")
                .metadata()
                .unwrap()
                .len()
        };
        reserve.set_bytes(1 << 20);
        for _ in 0..2 {
            reserve.make().unwrap();
            assert_eq!(length(), 1 << 20);
            assert!(reserve.trouble().is_none());
            assert_eq!(length(), 1 << 20);
            reserve.let_go();
            assert_eq!(length(), 0);
        }
    }

    #[test]
    fn what_cannot_be_written_is_told() {
        let mut reserve = Reserve::of(Path::new("/proc/gateway.db"));
        reserve.set_bytes(1 << 20);
        assert!(reserve.trouble().is_some());
        assert!(reserve.make().is_err());
    }
}
