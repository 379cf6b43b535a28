//! The schema of a damaged store: the few pages that say where all else is. A store has it where a store that was just made has it,
//! unless it was written anew as a whole: what of it is lost is taken from such a one. Where a later version brought tables, pages of it have
//! moved behind the rows: then only those that have not are mended.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use super::pages::Pages;
use super::tree::{Kind, LEAST, MOST, SCHEMA};
use crate::store::connection::{self, KNOWN_SCHEMA};
use crate::store::inspect::mend_header;
use crate::store::wal::{USUAL_PAGE, number, read_at};
use crate::store::{StoreError, aside};

/// Where the header has the number of the schema.
const VERSION_AT: usize = 60;

/// The pages of the schema that are lost, as they should be; none if that cannot be known.
pub(super) fn mended(pages: &mut Pages, view: &Path) -> io::Result<BTreeMap<u32, Vec<u8>>> {
    let mut mended = BTreeMap::new();
    if pages.size != USUAL_PAGE {
        return Ok(mended);
    }
    let mut first = pages.read(1)?;
    mend_header(&mut first, pages.last);
    let there = leaves(&first);
    let mut new = of_new_store(view)?;
    let (new_first, all) = (new.remove(&1), new.len());
    let is_as_new = there.iter().flatten().eq(new.keys());
    let mut same = 0;
    for (page, new) in new {
        if pages.read(page)? == new {
            same += 1;
        } else {
            mended.insert(page, new);
        }
    }
    let is_present = i64::from(number(&first, VERSION_AT)) == KNOWN_SCHEMA;
    let may_be_another = !is_as_new && same < all || !is_present;
    if may_be_another && is_sound(pages, there.as_deref())? {
        return Ok(BTreeMap::new());
    }
    // With fewer, it is another schema, or stands elsewhere.
    if 2 * same < all && !(is_as_new && is_present) {
        mended.clear();
    }
    let is_first_lost = there.is_none() || (!is_as_new && all <= 2 * same);
    mended.extend(new_first.filter(|_| is_first_lost).map(|first| (1, first)));
    Ok(mended)
}

/// The pages below the first one, sorted; `None`: it is not the root of a schema.
pub(super) fn leaves(first: &[u8]) -> Option<Vec<u32>> {
    if SCHEMA.keys(first).is_some() {
        return Some(Vec::new());
    }
    let children = Kind::Rows.children(first, LEAST, MOST)?;
    let mut leaves: Vec<u32> = children.into_iter().map(|(page, _)| page).collect();
    leaves.sort_unstable();
    Some(leaves)
}

/// Whether all of them are pages of a schema.
fn is_sound(pages: &mut Pages, leaves: Option<&[u32]>) -> io::Result<bool> {
    let Some(leaves) = leaves else {
        return Ok(false);
    };
    for page in leaves {
        let is_page = (2..=pages.last).contains(page);
        if !is_page || SCHEMA.keys(&pages.read(*page)?).is_none() {
            return Ok(false);
        }
    }
    Ok(leaves.is_sorted_by(|one, next| one < next))
}

/// The pages of the schema of a store that was just made.
fn of_new_store(view: &Path) -> io::Result<BTreeMap<u32, Vec<u8>>> {
    let new = aside::new_file(view);
    let made = connection::open_writer(&new).and_then(connection::close_new);
    let schema = made.map_err(failure).and_then(|()| schema_of(&new));
    // Nothing is left of it.
    aside::new_file(view);
    schema
}

/// Whoever makes room, or a disk that takes something again, helps both.
fn failure(error: StoreError) -> io::Error {
    if error.is_of_disk() {
        io::ErrorKind::StorageFull.into()
    } else {
        io::Error::other(error)
    }
}

fn schema_of(store: &Path) -> io::Result<BTreeMap<u32, Vec<u8>>> {
    let mut file = File::open(store)?;
    let mut read = |page: u32| {
        let mut bytes = vec![0; USUAL_PAGE];
        let at = u64::from(page - 1) * USUAL_PAGE as u64;
        read_at(&mut file, at, &mut bytes).map(|()| bytes)
    };
    let mut schema = BTreeMap::from([(1, read(1)?)]);
    for page in leaves(&schema[&1]).unwrap_or_default() {
        schema.insert(page, read(page)?);
    }
    Ok(schema)
}
