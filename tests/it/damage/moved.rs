//! Files that are deleted, renamed or replaced under the running gateway.

use super::*;
use crate::support::http::get;

const GONE: [&str; 3] = [
    "files of the store were deleted or replaced",
    "another store was put where the open one is",
    "commit failed",
];

/// What is taken away, and how.
type TakenAway = (&'static str, fn(&Site));

async fn intact(site: &Site, gateway: &Gateway<'_>, readings: i64) {
    eventually("the store is there again", || {
        site.path("gateway.db").exists().then_some(())
    })
    .await;
    takes_readings(site, gateway);
    assert_eq!(
        site.sql::<i64>("SELECT count(*) FROM readings"),
        readings + 1
    );
    assert_eq!(site.sql::<String>("PRAGMA integrity_check"), "ok");
    eventually("it is well", || {
        (get(gateway, "/readyz").status == 200).then_some(())
    })
    .await;
}

/// After each the process is killed: what was acknowledged has to be in the files.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_with_files_that_are_deleted_or_renamed() {
    let gone: [TakenAway; 6] = [
        ("the database", |site| {
            fs::remove_file(site.path("gateway.db")).unwrap();
        }),
        ("the log", |site| {
            fs::remove_file(site.path("gateway.db-wal")).unwrap();
        }),
        ("the shared memory", |site| {
            fs::remove_file(site.path("gateway.db-shm")).unwrap();
        }),
        ("all of it", |site| {
            for name in [
                "gateway.db",
                "gateway.db-wal",
                "gateway.db-shm",
                "gateway.db-lock",
            ] {
                fs::remove_file(site.path(name)).unwrap();
            }
        }),
        ("the database renamed", |site| {
            fs::rename(site.path("gateway.db"), site.path("elsewhere.db")).unwrap();
        }),
        ("another database in its place", |site| {
            fs::copy(site.path("other.db"), site.path("copy.db")).unwrap();
            fs::rename(site.path("copy.db"), site.path("gateway.db")).unwrap();
        }),
    ];
    let other = Site::new();
    other.start().stop();
    let site = Site::new().allow(&GONE);
    fs::copy(other.path("gateway.db"), site.path("other.db")).unwrap();
    let mut readings = 0;
    for (what, take_away) in gone {
        println!("{what}");
        let gateway = site.start();
        fill(&gateway);
        readings += i64::try_from(READINGS).unwrap();
        let store_id: String = site.sql("SELECT store_id FROM counter");
        take_away(&site);
        assert_eq!(
            post(&gateway, "/data", r#"{"id":"s1","value":7}"#).status,
            201
        );
        readings += 1;
        intact(&site, &gateway, readings).await;
        readings += 1;
        assert_eq!(site.sql::<String>("SELECT store_id FROM counter"), store_id);
        gateway.kill();
        let gateway = site.start();
        assert_eq!(
            site.sql::<i64>("SELECT count(*) FROM readings"),
            readings,
            "{what}"
        );
        assert!(moved(&site).is_empty());
        gateway.stop();
    }
    let entries = fs::read_dir(site.path("")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let replaced: Vec<_> = names.filter(|name| name.contains(".replaced-")).collect();
    assert!(!replaced.is_empty(), "what was not ours is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_writes_nothing_notices_as_well() {
    let site = Site::new().allow(&GONE);
    let gateway = site.start();
    fill(&gateway);
    fs::remove_file(site.path("gateway.db")).unwrap();
    eventually("the store is there again", || {
        site.path("gateway.db").exists().then_some(())
    })
    .await;
    assert_eq!(site.sql::<i64>("SELECT count(*) FROM readings"), 1000);
    gateway.kill();
}
