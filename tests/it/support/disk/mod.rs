//! A disk of the test's own, whose power can be cut and which can go bad: a file system in user space, all in memory.
//!
//! What was written and not synced is kept apart. When the power is cut the gateway is killed, a part of that is lost, and
//! nothing more gets through until the disk is started again. Where files cannot be mounted so, [`Disk::mount`] says it.

mod image;
mod mount;

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use fuser::{BackgroundSession, Config, Errno, MountOption};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use self::image::Image;
pub(crate) use self::image::{Entries, Loss};
use self::mount::Mounted;

/// Bytes of a disk that is not said to be smaller.
const LARGE: u64 = 1 << 30;

/// What becomes of what a failed sync should have written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsynced {
    /// It is forgotten, and the next sync succeeds.
    Dropped,
    /// The next sync writes it.
    Kept,
}

/// What is wrong with the disk.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    pub(crate) read: bool,
    /// So many reads fail.
    pub(crate) reads: u32,
    pub(crate) write: bool,
    /// So many syncs fail.
    pub(crate) syncs: u32,
    pub(crate) unsynced: Unsynced,
    /// Of the files whose names end so.
    pub(crate) of: &'static str,
    pub(crate) read_only: bool,
    /// There is not room for more.
    pub(crate) size: u64,
    /// What is said when there is none: `ENOSPC` or `EDQUOT`.
    pub(crate) no_room: Errno,
    /// How long a sync takes.
    pub(crate) sync_time: Duration,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            read: false,
            reads: 0,
            write: false,
            syncs: 0,
            unsynced: Unsynced::Kept,
            of: "",
            read_only: false,
            size: LARGE,
            no_room: Errno::ENOSPC,
            sync_time: Duration::ZERO,
        }
    }
}

/// The disk, as its file system and the test share it.
struct State {
    image: Image,
    rng: Rng,
    faults: Faults,
    /// Changes and syncs until the power is cut.
    cut_after: Option<u64>,
    victim: Option<Pid>,
    /// What was found after the cut, until the disk is started again.
    left: Option<(Loss, Image)>,
    /// Told when the power is cut.
    is_cut: Arc<Condvar>,
}

struct Shared {
    state: Mutex<State>,
    is_cut: Arc<Condvar>,
}

/// A disk. Unmounted when it is dropped.
pub(crate) struct Disk {
    // Before the folder.
    _session: BackgroundSession,
    folder: TempDir,
    shared: Arc<Shared>,
}

impl Disk {
    /// `None` where no file system can be mounted; in CI one can.
    pub(crate) fn mount(seed: u64) -> Option<Self> {
        let mut rng = Rng::with_seed(seed);
        let entries = [Entries::Strict, Entries::Journaled][rng.usize(..2)];
        let folder = tempfile::tempdir().unwrap();
        let is_cut = Arc::<Condvar>::default();
        let state = State {
            image: Image::new(entries),
            rng,
            faults: Faults::default(),
            cut_after: None,
            victim: None,
            left: None,
            is_cut: Arc::clone(&is_cut),
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            is_cut,
        });
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("powercut".to_owned())];
        config.n_threads = Some(4);
        let mounted = Mounted(Arc::clone(&shared));
        match fuser::spawn_mount(mounted, folder.path(), &config) {
            Ok(session) => Some(Self {
                _session: session,
                folder,
                shared,
            }),
            Err(error) => {
                assert!(
                    std::env::var_os("CI").is_none_or(|ci| ci != "true"),
                    "no file system of the test's own: {error}"
                );
                eprintln!("skipped: no file system of the test's own can be mounted ({error})");
                None
            }
        }
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Cuts the power after so many changes and syncs.
    pub(crate) fn cut_after(&self, steps: u64) {
        self.shared.lock().cut_after = Some(steps);
    }

    /// It is not to be cut any more.
    pub(crate) fn stays_powered(&self) {
        self.shared.lock().cut_after = None;
    }

    /// Who is killed when the power is cut; at once if it is.
    pub(crate) fn powers(&self, pid: u32) {
        let mut state = self.shared.lock();
        state.victim = Pid::from_raw(pid.cast_signed());
        if state.left.is_some() {
            state.kill();
        }
    }

    /// Waits for the cut; false if it has not come in time.
    pub(crate) fn is_cut_within(&self, limit: Duration) -> bool {
        let state = self.shared.lock();
        let (state, _) = self
            .shared
            .is_cut
            .wait_timeout_while(state, limit, |state| state.left.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        state.left.is_some()
    }

    /// Cuts the power now, if it is not cut.
    pub(crate) fn cut(&self) {
        self.shared.lock().cut();
    }

    /// The power comes back. Whoever was killed has to be gone.
    pub(crate) fn start_again(&self) -> Loss {
        let mut state = self.shared.lock();
        let (loss, image) = state.left.take().expect("it was cut");
        state.image = image;
        state.victim = None;
        loss
    }

    /// The disk goes bad, or well again.
    pub(crate) fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.shared.lock().faults);
    }

    /// Bytes of a file cannot be read any more, wherever it is moved.
    pub(crate) fn spoil(&self, folder: &str, name: &str, bytes: Range<usize>) {
        let mut state = self.shared.lock();
        let file = state.image.file_of(folder, name);
        file.expect("it is there").bad = bytes;
    }

    pub(crate) fn is_well(&self) {
        self.set(|faults| *faults = Faults::default());
    }

    /// Copies what is now in the files of a folder, all at one moment. Databases are to be looked at in such copies: a process that
    /// maps the log's index of a disk of its own into memory waits for itself.
    pub(crate) fn copy(&self, folder: &str, to: &Path) {
        let files = self.shared.lock().image.files(folder);
        for (name, bytes) in files {
            if !name.ends_with("-shm") {
                std::fs::write(to.join(name), bytes).unwrap();
            }
        }
    }

    /// How long the files of a folder are, all at one moment, in whole pages.
    pub(crate) fn lengths(&self, folder: &str) -> HashMap<String, u64> {
        let files = self.shared.lock().image.files(folder);
        let length = |bytes: Vec<u8>| bytes.len().next_multiple_of(4096) as u64;
        files
            .into_iter()
            .map(|(name, bytes)| (name, length(bytes)))
            .collect()
    }

    /// Bytes that its files take.
    pub(crate) fn used(&self) -> u64 {
        self.shared.lock().image.used()
    }

    /// Syncs and reads that are still to fail.
    pub(crate) fn failures_to_come(&self) -> u32 {
        let faults = &self.shared.lock().faults;
        faults.syncs + faults.reads
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Before a change or a sync: the power may go.
    fn step(&mut self) -> Result<(), Errno> {
        match self.cut_after {
            Some(0) => self.cut(),
            Some(left) => self.cut_after = Some(left - 1),
            None => {}
        }
        self.is_powered()
    }

    fn is_powered(&self) -> Result<(), Errno> {
        match self.left {
            Some(_) => Err(Errno::EIO),
            None => Ok(()),
        }
    }

    fn cut(&mut self) {
        if self.left.is_none() {
            let loss = Loss::drawn(&mut self.rng);
            self.left = Some((loss, self.image.after_a_cut(loss, &mut self.rng)));
        }
        self.cut_after = None;
        self.kill();
        self.is_cut.notify_all();
    }

    fn kill(&mut self) {
        if let Some(victim) = self.victim.take() {
            // It may have ended by itself.
            kill_process(victim, Signal::KILL).ok();
        }
    }
}
