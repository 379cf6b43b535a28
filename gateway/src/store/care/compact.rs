//! Writing the store anew without the room that it does not use any more.

use std::path::Path;

use super::check::prove;
use super::files::{Partial, bytes_in_use, fold_log, has_room, hold, open_to_read};
use super::{CareError, Progress};
use crate::store::StoreError;

/// A store that was written anew.
#[derive(Clone, Copy, Debug)]
pub struct Compacted {
    pub bytes_before: u64,
    pub bytes: u64,
}

/// Writes the store at `path` anew, while no gateway runs on it.
pub fn compact(path: &Path, progress: Progress<'_>) -> Result<Compacted, CareError> {
    // First of all: holding a store makes its folder.
    drop(open_to_read(path)?);
    let _lock = hold(path)?;
    if !fold_log(path) {
        return Err(StoreError::CheckpointBusy.into());
    }
    let (source, _) = open_to_read(path)?;
    has_room(path, bytes_in_use(&source)?)?;
    let bytes_before = path.metadata().map_err(CareError::at(path))?.len();
    let partial = Partial::beside(path, "-compact")?;
    progress("writing", 0, 1);
    partial.vacuum_from(&source)?;
    // What has the file open in the moment of the exchange would go on with the old one.
    drop(source);
    prove(partial.path(), progress)?.must_be_sound(path)?;
    partial.belong_as(path);
    let bytes = partial
        .path()
        .metadata()
        .map_err(CareError::at(path))?
        .len();
    if !fold_log(path) {
        return Err(StoreError::CheckpointBusy.into());
    }
    partial.place(path, true)?;
    Ok(Compacted {
        bytes_before,
        bytes,
    })
}
