//! What stands under the store: whether its file system keeps what an acknowledgement promises, and has room.

use std::fs;
use std::path::{Path, PathBuf};

use super::mounts::mount_of;

/// With less the next outage of the cloud may fill the disk.
const LITTLE_ROOM: u64 = 64 << 20;

const MIB: u64 = 1 << 20;

/// What cannot be promised with a store at `path`, each with what to do. Nothing, where the system does not tell.
pub fn risks(path: &Path) -> Vec<String> {
    let Some(folder) = existing_folder(path) else {
        return Vec::new();
    };
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mount = mount_of(&mounts, &folder);
    let mut risks = mount.map(|mount| mount.risks()).unwrap_or_default();
    if let Ok(found) = rustix::fs::statvfs(&folder) {
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        if free < LITTLE_ROOM {
            risks.push(format!(
                "{} has {} MiB free: a full disk holds up every acknowledgement. Make room",
                folder.display(),
                free / MIB
            ));
        }
    }
    risks
}

/// The folder that the store is in, or that its folder will be made in.
fn existing_folder(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    path.ancestors()
        .skip(1)
        .find_map(|folder| folder.canonicalize().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_found_before_it_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().canonicalize().unwrap();
        for path in ["gateway.db", "data/gateway.db", "a/b/c/gateway.db"] {
            assert_eq!(
                existing_folder(&folder.path().join(path)),
                Some(there.clone())
            );
        }
    }
}
