//! A file of users or tokens, lines `name:hash`, as it is edited: comments, order and whatever else stands in it stay. It is
//! replaced whole, so that a reader, or a power cut, finds either what was or what is.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::access::users::entry;

/// A file of names and hashes that is being looked at or changed. What a hash is says who reads the file.
#[derive(Debug)]
pub struct HashFile {
    /// Without symbolic links: what a link points to is replaced, not the link.
    path: PathBuf,
    lines: Vec<String>,
    is_new: bool,
    /// Of the folder, held so that two who change the file do not undo each other's work.
    _lock: Option<File>,
}

impl HashFile {
    /// Reads the file. One that does not exist is empty.
    pub fn read(path: &Path) -> io::Result<Self> {
        let (path, text, is_new) = match fs::canonicalize(path) {
            Ok(path) => {
                let text = fs::read_to_string(&path)?;
                (path, text, false)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (path.to_owned(), String::new(), true)
            }
            Err(error) => return Err(error),
        };
        Ok(Self {
            path,
            lines: text.lines().map(str::to_owned).collect(),
            is_new,
            _lock: None,
        })
    }

    /// Reads the file to change it. Whoever else wants that waits until this is dropped.
    pub fn edit(path: &Path) -> io::Result<Self> {
        let found = Self::read(path)?;
        let lock = File::open(folder_of(&found.path))?;
        // Some network file systems cannot lock a folder: there nobody else should be editing.
        lock.lock().ok();
        Ok(Self {
            _lock: Some(lock),
            ..Self::read(path)?
        })
    }

    /// Whether there was no file.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// The names in the order of the file, each with its hash.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        let entries = self.lines.iter().filter_map(|line| entry(line));
        entries.map(|(name, hash)| (name, hash.unwrap_or_default()))
    }

    /// Adds a name, or replaces its hash; true if the name was there.
    pub fn put(&mut self, name: &str, hash: &str) -> bool {
        let line = format!("{name}:{hash}");
        let Some(at) = self.lines.iter().position(|line| is_of(line, name)) else {
            self.lines.push(line);
            return false;
        };
        self.lines[at] = line;
        let mut index = 0;
        self.lines.retain(|line| {
            index += 1;
            index <= at + 1 || !is_of(line, name)
        });
        true
    }

    /// Takes a name out; false if the name was not there.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.lines.len();
        self.lines.retain(|line| !is_of(line, name));
        self.lines.len() < before
    }

    /// Replaces the file, for its owner's eyes only; a new one belongs to whom its folder belongs to. Once this returns, it is on the
    /// disk.
    pub fn save(&self) -> io::Result<()> {
        let folder = folder_of(&self.path);
        let mut file = NamedTempFile::new_in(folder)?;
        for line in &self.lines {
            writeln!(file, "{line}")?;
        }
        let owner = fs::metadata(&self.path).or_else(|_| fs::metadata(folder))?;
        let new = file.as_file().metadata()?;
        if (owner.uid(), owner.gid()) != (new.uid(), new.gid()) {
            // Or the gateway could not read what its administrator wrote.
            let given = fchown(file.as_file(), Some(owner.uid()), Some(owner.gid()));
            // Somebody who is not root makes a new file in a folder of others: it is his.
            given.or_else(|error| if self.is_new { Ok(()) } else { Err(error) })?;
        }
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        File::open(folder)?.sync_all()
    }
}

fn is_of(line: &str, name: &str) -> bool {
    entry(line).is_some_and(|(found, _)| found == name)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn editing_keeps_everything_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        let check = |change: fn(&mut HashFile) -> bool, existed: bool, expected: &str| {
            let mut file = HashFile::edit(&path).unwrap();
            assert_eq!(change(&mut file), existed);
            file.save().unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), expected);
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        };
        assert!(HashFile::read(&path).unwrap().is_new());
        check(|file| file.put("ann", "1"), false, "ann:1\n");
        let text = "# people\nann:1\n\nbob:2 \n#ann:x\nann:3\nbroken";
        fs::write(&path, text).unwrap();
        let names: Vec<String> = HashFile::read(&path)
            .unwrap()
            .entries()
            .map(|(name, _)| name.to_owned())
            .collect();
        assert_eq!(names, ["ann", "bob", "ann", "broken"]);
        let expected = "# people\nann:4\n\nbob:2 \n#ann:x\nbroken\n";
        check(|file| file.put("ann", "4"), true, expected);
        let expected = "# people\nann:4\n\n#ann:x\nbroken\n";
        check(|file| file.remove("bob"), true, expected);
        check(|file| file.remove("bob"), false, expected);
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn a_link_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, "ann:1\n").unwrap();
        symlink(&real, &link).unwrap();
        let mut file = HashFile::edit(&link).unwrap();
        file.put("bob", "2");
        file.save().unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), "ann:1\nbob:2\n");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
}
