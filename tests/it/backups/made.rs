//! What `backup` refuses, and what it leaves behind.

use std::fs;
use std::fs::File;

use crate::support::Site;
use crate::support::http::{post, post_readings};

fn with_readings() -> Site {
    let site = Site::new();
    let gateway = site.start();
    post_readings(&gateway, "s1", 80.0, 0..100);
    assert_eq!(gateway.stop().code(), Some(0));
    site
}

#[test]
fn a_file_that_is_there_is_overwritten_only_when_asked_to() {
    let site = with_readings();
    fs::write(site.path("b.db"), "mine").unwrap();
    let file = site.name("b.db");
    site.run(&["backup", &file])
        .is_refused(64, &["b.db exists already", "--force"]);
    assert_eq!(fs::read(site.path("b.db")).unwrap(), b"mine");
    site.succeed(&["backup", &file, "--force"]);
    assert_eq!(
        site.sql_in::<i64>("b.db", "SELECT count(*) FROM readings"),
        100
    );
    site.run(&["backup", &site.name("gateway.db"), "--force"])
        .is_refused(64, &["is the store itself"]);
}

#[test]
fn a_backup_is_one_file_and_leaves_no_other_behind() {
    let site = with_readings();
    site.succeed(&["backup", &site.name("b.db")]);
    let names = fs::read_dir(site.path(".")).unwrap();
    let names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('b'))
        .collect();
    assert_eq!(names, ["b.db"]);
}

#[test]
fn what_a_former_try_left_is_taken_up_but_not_what_another_one_is_writing() {
    let site = with_readings();
    let partial = site.path("b.db.partial");
    fs::write(&partial, "left by a power cut").unwrap();
    let held = File::open(&partial).unwrap();
    held.lock().unwrap();
    site.run(&["backup", &site.name("b.db")])
        .is_refused(74, &["written by another backup"]);
    assert_eq!(fs::read(&partial).unwrap(), b"left by a power cut");
    drop(held);
    site.succeed(&["backup", &site.name("b.db")]);
    assert!(!partial.exists());
}

#[test]
fn where_there_is_no_store_the_path_is_named() {
    let site = Site::new();
    for words in [
        &["backup", "b.db"][..],
        &["export"],
        &["store", "check"],
        &["store", "stats"],
        &["store", "compact"],
    ] {
        site.run(words)
            .is_refused(74, &["there is no store at", "gateway.db"]);
    }
    assert!(!site.path("gateway.db").exists());
    assert!(!site.path("gateway.db-lock").exists());
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let site = with_readings();
    site.run(&["backup", &site.name("nowhere/b.db")])
        .is_refused(74, &["nowhere", "No such file"]);
}

#[test]
fn all_that_a_store_holds_is_in_its_backup() {
    let site = with_readings();
    let gateway = site.start();
    assert_eq!(
        post(&gateway, "/status?device_id=d1&status=online", "").status,
        200
    );
    assert_eq!(gateway.stop().code(), Some(0));
    site.change(
        "INSERT INTO reject VALUES (1, 'sensors/x', x'00', 'no', 5), (3, 'sensors/y', x'01', 'no', 6);
         UPDATE counter SET reject = 7;
         INSERT INTO dead_letter VALUES (4, 9, 1, 400, 'no', 5, 1);
         INSERT INTO dead_letter VALUES (9, 10, 1, 400, 'no', 5, 1);
         DELETE FROM dead_letter WHERE id = 9;
         INSERT INTO session VALUES (1, 'c', NULL, 4294967295, 5, 0);
         INSERT INTO subscription VALUES (1, 'a/#', 1, 0, 0, NULL, NULL);
         INSERT INTO retained VALUES ('a', x'61', 1, 8, '', NULL);",
    );
    site.succeed(&["backup", &site.name("b.db")]);
    let tables: Vec<String> = site.sql_all(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'sqlite_stat1' ORDER BY name",
    );
    assert!(20 < tables.len(), "{tables:?}");
    for table in tables {
        let columns: String = site.sql(&format!(
            "SELECT group_concat('quote(' || name || ')', ' || '',''  || ') FROM pragma_table_info('{table}')"
        ));
        let all = format!("SELECT {columns} FROM {table}");
        let (before, after): (Vec<String>, Vec<String>) =
            (site.sql_all(&all), site.sql_all_in("b.db", &all));
        assert_eq!(before, after, "{table}");
    }
    let schema = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name";
    let (before, after): (Vec<String>, Vec<String>) =
        (site.sql_all(schema), site.sql_all_in("b.db", schema));
    assert_eq!(before, after);
    for pragma in ["user_version", "page_size", "auto_vacuum"] {
        let pragma = format!("PRAGMA {pragma}");
        assert_eq!(
            site.sql::<i64>(&pragma),
            site.sql_in::<i64>("b.db", &pragma),
            "{pragma}"
        );
    }
}
