//! `restore`: what it refuses, what it puts aside, and with which ids the store goes on.

use std::fs;

use crate::support::Site;
use crate::support::http::{get_json, post_readings};

/// A site with a backup of its 100 readings, and 50 more since.
fn with_backup() -> Site {
    let site = Site::new();
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..100);
    site.succeed(&["backup", &site.name("b.db")]);
    post_readings(&gateway, "s1", 80.0, 100..150);
    assert_eq!(gateway.stop().code(), Some(0));
    site
}

fn aside(site: &Site) -> Vec<String> {
    let names = fs::read_dir(site.path(".")).unwrap();
    let mut names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("before-restore"))
        .collect();
    names.sort();
    names
}

#[test]
fn while_a_gateway_runs_nothing_is_restored_or_compacted() {
    let site = with_backup();
    let gateway = site.start();
    site.run(&["restore", &site.name("b.db")])
        .is_refused(74, &["a gateway runs", "stop it first"]);
    site.run(&["store", "compact"])
        .is_refused(74, &["a gateway runs", "stop it first"]);
    post_readings(&gateway, "s1", 80.0, 150..151);
    assert_eq!(gateway.stop().code(), Some(0));
    assert_eq!(site.sql::<i64>("SELECT count(*) FROM readings"), 151);
    assert!(aside(&site).is_empty());
}

#[test]
fn what_is_no_sound_store_of_this_version_is_refused_and_the_present_one_stays() {
    let site = with_backup();
    let whole = fs::read(site.path("b.db")).unwrap();
    let check = |contents: &[u8], parts: &[&str]| {
        fs::write(site.path("bad.db"), contents).unwrap();
        site.run(&["restore", &site.name("bad.db")])
            .is_refused(74, parts);
        assert_eq!(site.sql::<i64>("SELECT count(*) FROM readings"), 150);
        assert!(aside(&site).is_empty());
        assert!(!site.path("gateway.db-restore").exists());
    };
    check(b"", &["bad.db is not a gateway's store"]);
    check(
        b"no database at all, whatever its name says, and some more of it",
        &["bad.db is not a gateway's store"],
    );
    check(&whole[..whole.len() - 8192], &["bad.db is damaged"]);
    let mut torn = whole.clone();
    let middle = torn.len() / 4096 / 2 * 4096;
    torn[middle..middle + 512].fill(0x5a);
    check(&torn, &["bad.db is damaged"]);
    // `PRAGMA user_version` stands at byte 60 of the header.
    let mut newer = whole;
    newer[60..64].copy_from_slice(&99_u32.to_be_bytes());
    check(&newer, &["newer gateway", "schema 99"]);
    site.run(&["restore", &site.name("nowhere.db")])
        .is_refused(74, &["nowhere.db"]);
    site.run(&["restore", &site.name("gateway.db")])
        .is_refused(64, &["is the store itself"]);
}

#[test]
fn the_present_store_goes_aside_whole_and_ids_go_on_behind_its_own() {
    let site = with_backup();
    let before: i64 = site.sql("SELECT reading FROM counter");
    let store_id: String = site.sql("SELECT store_id FROM counter");
    let told = site.succeed(&["restore", &site.name("b.db")]);
    let names = aside(&site);
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(told.contains(&names[0]), "{told}");
    assert_eq!(
        site.sql_in::<i64>(&names[0], "SELECT count(*) FROM readings"),
        150
    );
    assert_eq!(site.sql::<i64>("SELECT count(*) FROM readings"), 100);
    assert_eq!(site.sql::<String>("SELECT store_id FROM counter"), store_id);
    let gateway = site.start();
    let items = get_json(&gateway, "/api/v1/readings?sensor=s1&limit=1000")["items"].clone();
    assert_eq!(items.as_array().unwrap().len(), 100);
    let newest: i64 = items[0]["id"].as_i64().unwrap();
    assert_eq!(newest, 100);
    post_readings(&gateway, "s1", 80.0, 0..1);
    let next: i64 = site.sql("SELECT max(id) FROM readings");
    assert!(before < next, "{before} < {next}");
    for counter in ["alert", "reject", "batch"] {
        let query = format!("SELECT {counter} FROM counter");
        assert!(
            site.sql_in::<i64>(&names[0], &query) < site.sql::<i64>(&query),
            "{counter}"
        );
    }
    assert_eq!(gateway.stop().code(), Some(0));
    let checked = site.succeed(&["store", "check"]);
    assert!(checked.contains("sound: 101 readings"), "{checked}");
}

#[test]
fn where_the_former_ids_are_not_known_the_store_gets_another_name() {
    let site = with_backup();
    let store_id: String = site.sql("SELECT store_id FROM counter");
    // On another machine.
    let other = Site::new();
    fs::copy(site.path("b.db"), other.path("b.db")).unwrap();
    let told = other.succeed(&["restore", &other.name("b.db")]);
    assert!(told.contains("new store_id"), "{told}");
    assert_ne!(
        other.sql::<String>("SELECT store_id FROM counter"),
        store_id
    );
    assert_eq!(other.sql::<i64>("SELECT count(*) FROM readings"), 100);
    // In the place of one that is damaged.
    fs::write(site.path("gateway.db"), "torn").unwrap();
    let told = site.succeed(&["restore", &site.name("b.db")]);
    assert!(told.contains("new store_id"), "{told}");
    let names = aside(&site);
    assert_eq!(fs::read(site.path(&names[0])).unwrap(), b"torn");
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..1);
    assert_eq!(site.sql::<i64>("SELECT count(*) FROM readings"), 101);
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn a_store_that_was_killed_goes_aside_with_what_is_in_its_log() {
    let site = Site::new();
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..100);
    site.succeed(&["backup", &site.name("b.db")]);
    post_readings(&gateway, "s1", 80.0, 100..150);
    gateway.kill();
    assert!(site.path("gateway.db-wal").metadata().unwrap().len() > 0);
    site.succeed(&["restore", &site.name("b.db")]);
    assert!(!site.path("gateway.db-wal").exists());
    let names = aside(&site);
    assert_eq!(
        site.sql_in::<i64>(&names[0], "SELECT count(*) FROM readings"),
        150
    );
    assert_eq!(site.sql::<i64>("SELECT count(*) FROM readings"), 100);
}

#[test]
fn a_copied_store_with_a_log_beside_it_is_restored_with_what_is_in_the_log() {
    let site = Site::new();
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..100);
    gateway.kill();
    let other = Site::new();
    for suffix in ["", "-wal"] {
        fs::copy(
            site.path(&format!("gateway.db{suffix}")),
            other.path(&format!("copy.db{suffix}")),
        )
        .unwrap();
    }
    other.succeed(&["restore", &other.name("copy.db")]);
    assert_eq!(other.sql::<i64>("SELECT count(*) FROM readings"), 100);
}
