//! The schema of a damaged store: the few pages that say where all else is. Until it is written anew as a whole, a store has it where a
//! store that was just made has it: what of it makes no sense is taken from such a one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use super::pages::{Owner, Pages, first_page_size};
use super::tree::{Kind, LEAST, MOST, SCHEMA};
use crate::store::inspect::mend_header;
use crate::store::wal::read_at;
use crate::store::{aside, connection};

/// The column with the root of each tree.
const ROOT: usize = 3;

/// The pages of the schema that make no sense, as they should be; none if that cannot be known.
pub(super) fn mended(pages: &mut Pages, view: &Path) -> io::Result<BTreeMap<u32, Vec<u8>>> {
    let mut mended = BTreeMap::new();
    let Some(mut new) = of_new_store(view, pages.size)? else {
        return Ok(mended);
    };
    let new_first = new.remove(&1);
    let mut first = pages.read(1)?;
    mend_header(&mut first, pages.last);
    match leaves(&first) {
        None => {
            mended.extend(new_first.map(|first| (1, first)));
        }
        Some(there) if there.iter().eq(new.keys()) => {}
        // It was written anew since.
        Some(_) => return Ok(mended),
    }
    let (all, mut same, mut lost) = (new.len(), 0, BTreeMap::new());
    for (page, new) in new {
        let bytes = pages.read(page)?;
        if bytes == new {
            same += 1;
        } else if is_damaged(pages, &bytes, &new)? {
            lost.insert(page, new);
        }
    }
    if all <= 2 * same {
        mended.append(&mut lost);
    }
    Ok(mended)
}

/// Whether a page that is not as that of a new store has changed by damage, and not because tables were made later: they have their
/// roots elsewhere, but where the map knows of a root.
fn is_damaged(pages: &mut Pages, page: &[u8], new: &[u8]) -> io::Result<bool> {
    let Some(roots) = SCHEMA.wholes(page, ROOT) else {
        return Ok(true);
    };
    let of_new = SCHEMA.wholes(new, ROOT).unwrap_or_default();
    if roots == of_new {
        return Ok(true);
    }
    for (root, _) in roots.iter().zip(&of_new).filter(|(root, new)| root != new) {
        let is_root = match u32::try_from(*root) {
            Ok(root) => pages.owner(root)? == Owner::Root,
            Err(_) => false,
        };
        if !is_root {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The pages below the first one, sorted; `None`: it is not the root of a schema.
fn leaves(first: &[u8]) -> Option<Vec<u32>> {
    if SCHEMA.keys(first).is_some() {
        return Some(Vec::new());
    }
    let children = Kind::Rows.children(first, LEAST, MOST)?;
    let mut leaves: Vec<u32> = children.into_iter().map(|(page, _)| page).collect();
    leaves.sort_unstable();
    Some(leaves)
}

/// The pages of the schema of a store that was just made; `None`: they have another size, or there is no room for one.
fn of_new_store(view: &Path, page_size: usize) -> io::Result<Option<BTreeMap<u32, Vec<u8>>>> {
    let new = aside::new_file(view);
    let made = connection::open_writer(&new).and_then(connection::close_new);
    let schema = made.ok().map(|()| schema_of(&new, page_size)).transpose();
    // Nothing is left of it.
    aside::new_file(view);
    schema.map(Option::flatten)
}

fn schema_of(store: &Path, page_size: usize) -> io::Result<Option<BTreeMap<u32, Vec<u8>>>> {
    let mut file = File::open(store)?;
    if first_page_size(&mut file)? != page_size {
        return Ok(None);
    }
    let mut read = |page: u32| {
        let mut bytes = vec![0; page_size];
        let at = u64::from(page - 1) * page_size as u64;
        read_at(&mut file, at, &mut bytes).map(|()| bytes)
    };
    let mut schema = BTreeMap::from([(1, read(1)?)]);
    for page in leaves(&schema[&1]).unwrap_or_default() {
        schema.insert(page, read(page)?);
    }
    Ok(Some(schema))
}
