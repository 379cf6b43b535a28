use std::fs;

use super::*;
use crate::store::Writer;

/// What is said of a store whose first page was changed.
fn check(change: impl FnOnce(&mut Vec<u8>), kind: Option<Kind>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.db");
    let mut writer = Writer::open(&path).unwrap();
    writer.set_budget(64 << 20).unwrap();
    writer.end();
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::write(&path, bytes).unwrap();
    let found = look(&path, true);
    assert_eq!(found.damage.map(|damage| damage.kind), kind);
}

#[test]
fn a_header_says_what_all_of_ours_say() {
    check(|_| {}, None);
    for at in [0, 15, 16, 17, 18, 19, 20, 21, 22, 23, 44, 47, 56, 59] {
        check(|bytes| bytes[at] ^= 0x81, Some(Kind::NotADatabase));
    }
    // The number of changes, the free pages, the schema's number: nothing can be said of them.
    check(|bytes| bytes[27] ^= 1, None);
}

#[test]
fn a_file_that_is_cut_is_seen_at_once() {
    check(
        |bytes| bytes.truncate(bytes.len() - 1),
        Some(Kind::Truncated),
    );
    check(|bytes| bytes.truncate(1024), Some(Kind::Truncated));
    check(Vec::clear, Some(Kind::Empty));
}

#[test]
fn what_is_not_there_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.db");
    assert_eq!(look(&path, true).damage, None);
    fs::write(&path, "").unwrap();
    // Somebody made the file for a gateway that is still to come.
    assert_eq!(look(&path, false).damage, None);
    let below = folder.path().join("gateway.db/folder");
    assert_eq!(look(&below, true).damage, None);
}

/// The power went in the middle of the first start.
#[test]
fn what_was_never_made_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.db");
    fs::write(&path, "").unwrap();
    assert_eq!(look(&path, true).damage, None);
    fs::write(&path, [7; 5000]).unwrap();
    assert!(look(&path, true).damage.is_some());
    fs::write(beside(&path, "-journal"), "what SQLite takes back").unwrap();
    assert_eq!(look(&path, true).damage, None);
}

#[test]
fn the_header_of_a_view_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.db");
    Writer::open(&path).unwrap().end();
    let whole = fs::read(&path).unwrap();
    let mut page = whole[..1024].to_vec();
    let pages = u32::try_from(whole.len() / 1024).unwrap();
    page[..24].fill(7);
    page[44..48].fill(7);
    page[56..60].fill(7);
    mend_header(&mut page, pages);
    page[24..28].copy_from_slice(&whole[24..28]);
    page[92..96].copy_from_slice(&whole[92..96]);
    assert_eq!(page, &whole[..1024]);
}
