//! Leaves of tables whose way from the root is lost: a page of a tree that says where others are has hundreds or, near the root, all of
//! them below it. They still say themselves what they are and which keys they have. They are found by reading the whole file once, and
//! get new pages above them, the highest in the place of the lost one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::{io, mem};

use rusqlite::Connection;

use super::pages::{Owner, Pages};
use super::source::readable;
use super::tree::{Key, Kind, LEAST, MOST, TABLES, Table};
use crate::store::StoreError;
use crate::store::inspect::LOCK_BYTE;
use crate::store::wal::number;

/// Deeper than any tree that a file has room for.
const DEEPEST: u32 = 20;
/// Who else leads to a contested page is known when all were walked through: then once more.
const WALKS: usize = 4;
/// Where the first page says which are free.
const FREE_AT: usize = 32;

/// A page that is lost: what hung below it had the keys after `after` up to `upto`.
#[derive(Debug)]
struct Gap {
    page: u32,
    after: Key,
    upto: Key,
    leaves: Vec<Leaf>,
    /// Keys on inner pages that are there, each between two leaves.
    between: BTreeSet<Key>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Leaf {
    first: Key,
    last: Key,
    page: u32,
}

/// What is to be read in place of what is there, so that the rows of these tables are found.
#[derive(Debug, Default)]
pub(super) struct Mended {
    pub(super) pages: BTreeMap<u32, Vec<u8>>,
    /// The readings for which that is.
    pub(super) late: Vec<[i64; 2]>,
}

/// Finds the leaves to which there is no way, and makes one.
pub(super) fn find(connection: &Connection, pages: &mut Pages) -> Result<Mended, StoreError> {
    let mut select = connection.prepare(
        "SELECT name, rootpage FROM sqlite_schema WHERE type = 'table' AND 0 < rootpage",
    )?;
    let mut rows = select.query([])?;
    let mut roots: Vec<(String, u32)> = Vec::new();
    while let Some(Some(row)) = readable(rows.next().map_err(StoreError::from))? {
        // One whose place makes no sense is none.
        let root = row.get(0).and_then(|name| Ok((name, row.get(1)?)));
        roots.extend(root.ok());
    }
    find_below(roots, pages).map_err(|source| StoreError::Unreadable {
        path: connection.path().unwrap_or_default().to_owned(),
        source,
    })
}

fn find_below(mut roots: Vec<(String, u32)>, pages: &mut Pages) -> io::Result<Mended> {
    let free = free(pages)?;
    let possible = 2..=pages.last;
    roots.retain(|(_, root)| possible.contains(root));
    let mut walk = Walk {
        reached: Reached::new(pages.last),
        contested: BTreeSet::new(),
        pages,
        gaps: Vec::new(),
    };
    let mut gaps = Vec::new();
    for _ in 0..WALKS {
        let known = walk.contested.len();
        gaps = walk.trees(&roots)?;
        if walk.contested.len() == known {
            break;
        }
    }
    gaps.retain(|(_, of_table)| !of_table.is_empty());
    let mut mended = Mended::default();
    if gaps.is_empty() {
        return Ok(mended);
    }
    let Walk { reached, pages, .. } = walk;
    pages.each(|page, bytes, owner| {
        if reached.has(page) || free.has(page) || owner == Owner::Other {
            return;
        }
        let may_be_below = |gap: &&mut Gap| match owner {
            Owner::Tree(parent) => parent == gap.page || !reached.has(parent),
            _ => true,
        };
        for (table, of_table) in &mut gaps {
            let leaf = table.keys(bytes);
            let between = table.kind.keys_between(bytes);
            for gap in of_table.iter_mut().filter(may_be_below) {
                if let Some((first, last)) = leaf
                    && gap.after < first
                    && last <= gap.upto
                {
                    gap.leaves.push(Leaf { first, last, page });
                    return;
                }
                let is_in = |key: &&Key| gap.after < **key && **key < gap.upto;
                gap.between.extend(between.iter().filter(is_in));
            }
        }
    })?;
    let mut next = pages.last + 1;
    for (table, of_table) in gaps {
        for mut gap in of_table {
            gap.leaves.sort_unstable();
            let mut end = gap.after;
            gap.leaves.retain(|leaf| {
                let is_behind = end < leaf.first;
                end = if is_behind { leaf.last } else { end };
                is_behind
            });
            if table.name == "reading" && !gap.leaves.is_empty() {
                mended.late.push([gap.after[0], gap.upto[0]]);
            }
            mend(&gap, table.kind, pages, &mut next, &mut mended.pages)?;
        }
    }
    Ok(mended)
}

/// Puts pages above the leaves of a gap, the highest in its place. Pairs stand also on inner pages, one between two leaves: where it is
/// gone, the last one of a leaf comes twice.
fn mend(
    gap: &Gap,
    kind: Kind,
    pages: &mut Pages,
    next: &mut u32,
    mended: &mut BTreeMap<u32, Vec<u8>>,
) -> io::Result<()> {
    let most = kind.fan_out(pages.size);
    let nexts = gap.leaves.iter().skip(1).map(|leaf| leaf.first);
    let mut level: Vec<(u32, Key)> = Vec::with_capacity(gap.leaves.len());
    for (leaf, next) in gap.leaves.iter().zip(nexts.chain([gap.upto])) {
        let between = (Bound::Excluded(leaf.last), Bound::Excluded(next));
        let is_room = leaf.last < next;
        let between = is_room.then(|| gap.between.range(between).next_back());
        level.push((leaf.page, between.flatten().copied().unwrap_or(leaf.last)));
    }
    while most < level.len() {
        // As even as can be: a page with one below it is no page of a tree.
        let parts = level.len().div_ceil(most);
        let bound = |part: usize| part * level.len() / parts;
        let mut above = Vec::with_capacity(parts);
        for part in 0..parts {
            let below = &level[bound(part)..bound(part + 1)];
            *next += u32::from(u64::from(*next - 1) == LOCK_BYTE / pages.size as u64);
            mended.insert(*next, kind.inner_page(below, pages.size));
            above.extend(below.last().map(|(_, last)| (*next, *last)));
            *next += 1;
        }
        level = above;
    }
    match level[..] {
        [] => {}
        [(leaf, _)] => {
            mended.insert(gap.page, pages.read(leaf)?);
        }
        _ => {
            mended.insert(gap.page, kind.inner_page(&level, pages.size));
        }
    }
    Ok(())
}

/// Pages to which there is a way.
struct Reached(Vec<u64>);

impl Reached {
    fn new(last: u32) -> Self {
        Self(vec![0; last as usize / 64 + 1])
    }

    fn has(&self, page: u32) -> bool {
        let word = self.0.get(page as usize / 64);
        word.is_none_or(|word| word & (1 << (page % 64)) != 0)
    }

    fn remove(&mut self, page: u32) {
        if let Some(word) = self.0.get_mut(page as usize / 64) {
            *word &= !(1 << (page % 64));
        }
    }

    fn add(&mut self, page: u32) {
        if let Some(word) = self.0.get_mut(page as usize / 64) {
            *word |= 1 << (page % 64);
        }
    }
}

/// A way through the inner pages of trees.
struct Walk<'p> {
    pages: &'p mut Pages,
    reached: Reached,
    /// Pages to which more than one leads. What is on them tells who is right.
    contested: BTreeSet<u32>,
    gaps: Vec<Gap>,
}

/// What is free has rows that were taken away.
fn free(pages: &mut Pages) -> io::Result<Reached> {
    let mut free = Reached::new(pages.last);
    let mut trunk = number(&pages.read(1)?, FREE_AT);
    while trunk != 0 && !free.has(trunk) {
        free.add(trunk);
        let page = pages.read(trunk)?;
        let count = number(&page, 4) as usize;
        for leaf in page[8..].chunks_exact(4).take(count) {
            free.add(number(leaf, 0));
        }
        trunk = number(&page, 0);
    }
    Ok(free)
}

impl Walk<'_> {
    /// Walks through all trees, and gives the gaps of those that are taken over. Of the others only which pages are theirs matters.
    fn trees(&mut self, roots: &[(String, u32)]) -> io::Result<Vec<(&'static Table, Vec<Gap>)>> {
        self.reached = Reached::new(self.pages.last);
        for page in [0, 1].iter().chain(roots.iter().map(|(_, root)| root)) {
            self.reached.add(*page);
        }
        let mut gaps = Vec::new();
        for (name, root) in roots {
            let table = TABLES.iter().find(|table| table.name == name);
            let kind = match table {
                Some(table) => Some(table.kind),
                None => Kind::of(&self.pages.read(*root)?),
            };
            if let Some(kind) = kind {
                self.tree(*root, kind)?;
            }
            let of_tree = mem::take(&mut self.gaps);
            gaps.extend(table.map(|table| (table, of_tree)));
        }
        Ok(gaps)
    }

    fn tree(&mut self, root: u32, kind: Kind) -> io::Result<()> {
        let mut seen = Reached::new(self.pages.last);
        let depth = self.depth_of_leaves(root, kind, 0, &mut seen)?;
        match depth {
            Some(0) => Ok(()),
            Some(depth) => self.below(root, kind, [LEAST, MOST], depth),
            None => {
                self.gap(root, [LEAST, MOST]);
                Ok(())
            }
        }
    }

    fn gap(&mut self, page: u32, [after, upto]: [Key; 2]) {
        self.gaps.push(Gap {
            page,
            after,
            upto,
            leaves: Vec::new(),
            between: BTreeSet::new(),
        });
    }

    /// How far below `page` the first leaf is that can be read. They are all so far.
    fn depth_of_leaves(
        &mut self,
        page: u32,
        kind: Kind,
        depth: u32,
        seen: &mut Reached,
    ) -> io::Result<Option<u32>> {
        if DEEPEST < depth || seen.has(page) {
            return Ok(None);
        }
        seen.add(page);
        let bytes = self.pages.read(page)?;
        if kind.is_leaf(&bytes) {
            return Ok(Some(depth));
        }
        for (child, _) in kind.children(&bytes, LEAST, MOST).unwrap_or_default() {
            if let Some(found) = self.depth_of_leaves(child, kind, depth + 1, seen)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Reaches what is below a page, or finds that it is lost. `height`: that of its leaves is 0.
    fn below(&mut self, page: u32, kind: Kind, within: [Key; 2], height: u32) -> io::Result<()> {
        let bytes = self.pages.read(page)?;
        let [mut after, upto] = within;
        let children = kind.children(&bytes, after, upto).unwrap_or_default();
        let mut is_sound = !children.is_empty();
        for (child, _) in &children {
            if self.reached.has(*child) {
                self.contested.insert(*child);
            }
            is_sound &= !self.contested.contains(child);
            self.reached.add(*child);
        }
        if !is_sound {
            children
                .iter()
                .for_each(|(child, _)| self.reached.remove(*child));
            self.gap(page, within);
            return Ok(());
        }
        if height == 1 {
            return Ok(());
        }
        for (child, upto) in children {
            self.below(child, kind, [after, upto], height - 1)?;
            after = upto;
        }
        Ok(())
    }
}
