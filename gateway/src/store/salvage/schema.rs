//! The schema of a damaged store: the few pages that say where all else is. A store has it where a store that was just made has it,
//! unless it was written anew as a whole: what of it is lost is taken from such a one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use rusqlite::ErrorCode;

use super::pages::Pages;
use super::tree::{Kind, LEAST, MOST, SCHEMA};
use crate::store::inspect::mend_header;
use crate::store::wal::{USUAL_PAGE, read_at};
use crate::store::{StoreError, aside, connection};

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
    let new_first = new.remove(&1);
    let is_as_new = there.iter().flatten().eq(new.keys());
    if !is_as_new && is_sound(pages, there.as_deref())? {
        return Ok(mended);
    }
    let (all, mut same) = (new.len(), 0);
    for (page, new) in new {
        if pages.read(page)? == new {
            same += 1;
        } else {
            mended.insert(page, new);
        }
    }
    // With fewer, it is another schema, or stands elsewhere.
    if 2 * same < all {
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

fn failure(error: StoreError) -> io::Error {
    match error {
        StoreError::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
            io::ErrorKind::StorageFull.into()
        }
        error => io::Error::other(error),
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
