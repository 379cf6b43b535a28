//! What a reader must know of the machine to weigh the figures. A fact that cannot be found reads "unknown".

use std::{fs, path::Path, process::Command, thread};

use anyhow::{Context, Result};

const KIB_PER_GIB: f64 = 1024.0 * 1024.0;

pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: f64,
    pub(crate) kernel: String,
    /// Of the folder that holds the servers' files.
    pub(crate) file_system: String,
    pub(crate) date: String,
}

impl Machine {
    pub(crate) fn look(folder: &Path) -> Result<Self> {
        let memory = fs::read_to_string("/proc/meminfo")?;
        let memory_kib = field(&memory, "MemTotal")
            .and_then(|value| value.trim_end_matches(" kB").parse::<f64>().ok());
        let processors = fs::read_to_string("/proc/cpuinfo")?;
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        Ok(Self {
            processor: or_unknown(
                field(&processors, "model name").or_else(|| field(&processors, "Model")),
            ),
            cores: thread::available_parallelism()?.get(),
            memory_gib: memory_kib.unwrap_or(f64::NAN) / KIB_PER_GIB,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?
                .trim()
                .to_owned(),
            file_system: or_unknown(file_system(
                &mounts,
                &folder
                    .canonicalize()
                    .with_context(|| format!("no folder {}", folder.display()))?,
            )),
            date: today()?,
        })
    }
}

fn or_unknown(fact: Option<&str>) -> String {
    fact.unwrap_or("unknown").to_owned()
}

/// The value of the first line `key : value`.
fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim())
    })
}

/// The type of the mount that is nearest above `folder`; of mounts over one another, the last.
fn file_system<'a>(mounts: &'a str, folder: &Path) -> Option<&'a str> {
    let mounted = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((Path::new(fields.next()?), fields.next()?))
    });
    let above = mounted.filter(|(point, _)| folder.starts_with(point));
    above
        .max_by_key(|(point, _)| point.components().count())
        .map(|(_, kind)| kind)
}

pub(crate) fn today() -> Result<String> {
    let output = Command::new("date")
        .args(["-u", "+%Y-%m-%d"])
        .output()
        .context("cannot run date")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_system_is_that_of_the_nearest_mount() {
        let mounts = "/dev/a / ext4 rw 0 0\nnone /tmp tmpfs rw 0 0\n/dev/b /tmp/x xfs rw 0 0\n/dev/c / btrfs rw 0 0\n";
        let check = |folder: &str, expected| {
            assert_eq!(file_system(mounts, Path::new(folder)), expected, "{folder}");
        };
        check("/tmp/y", Some("tmpfs"));
        check("/tmp/x/y", Some("xfs"));
        check("/tmpfile", Some("btrfs"));
    }

    #[test]
    fn facts_are_found_by_their_key() {
        assert_eq!(field("a b\t: c: d\na b: e\n", "a b"), Some("c: d"));
    }
}
