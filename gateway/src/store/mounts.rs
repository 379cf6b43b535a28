//! What is mounted where, as Linux tells in `/proc/self/mountinfo` (proc_pid_mountinfo(5)), and what of it cannot keep what the store
//! promises.

use std::path::{Path, PathBuf};

/// File systems whose disk is elsewhere. An fsync there is as good as their server, locks as good as their protocol.
const NETWORK: &[&str] = &[
    "9p",
    "afs",
    "ceph",
    "cifs",
    "coda",
    "glusterfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "smb3",
    "smbfs",
    "virtiofs",
];
const NETWORK_FUSE: &[&str] = &[
    "ceph-fuse",
    "curlftpfs",
    "davfs",
    "davfs2",
    "gcsfuse",
    "glusterfs",
    "juicefs",
    "mfs",
    "rclone",
    "s3fs",
    "seaweedfs",
    "sshfs",
];
const MEMORY: &[&str] = &["ramfs", "tmpfs"];
/// Without a journal: a power cut may cost the folder that the file is in.
const WITHOUT_JOURNAL: &[&str] = &["exfat", "ext2", "msdos", "vfat"];

/// A mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    point: PathBuf,
    kind: Box<str>,
    /// Those of the place and those of the file system.
    options: Vec<Box<str>>,
}

impl Mount {
    /// Reads one line.
    fn read(line: &str) -> Option<Self> {
        let (place, system) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(4);
        let (point, of_place) = (place.next()?, place.next()?);
        let mut system = system.split(' ');
        let kind = system.next()?;
        let of_system = system.nth(1).unwrap_or("");
        let options = of_place.split(',').chain(of_system.split(','));
        Some(Self {
            point: unescape(point),
            kind: kind.into(),
            options: options.map(Box::from).collect(),
        })
    }

    /// What of it is a risk, and what to do.
    pub(super) fn risks(&self) -> Vec<String> {
        let kind = &*self.kind;
        let has = |wanted: &[&str]| {
            self.options
                .iter()
                .any(|option| wanted.contains(&&**option))
        };
        let fuse = kind.strip_prefix("fuse.").unwrap_or("");
        let mut risks = Vec::new();
        let mut add = |is_so: bool, risk: &str| {
            if is_so {
                risks.push(format!("{} ({kind}) {risk}", self.point.display()));
            }
        };
        add(
            NETWORK.contains(&kind) || NETWORK_FUSE.contains(&fuse),
            "is a network file system: an acknowledged reading may be lost and the store damaged when the network fails. Put the \
             store on a local disk",
        );
        add(
            MEMORY.contains(&kind),
            "is in memory: all readings are gone when the power is. Put the store on a disk",
        );
        add(
            kind == "overlay",
            "is the container's own layer: all readings are gone when the container is made anew. Mount a volume for the store",
        );
        add(
            WITHOUT_JOURNAL.contains(&kind),
            "has no journal: a power cut may damage it with the store. Use ext4 or f2fs",
        );
        add(
            has(&["data=writeback"]),
            "is mounted with data=writeback: a power cut may leave old data in the store. Mount it with data=ordered",
        );
        add(
            has(&["nobarrier", "barrier=0"]),
            "is mounted without barriers: a power cut may lose acknowledged readings. Mount it without nobarrier",
        );
        add(
            has(&["ro"]),
            "is read-only: nothing can be stored. Mount it for writing; after errors a file system becomes so by itself",
        );
        risks
    }
}

/// The mount that a path lies on: of those above it the nearest, of several at one place the last.
pub(super) fn mount_of(mountinfo: &str, path: &Path) -> Option<Mount> {
    let mounts = mountinfo.lines().filter_map(Mount::read);
    let above = mounts.filter(|mount| path.starts_with(&mount.point));
    above.max_by_key(|mount| mount.point.components().count())
}

/// Blanks and the like stand as octal numbers.
fn unescape(text: &str) -> PathBuf {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or("").to_owned();
    for part in parts {
        let code = part
            .get(..3)
            .and_then(|code| u8::from_str_radix(code, 8).ok());
        match code {
            Some(code) => {
                plain.push(char::from(code));
                plain.push_str(&part[3..]);
            }
            None => {
                plain.push('\\');
                plain.push_str(part);
            }
        }
    }
    plain.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = r"22 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw,errors=remount-ro
23 22 0:21 / /proc rw,nosuid - proc proc rw
24 22 8:3 / /data rw,noatime shared:2 - ext4 /dev/sda3 rw,data=writeback,barrier=0
25 22 0:40 / /mnt/the\040share rw - cifs //server/share rw,vers=3.0
26 22 0:41 / /mnt/home rw - fuse.sshfs me@server: rw,user_id=0
27 22 0:42 / /run rw,nosuid shared:5 master:1 - tmpfs tmpfs rw,size=1000k
28 22 0:43 / /box rw - overlay overlay rw,lowerdir=/a,upperdir=/b
29 22 8:4 / /ro ro,relatime - ext4 /dev/sda4 rw
30 22 8:5 / /broken rw,relatime - ext4 /dev/sda5 ro
31 24 8:6 / /data/card rw - vfat /dev/mmcblk0p1 rw
32 22 8:7 / /twice rw - tmpfs tmpfs rw
33 22 8:7 / /twice rw - xfs /dev/sdb rw
34 22 8:8 / /own rw - fuse own rw
not a mount";

    #[test]
    fn what_a_file_system_cannot_keep_is_named() {
        let check = |path: &str, parts: &[&str]| {
            let risks = mount_of(MOUNTS, Path::new(path)).unwrap().risks();
            assert_eq!(risks.len(), parts.len(), "{path}: {risks:?}");
            for (risk, part) in risks.iter().zip(parts) {
                assert!(risk.contains(part), "{path}: {risk}");
            }
        };
        check("/var/lib/gateway", &[]);
        check("/data/gateway", &["data=writeback", "without barriers"]);
        check("/database", &[]);
        check("/data/card/gateway", &["no journal"]);
        check(
            "/mnt/the share/gateway",
            &["/mnt/the share (cifs) is a network file system"],
        );
        check("/mnt/home", &["network"]);
        check("/run/gateway", &["in memory"]);
        check("/box/data", &["container"]);
        check("/ro/data", &["read-only"]);
        check("/broken/data", &["read-only"]);
        check("/twice/data", &[]);
        check("/own/data", &[]);
    }
}
