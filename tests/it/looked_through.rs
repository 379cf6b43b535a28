//! `edge-gateway store`: a sound store is called sound, each kind of damage is named, figures are true, and compacting loses
//! nothing.

use std::fs;
use std::io::{Seek, SeekFrom, Write};

use serde_json::Value;

use crate::support::http::{get_json, post_readings};
use crate::support::{Site, repository};

/// More than one block of the index, ended in order.
fn with_readings() -> Site {
    let site = Site::new();
    let gateway = site.start();
    for part in 0..20 {
        post_readings(
            &gateway,
            ["s1", "s2"][part as usize % 2],
            80.0,
            part * 2000..(part + 1) * 2000,
        );
    }
    let said = site.succeed(&["store", "check"]);
    assert!(
        said.contains("sound: 40000 readings") && said.contains("a gateway runs"),
        "{said}"
    );
    assert_eq!(gateway.stop().code(), Some(0));
    site
}

#[test]
fn each_kind_of_damage_is_named() {
    let site = with_readings();
    assert_eq!(site.succeed(&["store", "check"]), "sound: 40000 readings\n");
    let whole = fs::read(site.path("gateway.db")).unwrap();
    for (damage, told) in [
        (
            "UPDATE counter SET reading = 39999",
            "the newest reading is 40000, but numbers were given up to 39999",
        ),
        ("UPDATE counter SET alert = 7", "the newest alert is 40000"),
        (
            "UPDATE counter SET sensors_saved_upto = 50000",
            "written behind is 50000",
        ),
        ("DELETE FROM counter", "the counters are missing"),
        (
            "DELETE FROM reading WHERE id = 39000",
            "reading 39000 is to be delivered and is not there",
        ),
        (
            "UPDATE reading SET sensor = 9 WHERE id = 35000",
            "1 rows of sensors that are not there",
        ),
        (
            "UPDATE reading SET attributes = '{' WHERE id = 35000",
            "1 rows whose tags or attributes are no JSON",
        ),
        (
            "UPDATE reading SET ts = 'now' WHERE id = 35000",
            "1 rows that are no readings",
        ),
        (
            "UPDATE reading_block SET min_ts = 0",
            "index: not as the readings from 0 to 32767",
        ),
        (
            "DELETE FROM reading_pack",
            "index: not as the readings from 0 to 32767",
        ),
        (
            "UPDATE reading SET value = 81 WHERE id = 20000",
            "index: not as the readings from 0 to 32767",
        ),
        (
            "UPDATE sensor SET key = 5 WHERE key = 2",
            "1 have a key that is not their place",
        ),
        (
            "INSERT INTO batch VALUES (0, 1, 'g', 'batch', 'gzip', 0, 1, 1, '[')",
            "the list of batch 0 makes no sense",
        ),
        (
            "INSERT INTO batch VALUES (0, 1, 'g', 'batch', 'gzip', 0, 2, 1, '[1]')",
            "batch 0 is not what it says",
        ),
        (
            "INSERT INTO batch VALUES (0, 1, 'g', 'batch', 'gzip', 0, 1, 1, '[1]')",
            "reading 1 of batch 0 waits outside of it as well",
        ),
        (
            "UPDATE outbox_entry SET uplink = 7 WHERE reading = 1",
            "uplink 7, which is not there",
        ),
        (
            "INSERT INTO dead_letter VALUES (1, 1, 7, 400, '', 0, 1)",
            "1 belong to no uplink",
        ),
        (
            "UPDATE alert SET state = 'odd' WHERE id = 3",
            "3 is in a state that nobody knows",
        ),
    ] {
        fs::write(site.path("gateway.db"), &whole).unwrap();
        site.change(damage);
        let ended = site.run(&["store", "check"]);
        assert_eq!(ended.code, Some(1), "{damage}: {ended:?}");
        assert!(ended.stdout.contains(told), "{damage}: {ended:?}");
    }
}

#[test]
fn torn_pages_are_found() {
    let site = with_readings();
    let whole = fs::read(site.path("gateway.db")).unwrap();
    let pages = whole.len() / 1024;
    for page in (1..pages).step_by(pages / 12) {
        fs::write(site.path("gateway.db"), &whole).unwrap();
        let mut file = fs::File::options()
            .write(true)
            .open(site.path("gateway.db"))
            .unwrap();
        file.seek(SeekFrom::Start(page as u64 * 1024)).unwrap();
        file.write_all(&[0xa5; 512]).unwrap();
        drop(file);
        let ended = site.run(&["store", "check"]);
        assert_eq!(ended.code, Some(1), "page {page}: {ended:?}");
        assert!(ended.stdout.contains("faults"), "page {page}: {ended:?}");
    }
}

#[test]
fn rows_of_ended_sessions_are_no_fault() {
    let site = with_readings();
    site.change("INSERT INTO exchange VALUES (5, 1)");
    let said = site.succeed(&["store", "check"]);
    assert!(said.contains("no fault: exchange: 1 rows"), "{said}");
    let gateway = site.start();
    assert_eq!(gateway.stop().code(), Some(0));
    assert_eq!(site.succeed(&["store", "check"]), "sound: 40000 readings\n");
}

#[test]
fn a_wrong_count_of_what_waits_is_no_fault_and_is_told() {
    let site = with_readings();
    site.change("DELETE FROM outbox_entry WHERE reading = 1");
    let said = site.succeed(&["store", "check"]);
    let told = "no fault: outbox: 39999 readings wait for uplink 1, and 40000 are said to";
    assert!(said.contains(told), "{said}");
    site.change("UPDATE counter SET outbox = NULL");
    assert_eq!(site.succeed(&["store", "check"]), "sound: 40000 readings\n");
    let gateway = site.start();
    let outbox = get_json(&gateway, "/api/v1/outbox");
    assert_eq!(outbox["pending"], 39_999, "{outbox}");
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn figures_are_true() {
    let site = with_readings();
    let stats: Value =
        serde_json::from_str(&site.succeed(&["store", "stats", "--format", "json"])).unwrap();
    assert_eq!(stats["readings"], 40_000);
    assert_eq!(stats["last_reading"], 40_000);
    assert_eq!(stats["sensors"], 2);
    assert_eq!(stats["busiest"][0]["readings"], 20_000);
    assert_eq!(stats["outbox"][0]["pending"], 40_000);
    assert_eq!(
        stats["oldest"],
        site.sql::<i64>("SELECT received_at FROM readings WHERE id = 1")
    );
    assert_eq!(
        stats["newest"],
        site.sql::<i64>("SELECT received_at FROM readings WHERE id = 40000")
    );
    let bytes = stats["database_bytes"].as_i64().unwrap();
    assert_eq!(
        bytes,
        site.path("gateway.db").metadata().unwrap().len() as i64
    );
    let tables = stats["tables"].as_array().unwrap();
    let names: Vec<String> = site
        .sql_all("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'");
    assert_eq!(tables.len(), names.len());
    for table in tables {
        let name = table["name"].as_str().unwrap();
        assert_eq!(
            table["rows"],
            site.sql::<i64>(&format!("SELECT count(*) FROM {name}")),
            "{name}"
        );
        let by_sqlite: i64 = site.sql(&format!(
            "SELECT sum(pgsize) FROM dbstat WHERE name IN (SELECT name FROM sqlite_schema WHERE tbl_name = '{name}')"
        ));
        assert_eq!(table["bytes"], by_sqlite, "{name}");
    }
    let text = site.succeed(&["store", "stats"]);
    assert!(
        text.contains("readings             40000") && text.contains("cloud: 40000 readings wait"),
        "{text}"
    );
}

#[test]
fn compacting_gives_back_room_and_loses_nothing() {
    let site = with_readings();
    // With pages as they were before decision 8.
    site.change(
        "PRAGMA journal_mode = delete; PRAGMA page_size = 4096; VACUUM; PRAGMA journal_mode = wal",
    );
    assert_eq!(site.sql::<i64>("PRAGMA page_size"), 4096);
    site.change("DELETE FROM alert; DELETE FROM outbox_entry");
    let before = site.path("gateway.db").metadata().unwrap().len();
    let all = "SELECT sum(id * value + ts) FROM readings";
    let sum: f64 = site.sql(all);
    let told = site.succeed(&["store", "compact"]);
    let after = site.path("gateway.db").metadata().unwrap().len();
    assert!(
        told.starts_with(&format!("{before} bytes before, {after} now")),
        "{told}"
    );
    assert!(after < before, "{told}");
    assert_eq!(site.sql::<i64>("PRAGMA page_size"), 1024);
    assert_eq!(site.sql::<f64>(all), sum);
    assert!(!site.path("gateway.db-compact").exists());
    let gateway = site.start();
    let page = get_json(&gateway, "/api/v1/readings?sensor=s1&limit=1");
    assert_eq!(page["items"][0]["id"], 38_000);
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn a_store_of_an_older_version_is_named_as_that() {
    let site = Site::new();
    let folder = repository().join("gateway/src/store/migrations");
    site.change(&fs::read_to_string(folder.join("0001_init.sql")).unwrap());
    site.change("PRAGMA user_version = 1; INSERT INTO counter VALUES (1, 'abc', 0, 0, 0, 0, 0, 0)");
    for words in [&["export"][..], &["store", "check"], &["store", "stats"]] {
        site.run(words)
            .is_refused(74, &["older gateway", "schema 1"]);
    }
    site.succeed(&["backup", &site.name("b.db")]);
    assert_eq!(
        site.sql_in::<String>("b.db", "SELECT store_id FROM counter"),
        "abc"
    );
}
