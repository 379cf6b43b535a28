//! Moving a damaged store aside: its files go into a folder beside it, named by time and reason. Nothing here deletes or
//! overwrites what was moved.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::StoreError;
use super::connection::beside;
use super::damage::Damage;
use crate::domain::timestamp::Timestamp;

/// What belongs to a database, by what follows its name. The database goes first: a log without one is found at the next start, a
/// database without its log would look sound.
const FILES: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// The file in the folder that says what was wrong.
pub(super) const REASON: &str = "reason.txt";
/// The file in the folder that says what was saved; as long as it is not there, the rows are still to be taken over.
pub(super) const SALVAGED: &str = "salvaged.txt";

/// Moves the files of the store aside and gives the folder.
pub(super) fn put_aside(
    path: &Path,
    damage: &Damage,
    now: Timestamp,
) -> Result<PathBuf, StoreError> {
    let failed = |source| StoreError::Aside {
        path: path.display().to_string(),
        source,
    };
    let folder = folder_for(path, damage, now).map_err(failed)?;
    move_into(path, &folder, damage).map_err(failed)?;
    let shown = folder.display().to_string();
    tracing::error!(
        reason = %damage,
        folder = shown,
        "the store is damaged: it is moved aside, and a new one begins"
    );
    Ok(folder)
}

fn folder_for(path: &Path, damage: &Damage, now: Timestamp) -> io::Result<PathBuf> {
    // A move that did not come to its end: the database is there already.
    if !path.exists()
        && let Some(begun) = unsalvaged(path)?.pop()
        && !begun.join(REASON).exists()
        && begun.join(name_of(path, "")).exists()
    {
        return Ok(begun);
    }
    let base = format!(".damaged-{}-{}", text_of(now), damage.kind.as_str());
    new_folder(path, &base)
}

fn new_folder(path: &Path, base: &str) -> io::Result<PathBuf> {
    let mut number = 1;
    loop {
        let suffix = if number == 1 {
            base.to_owned()
        } else {
            format!("{base}-{number}")
        };
        let folder = beside(path, &suffix);
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    }
}

fn move_into(path: &Path, folder: &Path, damage: &Damage) -> io::Result<()> {
    for suffix in FILES {
        let (from, to) = (beside(path, suffix), folder.join(name_of(path, suffix)));
        match fs::rename(&from, &to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    // It is for people; without room for it the store is moved all the same.
    fs::write(folder.join(REASON), format!("{damage}\n")).ok();
    sync_folder(folder)?;
    sync_folder(parent(path))
}

/// Moves files that are not ours out of the way of the store's own.
pub(super) fn put_away(path: &Path, suffixes: &[&str], now: Timestamp) -> Result<(), StoreError> {
    let moved = new_folder(path, &format!(".replaced-{}", text_of(now))).and_then(|folder| {
        for suffix in suffixes {
            fs::rename(beside(path, suffix), folder.join(name_of(path, suffix)))?;
        }
        sync_folder(parent(path)).map(|()| folder)
    });
    let folder = moved.map_err(|source| StoreError::Aside {
        path: path.display().to_string(),
        source,
    })?;
    tracing::warn!(
        folder = folder.display().to_string(),
        "another store was put where the open one is: it is moved aside"
    );
    Ok(())
}

/// The folders of damaged stores whose rows are still to be taken over, oldest first.
pub(super) fn unsalvaged(path: &Path) -> io::Result<Vec<PathBuf>> {
    let beginning = name_of(path, ".damaged-");
    let mut found = Vec::new();
    for entry in fs::read_dir(parent(path))? {
        let entry = entry?;
        let is_of_store = entry.file_name().to_string_lossy().starts_with(&beginning);
        if is_of_store && entry.path().is_dir() && !entry.path().join(SALVAGED).exists() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Where a new database is made that is to appear at `path` whole or not at all; nothing is left of one before it.
pub(super) fn new_file(path: &Path) -> PathBuf {
    let new = beside(path, "-new");
    for suffix in FILES {
        fs::remove_file(beside(&new, suffix)).ok();
    }
    new
}

/// Has it appear.
pub(super) fn show_new_file(new: &Path, path: &Path) -> Result<(), StoreError> {
    let shown = fs::rename(new, path).and_then(|()| sync_folder(parent(path)));
    shown.map_err(|source| StoreError::Aside {
        path: path.display().to_string(),
        source,
    })
}

/// The name of a file that belongs to the database.
pub(super) fn name_of(path: &Path, suffix: &str) -> String {
    let name = path.file_name().unwrap_or_default();
    format!("{}{suffix}", name.to_string_lossy())
}

/// Has what was renamed there be on disk.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

pub(super) fn parent(path: &Path) -> &Path {
    let parent = path.parent().unwrap_or(Path::new("."));
    if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    }
}

/// UTC, as the names of files have it: `20260102T030405Z`.
fn text_of(time: Timestamp) -> String {
    let seconds = time.millis().div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days since 0000-03-01, in eras of 400 years (Hinnant, chrono-Compatible Low-Level Date Algorithms).
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::damage::Kind;

    #[test]
    fn names_have_the_time() {
        let check = |millis, text: &str| assert_eq!(text_of(Timestamp::from_millis(millis)), text);
        check(0, "19700101T000000Z");
        check(1_709_164_799_999, "20240228T235959Z");
        check(1_709_164_800_000, "20240229T000000Z");
        check(1_764_000_000_000, "20251124T160000Z");
        check(4_107_542_400_000, "21000301T000000Z");
    }

    #[test]
    fn nothing_that_was_moved_is_overwritten() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("gateway.db");
        let damage = Damage::new(Kind::Log, "x");
        let now = Timestamp::from_millis(0);
        let mut folders = Vec::new();
        for content in ["a", "b"] {
            fs::write(&path, content).unwrap();
            fs::write(beside(&path, "-wal"), content).unwrap();
            folders.push(put_aside(&path, &damage, now).unwrap());
            assert!(!path.exists());
        }
        assert!(folders[0].ends_with("gateway.db.damaged-19700101T000000Z-log"));
        assert_eq!(unsalvaged(&path).unwrap(), folders);
        for (folder, content) in folders.iter().zip(["a", "b"]) {
            for name in ["gateway.db", "gateway.db-wal"] {
                assert_eq!(fs::read_to_string(folder.join(name)).unwrap(), content);
            }
            fs::write(folder.join(SALVAGED), "").unwrap();
        }
        assert!(unsalvaged(&path).unwrap().is_empty());
    }

    #[test]
    fn a_move_that_was_cut_off_is_ended_at_the_same_place() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("gateway.db");
        let damage = Damage::new(Kind::Malformed, "x");
        fs::write(&path, "a").unwrap();
        let folder = put_aside(&path, &damage, Timestamp::from_millis(0)).unwrap();
        fs::remove_file(folder.join(REASON)).unwrap();
        fs::write(beside(&path, "-wal"), "w").unwrap();
        let missing = Damage::new(Kind::Missing, "x");
        let again = put_aside(&path, &missing, Timestamp::from_millis(5000)).unwrap();
        assert_eq!(again, folder);
        assert!(folder.join("gateway.db-wal").exists());
    }
}
