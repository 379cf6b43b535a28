//! What is on the disk, and what is only on its way there: pure, no kernel.
//!
//! A change of a file is safe when the file is synced, an entry of a folder when the folder is; with a journal as that of
//! ext4 any sync makes all entries safe. Whatever else was changed may survive a power cut, in part or not at all.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use fastrand::Rng;

pub(super) const ROOT: u64 = 1;

/// A page of the page cache: such are written to the disk in any order.
const PAGE: usize = 4096;
/// What a disk writes whole.
const SECTOR: usize = 512;

/// When entries of folders are safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entries {
    /// When their folder is synced: as POSIX has it.
    Strict,
    /// When anything is synced: as ext4 does it.
    Journaled,
}

/// What survives of the changes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    All,
    /// What came after a moment.
    Rest,
    Pages,
    /// Pages are torn, too.
    Sectors,
    Nothing,
}

impl Loss {
    pub(super) fn drawn(rng: &mut Rng) -> Self {
        let all = [
            Self::All,
            Self::Rest,
            Self::Pages,
            Self::Sectors,
            Self::Nothing,
        ];
        // Nothing is lost by a mere kill as well: once is enough.
        all[[0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4][rng.usize(..12)]]
    }
}

#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) now: Vec<u8>,
    safe: Vec<u8>,
    pending: Vec<(u64, Change)>,
    pub(super) name: String,
    pub(super) links: u32,
    /// Bytes that the disk does not give back.
    pub(super) bad: Range<usize>,
}

#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Debug, Default)]
pub(super) struct Folder {
    pub(super) now: BTreeMap<String, u64>,
    safe: BTreeMap<String, u64>,
    pending: Vec<(u64, Entry)>,
}

#[derive(Clone, Debug)]
struct Entry {
    name: String,
    node: Option<u64>,
}

#[derive(Debug)]
pub(super) enum Node {
    File(File),
    Folder(Folder),
}

/// All files and folders.
#[derive(Debug)]
pub(super) struct Image {
    nodes: HashMap<u64, Node>,
    next: u64,
    /// Counts the changes, over all files.
    order: u64,
    entries: Entries,
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(at, data) => write(bytes, *at, data),
            Self::Length(length) => bytes.resize(*length, 0),
        }
    }

    /// Pieces of it that lie within a page or sector each.
    fn pieces(&self, size: usize) -> Vec<Self> {
        let Self::Write(at, data) = self else {
            return Vec::new();
        };
        let mut pieces = Vec::new();
        let mut done = 0;
        while done < data.len() {
            let start = at + done;
            let length = (size - start % size).min(data.len() - done);
            pieces.push(Self::Write(start, data[done..done + length].to_vec()));
            done += length;
        }
        pieces
    }
}

fn write(bytes: &mut Vec<u8>, at: usize, data: &[u8]) {
    let end = at + data.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[at..end].copy_from_slice(data);
}

impl File {
    fn survivor(&self, loss: Loss, upto: u64, rng: &mut Rng) -> Vec<u8> {
        let mut bytes = self.safe.clone();
        for (order, change) in &self.pending {
            let whole = match loss {
                Loss::All => false,
                Loss::Rest => *order <= upto,
                Loss::Nothing => true,
                Loss::Pages | Loss::Sectors => match change {
                    Change::Length(_) => rng.bool(),
                    Change::Write(..) => {
                        let size = if loss == Loss::Pages { PAGE } else { SECTOR };
                        for piece in change.pieces(size) {
                            if rng.bool() {
                                piece.apply(&mut bytes);
                            }
                        }
                        false
                    }
                },
            };
            if whole {
                change.apply(&mut bytes);
            }
        }
        bytes
    }

    fn sync(&mut self) {
        for (_, change) in self.pending.drain(..) {
            change.apply(&mut self.safe);
        }
    }
}

impl Folder {
    fn survivor(&self, loss: Loss, upto: u64, rng: &mut Rng) -> BTreeMap<String, u64> {
        // A journal is written in order.
        let upto = match loss {
            Loss::All => 0,
            Loss::Rest => upto,
            Loss::Nothing => u64::MAX,
            Loss::Pages | Loss::Sectors => match self.pending.len() {
                0 => 0,
                count => self.pending[rng.usize(..count)].0 - u64::from(rng.bool()),
            },
        };
        let mut entries = self.safe.clone();
        for (_, entry) in self.pending.iter().take_while(|(order, _)| *order <= upto) {
            entry.apply(&mut entries);
        }
        entries
    }

    fn sync(&mut self) {
        for (_, entry) in self.pending.drain(..) {
            entry.apply(&mut self.safe);
        }
    }
}

impl Entry {
    fn apply(&self, entries: &mut BTreeMap<String, u64>) {
        match self.node {
            Some(node) => entries.insert(self.name.clone(), node),
            None => entries.remove(&self.name),
        };
    }
}

impl Image {
    pub(super) fn new(entries: Entries) -> Self {
        Self {
            nodes: HashMap::from([(ROOT, Node::Folder(Folder::default()))]),
            next: ROOT + 1,
            order: 0,
            entries,
        }
    }

    pub(super) fn node(&self, number: u64) -> Option<&Node> {
        self.nodes.get(&number)
    }

    pub(super) fn file(&mut self, number: u64) -> Option<&mut File> {
        match self.nodes.get_mut(&number) {
            Some(Node::File(file)) => Some(file),
            _ => None,
        }
    }

    pub(super) fn folder(&mut self, number: u64) -> Option<&mut Folder> {
        match self.nodes.get_mut(&number) {
            Some(Node::Folder(folder)) => Some(folder),
            _ => None,
        }
    }

    /// The files of a folder at the top, with their bytes.
    pub(super) fn files(&self, name: &str) -> Vec<(String, Vec<u8>)> {
        let Some(Node::Folder(top)) = self.node(ROOT) else {
            return Vec::new();
        };
        let Some(Node::Folder(folder)) = top.now.get(name).and_then(|node| self.node(*node)) else {
            return Vec::new();
        };
        let files = folder
            .now
            .iter()
            .filter_map(|(name, node)| match self.node(*node) {
                Some(Node::File(file)) => Some((name.clone(), file.now.clone())),
                _ => None,
            });
        files.collect()
    }

    /// A file of a folder at the top.
    pub(super) fn file_of(&mut self, folder: &str, name: &str) -> Option<&mut File> {
        let folder = self.folder(ROOT)?.now.get(folder).copied()?;
        let file = self.folder(folder)?.now.get(name).copied()?;
        self.file(file)
    }

    /// Bytes that the files take, in whole pages.
    pub(super) fn used(&self) -> u64 {
        let pages = self.nodes.values().map(|node| match node {
            Node::File(file) if 0 < file.links => file.now.len().div_ceil(PAGE),
            _ => 0,
        });
        (pages.sum::<usize>() * PAGE) as u64
    }

    /// A new file or folder in a folder.
    pub(super) fn create(&mut self, parent: u64, name: &str, is_folder: bool) -> u64 {
        let node = if is_folder {
            Node::Folder(Folder::default())
        } else {
            Node::File(File {
                name: name.to_owned(),
                links: 1,
                ..File::default()
            })
        };
        let number = self.next;
        self.next += 1;
        self.nodes.insert(number, node);
        self.enter(parent, name, Some(number));
        number
    }

    /// Changes an entry, as one step with the one before if `with_last`.
    fn enter_as(&mut self, parent: u64, name: &str, node: Option<u64>, with_last: bool) {
        self.order += u64::from(!with_last);
        let order = self.order;
        if let Some(folder) = self.folder(parent) {
            let name = name.to_owned();
            let entry = Entry { name, node };
            entry.apply(&mut folder.now);
            folder.pending.push((order, entry));
        }
    }

    pub(super) fn enter(&mut self, parent: u64, name: &str, node: Option<u64>) {
        self.enter_as(parent, name, node, false);
    }

    pub(super) fn remove(&mut self, parent: u64, name: &str) {
        self.unlink_target(parent, name);
        self.enter(parent, name, None);
    }

    fn unlink_target(&mut self, parent: u64, name: &str) {
        let target = self.folder(parent).and_then(|f| f.now.get(name).copied());
        if let Some(file) = target.and_then(|target| self.file(target)) {
            file.links -= 1;
        }
    }

    /// A second name for a file.
    pub(super) fn link(&mut self, node: u64, parent: u64, name: &str) {
        if let Some(file) = self.file(node) {
            file.links += 1;
        }
        self.enter(parent, name, Some(node));
    }

    pub(super) fn rename(&mut self, from: (u64, &str), to: (u64, &str), node: u64) {
        self.unlink_target(to.0, to.1);
        self.enter(from.0, from.1, None);
        self.enter_as(to.0, to.1, Some(node), true);
        if let Some(file) = self.file(node) {
            file.name = to.1.to_owned();
        }
    }

    pub(super) fn write(&mut self, number: u64, at: usize, data: &[u8]) {
        self.change(number, Change::Write(at, data.to_vec()));
    }

    pub(super) fn set_length(&mut self, number: u64, length: usize) {
        self.change(number, Change::Length(length));
    }

    fn change(&mut self, number: u64, change: Change) {
        self.order += 1;
        let order = self.order;
        if let Some(file) = self.file(number) {
            change.apply(&mut file.now);
            file.pending.push((order, change));
        }
    }

    pub(super) fn sync_file(&mut self, number: u64) {
        if let Some(file) = self.file(number) {
            file.sync();
        }
        if self.entries == Entries::Journaled {
            for node in self.nodes.values_mut() {
                if let Node::Folder(folder) = node {
                    folder.sync();
                }
            }
        }
    }

    pub(super) fn sync_folder(&mut self, number: u64) {
        if self.entries == Entries::Journaled {
            return self.sync_file(number);
        }
        if let Some(folder) = self.folder(number) {
            folder.sync();
        }
    }

    /// A sync that failed: nobody will write again what was to be written, though it can still be read.
    pub(super) fn forget_pending(&mut self, number: u64) {
        if let Some(file) = self.file(number) {
            file.pending.clear();
        }
    }

    /// What is found when the power comes back. No number of a file is used again.
    pub(super) fn after_a_cut(&self, loss: Loss, rng: &mut Rng) -> Self {
        let orders = self.nodes.values().flat_map(|node| match node {
            Node::File(file) => file.pending.first().map(|(order, _)| *order),
            Node::Folder(folder) => folder.pending.first().map(|(order, _)| *order),
        });
        let oldest = orders.min().unwrap_or(self.order);
        let upto = rng.u64(oldest.saturating_sub(1)..=self.order);
        let mut image = Self {
            next: self.next,
            ..Self::new(self.entries)
        };
        self.copy_folder(ROOT, &mut image, ROOT, loss, upto, rng);
        image
    }

    fn copy_folder(
        &self,
        number: u64,
        image: &mut Self,
        copy: u64,
        loss: Loss,
        upto: u64,
        rng: &mut Rng,
    ) {
        let Some(Node::Folder(folder)) = self.node(number) else {
            return;
        };
        for (name, node) in folder.survivor(loss, upto, rng) {
            match self.node(node) {
                Some(Node::File(file)) => {
                    let new = image.create(copy, &name, false);
                    let bytes = file.survivor(loss, upto, rng);
                    if let Some(file) = image.file(new) {
                        (file.now, file.safe) = (bytes.clone(), bytes);
                    }
                }
                Some(Node::Folder(_)) => {
                    let new = image.create(copy, &name, true);
                    self.copy_folder(node, image, new, loss, upto, rng);
                }
                None => {}
            }
        }
        image.sync_folder(copy);
    }
}
