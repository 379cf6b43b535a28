//! The kernel's side of the disk: its requests become changes of the image.
//!
//! All but the index of SQLite's log, which is mapped into memory, goes past the page cache, so that what is read and
//! written is seen here. Locks are kept by the kernel.

use std::ffi::OsStr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, OpenAccMode, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow,
    WriteFlags,
};

use super::image::{Node, ROOT};
use super::{Shared, State, Unsynced};

const BLOCK: u64 = 4096;

pub(super) struct Mounted(pub(super) Arc<Shared>);

/// Nothing is remembered by the kernel: the disk may be another one when it asks next.
const NOT_CACHED: Duration = Duration::ZERO;

/// Of what is mapped into memory; it is never synced, and does not count.
fn is_shared(name: &str) -> bool {
    name.ends_with("-shm")
}

fn text(name: &OsStr) -> Result<&str, Errno> {
    name.to_str().ok_or(Errno::EINVAL)
}

impl State {
    fn attributes(&self, number: u64) -> Result<FileAttr, Errno> {
        let node = self.image.node(number).ok_or(Errno::ENOENT)?;
        let (kind, perm, size, nlink) = match node {
            Node::File(file) => (FileType::RegularFile, 0o644, file.now.len(), file.links),
            Node::Folder(_) => (FileType::Directory, 0o755, 0, 2),
        };
        let time = SystemTime::UNIX_EPOCH;
        Ok(FileAttr {
            ino: INodeNo(number),
            size: size as u64,
            blocks: (size as u64).div_ceil(BLOCK) * (BLOCK / 512),
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind,
            perm,
            nlink,
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
            rdev: 0,
            blksize: BLOCK as u32,
            flags: 0,
        })
    }

    fn look_up(&mut self, parent: u64, name: &OsStr) -> Result<u64, Errno> {
        self.is_powered()?;
        let folder = self.image.folder(parent).ok_or(Errno::ENOENT)?;
        folder.now.get(text(name)?).copied().ok_or(Errno::ENOENT)
    }

    /// Before a change of files of this name.
    fn change(&mut self, name: &str) -> Result<(), Errno> {
        if !is_shared(name) {
            self.step()?;
        }
        self.is_powered()?;
        if self.faults.read_only {
            return Err(Errno::EROFS);
        }
        if self.faults.write && name.ends_with(self.faults.of) {
            return Err(Errno::EIO);
        }
        Ok(())
    }

    fn name_of(&mut self, number: u64) -> Result<String, Errno> {
        let file = self.image.file(number).ok_or(Errno::EIO)?;
        Ok(file.name.clone())
    }

    fn create(&mut self, parent: u64, name: &OsStr, is_folder: bool) -> Result<FileAttr, Errno> {
        let name = text(name)?;
        self.change(name)?;
        if self.faults.size <= self.image.used() {
            return Err(self.faults.no_room);
        }
        let number = self.image.create(parent, name, is_folder);
        self.attributes(number)
    }

    fn link(&mut self, node: u64, parent: u64, name: &OsStr) -> Result<FileAttr, Errno> {
        let name = text(name)?;
        self.change(name)?;
        self.image.link(node, parent, name);
        self.attributes(node)
    }

    fn remove(&mut self, parent: u64, name: &OsStr) -> Result<(), Errno> {
        let number = self.look_up(parent, name)?;
        self.change(text(name)?)?;
        if let Some(Node::Folder(folder)) = self.image.node(number)
            && !folder.now.is_empty()
        {
            return Err(Errno::ENOTEMPTY);
        }
        self.image.remove(parent, text(name)?);
        Ok(())
    }

    fn read(&mut self, number: u64, at: u64, size: u32) -> Result<&[u8], Errno> {
        self.is_powered()?;
        let faults = &mut self.faults;
        let file = self.image.file(number).ok_or(Errno::EIO)?;
        // What is mapped into memory stays in the page cache; a process that cannot have it is ended by the system.
        let may_fail = !is_shared(&file.name) && file.name.ends_with(faults.of);
        if may_fail && (faults.read || 0 < faults.reads) {
            faults.reads = faults.reads.saturating_sub(1);
            return Err(Errno::EIO);
        }
        let start = file.now.len().min(at as usize);
        let mut end = file.now.len().min(start + size as usize);
        if file.bad.contains(&start) {
            return Err(Errno::EIO);
        }
        if !file.bad.is_empty() && (start..end).contains(&file.bad.start) {
            end = file.bad.start;
        }
        Ok(&file.now[start..end])
    }

    /// How many bytes there is room for in a file, if it is to be so long.
    fn room(&mut self, number: u64, length: usize) -> Result<usize, Errno> {
        let free = self.faults.size.saturating_sub(self.image.used()) as usize;
        let file = self.image.file(number).ok_or(Errno::EIO)?;
        let most = file.now.len().div_ceil(BLOCK as usize) * BLOCK as usize + free;
        Ok(length.min(most))
    }

    /// Writes what there is room for.
    fn write(&mut self, number: u64, at: u64, data: &[u8]) -> Result<usize, Errno> {
        let name = self.name_of(number)?;
        self.change(&name)?;
        let at = at as usize;
        let end = self.room(number, at + data.len())?;
        let length = end.saturating_sub(at);
        if length == 0 && !data.is_empty() {
            return Err(self.faults.no_room);
        }
        self.image.write(number, at, &data[..length]);
        Ok(length)
    }

    fn set_length(&mut self, number: u64, length: u64) -> Result<(), Errno> {
        let name = self.name_of(number)?;
        self.change(&name)?;
        if self.room(number, length as usize)? < length as usize {
            return Err(self.faults.no_room);
        }
        self.image.set_length(number, length as usize);
        Ok(())
    }

    fn sync(&mut self, number: u64) -> Result<(), Errno> {
        let name = self.name_of(number)?;
        self.step()?;
        if 0 < self.faults.syncs && name.ends_with(self.faults.of) {
            self.faults.syncs -= 1;
            if self.faults.unsynced == Unsynced::Dropped {
                self.image.forget_pending(number);
            }
            return Err(Errno::EIO);
        }
        self.image.sync_file(number);
        Ok(())
    }

    fn rename(&mut self, from: (u64, &OsStr), to: (u64, &OsStr)) -> Result<(), Errno> {
        let number = self.look_up(from.0, from.1)?;
        self.change(text(from.1)?)?;
        let (from, to) = ((from.0, text(from.1)?), (to.0, text(to.1)?));
        self.image.rename(from, to, number);
        Ok(())
    }
}

/// Answers with what came of it.
macro_rules! answer {
    ($reply:ident, $outcome:expr, $value:pat => $say:expr) => {
        match $outcome {
            Ok($value) => $say,
            Err(error) => $reply.error(error),
        }
    };
}

impl Filesystem for Mounted {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let mut state = self.0.lock();
        let found = state.look_up(parent.0, name);
        let found = found.and_then(|number| state.attributes(number));
        answer!(reply, found, attr => reply.entry(&NOT_CACHED, &attr, Generation(0)));
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let found = self.0.lock().attributes(ino.0);
        answer!(reply, found, attr => reply.attr(&NOT_CACHED, &attr));
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut state = self.0.lock();
        let set = size.map_or(Ok(()), |size| state.set_length(ino.0, size));
        let set = set.and_then(|()| state.attributes(ino.0));
        answer!(reply, set, attr => reply.attr(&NOT_CACHED, &attr));
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        let made = self.0.lock().create(parent.0, name, true);
        answer!(reply, made, attr => reply.entry(&NOT_CACHED, &attr, Generation(0)));
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let made = self.0.lock().create(parent.0, name, false);
        let flags = flags_for(name);
        answer!(reply, made, attr => reply.created(&NOT_CACHED, &attr, Generation(0), FileHandle(0), flags));
    }

    fn link(&self, _: &Request, ino: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let made = self.0.lock().link(ino.0, parent.0, name);
        answer!(reply, made, attr => reply.entry(&NOT_CACHED, &attr, Generation(0)));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let removed = self.0.lock().remove(parent.0, name);
        answer!(reply, removed, () => reply.ok());
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let removed = self.0.lock().remove(parent.0, name);
        answer!(reply, removed, () => reply.ok());
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let to = (newparent.0, newname);
        let renamed = if flags.is_empty() {
            self.0.lock().rename((parent.0, name), to)
        } else {
            Err(Errno::EINVAL)
        };
        answer!(reply, renamed, () => reply.ok());
    }

    fn open(&self, _: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let mut state = self.0.lock();
        let is_for_reading = flags.acc_mode() == OpenAccMode::O_RDONLY;
        if state.faults.read_only && !is_for_reading {
            return reply.error(Errno::EROFS);
        }
        let opened = state.is_powered().and_then(|()| state.name_of(ino.0));
        answer!(reply, opened, name => reply.opened(FileHandle(0), flags_for(name.as_ref())));
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        answer!(reply, self.0.lock().read(ino.0, offset, size), data => reply.data(data));
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mut state = self.0.lock();
        let written = state.write(ino.0, offset, data);
        answer!(reply, written, length => reply.written(length as u32));
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let time = self.0.lock().faults.sync_time;
        thread::sleep(time);
        let synced = self.0.lock().sync(ino.0);
        answer!(reply, synced, () => reply.ok());
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let mut state = self.0.lock();
        let synced = state.step().map(|()| state.image.sync_folder(ino.0));
        answer!(reply, synced, () => reply.ok());
    }

    fn fallocate(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let mut state = self.0.lock();
        if mode != 0 {
            return reply.error(Errno::EOPNOTSUPP);
        }
        let Some(now) = state.image.file(ino.0).map(|file| file.now.len() as u64) else {
            return reply.error(Errno::EIO);
        };
        let set = state.set_length(ino.0, now.max(offset + length));
        answer!(reply, set, () => reply.ok());
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let state = self.0.lock();
        let Some(Node::Folder(folder)) = state.image.node(ino.0) else {
            return reply.error(Errno::ENOTDIR);
        };
        let selves = [(".", ino.0), ("..", ROOT)];
        let entries = folder.now.iter().map(|(name, node)| (&**name, *node));
        for (place, (name, node)) in (1..).zip(selves.into_iter().chain(entries)) {
            let kind = match state.image.node(node) {
                Some(Node::File(_)) => FileType::RegularFile,
                _ => FileType::Directory,
            };
            if offset < place && reply.add(INodeNo(node), place, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let state = self.0.lock();
        let blocks = state.faults.size / BLOCK;
        let free = blocks.saturating_sub(state.image.used() / BLOCK);
        reply.statfs(
            blocks,
            free,
            free,
            1000,
            1000,
            BLOCK as u32,
            255,
            BLOCK as u32,
        );
    }
}

fn flags_for(name: &OsStr) -> FopenFlags {
    if name.to_str().is_some_and(is_shared) {
        FopenFlags::empty()
    } else {
        FopenFlags::FOPEN_DIRECT_IO
    }
}
