//! Places that the disk does not give back any more, while it gives others. They are found where they are needed: at a start, by who
//! reads, by who commits.

use std::ops::Range;

use super::*;
use crate::support::disk::Disk;
use crate::support::frames::{Publish, V5, V311};
use crate::support::http::metric;
use crate::support::raw::Raw;
use crate::support::{LIMIT, Look, command};

/// A card gives whole sectors or nothing.
const SECTOR: usize = 4096;

/// A site on a disk that can go bad, if there can be one.
async fn site_on_a_disk() -> Option<(Disk, RunningCloud, Site)> {
    let disk = Disk::mount(1)?;
    let (cloud, site) = site().await;
    let site = site.storing_at(disk.path("data/gateway.db")).allow(&[
        "an HTTP request failed",
        "forwarding pauses",
        "commit failed",
        "the store cannot be looked after",
    ]);
    Some((disk, cloud, site))
}

/// The same with so many thousands of readings, and no gateway that runs.
async fn filled_site(thousands: usize) -> Option<(Disk, RunningCloud, Site)> {
    let (disk, cloud, site) = site_on_a_disk().await?;
    let gateway = site.start();
    for _ in 0..thousands {
        fill(&gateway);
    }
    gateway.stop();
    Some((disk, cloud, site))
}

/// Asks in a copy: a process that has a database of a disk of its own open waits for itself.
fn sql<T: rusqlite::types::FromSql>(disk: &Disk, query: &str) -> T {
    let folder = tempfile::tempdir().unwrap();
    disk.copy("data", folder.path());
    Look(&folder.path().join("gateway.db")).sql(query)
}

/// Publishes five hundred readings, without waiting for an acknowledgement.
fn publish(gateway: &Gateway<'_>, reading: impl Fn(u16) -> String) -> Raw {
    let mut sensor = Raw::connect(gateway, V311, "sensor");
    for seq in 1..=500 {
        let publish = Publish::new("sensors/late", reading(seq)).qos(1, seq);
        sensor.send(&publish.bytes(V311));
    }
    sensor
}

fn sector_of(page: i64) -> Range<usize> {
    let at = (page as usize - 1) * 1024 / SECTOR * SECTOR;
    at..at + SECTOR
}

/// It serves, and what could be read is back; gives how many readings there are.
async fn serves_and_is_healed(disk: &Disk, site: &Site, gateway: &Gateway<'_>) -> i64 {
    serves(gateway).await;
    healed(site, gateway).await;
    assert_eq!(moved(site).len(), 1);
    assert_eq!(sql::<String>(disk, "PRAGMA integrity_check"), "ok");
    sql(disk, "SELECT count(*) FROM readings")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_every_start_needs() {
    let Some((disk, cloud, site)) = filled_site(2).await else {
        return;
    };
    let root = sql(&disk, &root_of("sensor"));
    disk.spoil("data", "gateway.db", sector_of(root));
    let gateway = site.start();
    let readings = serves_and_is_healed(&disk, &site, &gateway).await;
    // Names of sensors are in an index as well, and where the schema was is known.
    assert_eq!(readings, 2001);
    assert!(moved(&site)[0].to_string_lossy().ends_with("-unread"));
    cloud.set_outage(false);
    assert_eq!(gateway.stop().code(), Some(0));
}

/// Nothing is moved: what does not answer may come back.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_gives_nothing_when_the_gateway_starts() {
    let Some((disk, cloud, site)) = site_on_a_disk().await else {
        return;
    };
    let gateway = site.start();
    fill(&gateway);
    gateway.kill();
    for of in [".db", ""] {
        disk.set(|faults| (faults.read, faults.of) = (true, of));
        let refused = site.try_start_as(command(), |_| ());
        let log = refused.err().expect("there is nothing to start with");
        assert!(log.contains("the gateway does not start"), "{of}: {log}");
        disk.is_well();
        assert!(moved(&site).is_empty(), "{of}: {log}");
    }
    let gateway = site.start();
    assert_eq!(sql::<i64>(&disk, "SELECT count(*) FROM readings"), 1000);
    cloud.set_outage(false);
    assert_eq!(gateway.stop().code(), Some(0));
}

/// Nor is what does not answer for a moment.
#[tokio::test(flavor = "multi_thread")]
async fn reads_that_fail_while_the_gateway_starts() {
    let Some((disk, cloud, site)) = site_on_a_disk().await else {
        return;
    };
    let gateway = site.start();
    fill(&gateway);
    gateway.kill();
    let mut starts = 0;
    for (count, of) in (1..=16).flat_map(|count| [(count, ".db"), (count, "-wal")]) {
        disk.set(|faults| (faults.reads, faults.of) = (count, of));
        match site.try_start_as(command(), |_| ()) {
            Ok(gateway) => {
                starts += 1;
                gateway.kill();
            }
            Err(log) => assert!(log.contains("the gateway does not start"), "{log}"),
        }
        disk.is_well();
        assert!(moved(&site).is_empty(), "{count} of {of}");
    }
    assert!(0 < starts);
    let gateway = site.start();
    assert_eq!(sql::<i64>(&disk, "SELECT count(*) FROM readings"), 1000);
    cloud.set_outage(false);
    assert_eq!(gateway.stop().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_in_the_log() {
    let Some((disk, cloud, site)) = site_on_a_disk().await else {
        return;
    };
    let gateway = site.start();
    fill(&gateway);
    fill(&gateway);
    gateway.kill();
    let log = disk.lengths("data")["gateway.db-wal"] as usize;
    let at = log / 2 / SECTOR * SECTOR;
    disk.spoil("data", "gateway.db-wal", at..at + SECTOR);
    let gateway = site.start();
    let readings = serves_and_is_healed(&disk, &site, &gateway).await;
    // A page has some twenty.
    assert!(1850 < readings, "{readings}");
    assert!(moved(&site)[0].to_string_lossy().ends_with("-unread"));
    cloud.set_outage(false);
    assert_eq!(gateway.stop().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_a_reader_needs() {
    let Some((disk, cloud, site)) = filled_site(6).await else {
        return;
    };
    let gateway = site.start();
    let mut device = Raw::connect(&gateway, V5, "device");
    let length = disk.lengths("data")["gateway.db"] as usize;
    let middle = (length / 2).next_multiple_of(SECTOR);
    disk.spoil("data", "gateway.db", middle..middle + length / 8);
    send(&gateway, "GET /api/v1/readings?limit=10000", None, "").ok();
    // The same process, at the same address.
    assert!(device.is_closed_within(LIMIT));
    let readings = serves_and_is_healed(&disk, &site, &gateway).await;
    assert!(4500 < readings && readings < 6001, "{readings}");
    cloud.set_outage(false);
    assert_eq!(gateway.stop().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_says_where_others_are() {
    for which in ["path = '/'", "path <> '/'"] {
        let Some((disk, cloud, site)) = filled_site(6).await else {
            return;
        };
        let inner = format!(
            "SELECT max(pageno) FROM dbstat WHERE name = 'reading' AND pagetype = 'internal' AND {which}"
        );
        let sector = sector_of(sql(&disk, &inner));
        let gateway = site.start();
        disk.spoil("data", "gateway.db", sector);
        send(&gateway, "GET /api/v1/readings?limit=10000", None, "").ok();
        let readings = serves_and_is_healed(&disk, &site, &gateway).await;
        // The pages beside it may be of readings, of which each has some twenty.
        assert!(5900 < readings, "{which}: {readings}");
        cloud.set_outage(false);
        assert_eq!(gateway.stop().code(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_only_commits_need() {
    let Some((disk, cloud, site)) = site_on_a_disk().await else {
        return;
    };
    let gateway = site.start();
    for _ in 0..6 {
        fill(&gateway);
    }
    cloud.set_outage(false);
    eventually("all is delivered", || {
        (sql::<i64>(&disk, "SELECT count(*) FROM outbox") == 0).then_some(())
    })
    .await;
    gateway.stop();
    // What is free is read by nobody but who needs room.
    assert!(0 < sql::<i64>(&disk, "PRAGMA freelist_count"));
    let copy = tempfile::tempdir().unwrap();
    disk.copy("data", copy.path());
    let header = fs::read(copy.path().join("gateway.db")).unwrap();
    let free = i64::from(u32::from_be_bytes(header[32..36].try_into().unwrap()));
    let gateway = site.start();
    disk.spoil("data", "gateway.db", sector_of(free));
    let mut sensor = publish(&gateway, |seq| {
        format!(r#"{{"id":"late{seq}","value":60}}"#)
    });
    assert!(sensor.is_closed_within(2 * LIMIT));
    let readings = serves_and_is_healed(&disk, &site, &gateway).await;
    assert!(5850 < readings, "{readings}");
    assert_eq!(gateway.stop().code(), Some(0));
}

/// What fails once is no damage.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_of_a_commit_that_fails_for_a_moment() {
    let Some((disk, cloud, site)) = filled_site(1).await else {
        return;
    };
    let gateway = site.start();
    fill_memory(&gateway);
    disk.set(|faults| (faults.reads, faults.of) = (1, ".db"));
    let answer = post(&gateway, "/status?device_id=d1&status=online", "");
    assert_eq!(answer.status, 200);
    assert_eq!(disk.failures_to_come(), 0);
    assert!(moved(&site).is_empty());
    cloud.set_outage(false);
    assert_eq!(gateway.stop().code(), Some(0));
}

/// What a failed sync leaves behind is on the disk or not: what is known of the sensors follows what there is.
#[tokio::test(flavor = "multi_thread")]
async fn syncs_that_fail_while_a_damaged_store_is_taken_over() {
    let Some((disk, cloud, site)) = filled_site(6).await else {
        return;
    };
    let root = sql(&disk, &root_of("sensor"));
    disk.spoil("data", "gateway.db", sector_of(root));
    let gateway = site.start();
    eventually("it is taken over", || {
        // What failed is to succeed before the next one fails.
        if send(&gateway, "GET /healthz", None, "").is_ok_and(|answer| answer.status == 200) {
            disk.set(|faults| (faults.syncs, faults.of) = (1, "gateway.db-wal"));
        }
        let folder = moved(&site).pop()?;
        folder.join("salvaged.txt").exists().then_some(())
    })
    .await;
    disk.is_well();
    assert!(0.0 < metric(&gateway, "gateway_commit_failures_total"));
    assert_eq!(serves_and_is_healed(&disk, &site, &gateway).await, 6001);
    let told = get_json(&gateway, "/api/v1/sensors");
    let counts = told["items"].as_array().unwrap().iter();
    let counts: Vec<_> = counts.map(|sensor| sensor["count"].as_i64()).collect();
    assert_eq!(counts.iter().flatten().sum::<i64>(), 6001, "{told}");
    let waiting: i64 = sql(&disk, "SELECT count(*) FROM outbox");
    assert_eq!(get_json(&gateway, "/api/v1/outbox")["pending"], waiting);
    cloud.set_outage(false);
    assert_eq!(gateway.stop().code(), Some(0));
}

/// What is written ahead of readings that find no room meets damage: the grace of a stop is not waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_needed_while_there_is_no_room() {
    let Some((disk, cloud, site)) = filled_site(6).await else {
        return;
    };
    let second = "SELECT pageno FROM dbstat WHERE name = 'outbox_entry' AND pagetype = 'leaf' ORDER BY path LIMIT 1 OFFSET 1";
    let sector = sector_of(sql(&disk, second));
    let mut command = command();
    command.env("EDGE_GATEWAY_SHUTDOWN_GRACE", "1h");
    let gateway = site.start_as(command);
    let size = disk.used() + (64 << 10);
    disk.set(|faults| faults.size = size);
    let text = "x".repeat(1000);
    let _sensor = publish(&gateway, |_| {
        format!(r#"{{"id":"late","value":1,"text":"{text}"}}"#)
    });
    eventually("there is no room", || {
        let answer = send(&gateway, "GET /healthz", None, "").ok()?;
        answer.body.contains("No space left").then_some(())
    })
    .await;
    disk.spoil("data", "gateway.db", sector);
    cloud.set_outage(false);
    eventually("what the cloud confirms meets it", || moved(&site).pop()).await;
    disk.is_well();
    let readings = serves_and_is_healed(&disk, &site, &gateway).await;
    assert!(5950 < readings, "{readings}");
    assert_eq!(gateway.stop().code(), Some(0));
}
