//! A disk that goes bad: nothing acknowledged is lost, nothing is acknowledged that is not there, `/healthz` says what is
//! wrong meanwhile, and the gateway goes on by itself when it is over. Whether it is there is asked after a power cut.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;
use fuser::Errno;

use super::clients::lasting;
use super::{Story, seed};
use crate::support::disk::{Disk, Faults, Unsynced};
use crate::support::frames::{PUBACK, Publish, V311, ack};
use crate::support::http::{get, metric};
use crate::support::raw::Raw;
use crate::support::{Gateway, Look, Site, command, wait_until};

/// A disk, and what happens on it.
struct Place {
    disk: Disk,
    story: Story,
    rng: Rng,
}

impl Place {
    /// With the site that stores there. `None`: there is no disk.
    fn new() -> Option<(Self, Site)> {
        let mut rng = Rng::with_seed(seed());
        let disk = Disk::mount(rng.u64(..))?;
        let story = Story::new();
        let site = story
            .site()
            .storing_at(disk.path("data/gateway.db"))
            .allow(&["log cannot be copied", "an HTTP request failed"]);
        Some((Self { disk, story, rng }, site))
    }

    /// Runs `meanwhile` while all clients do what they do.
    fn under_load(&mut self, gateway: &Gateway<'_>, meanwhile: impl FnOnce(&Disk)) {
        self.story.ledger.keeper.visit(gateway, 0).unwrap();
        let (disk, stop) = (&self.disk, AtomicBool::new(false));
        self.story.load(gateway, &mut self.rng, &stop, || {
            let _stop = StopOnDrop(&stop);
            commits_go_on(gateway);
            meanwhile(disk);
            commits_go_on(gateway);
        });
    }

    /// What a query finds in a copy of the store.
    fn look<T: rusqlite::types::FromSql>(&self, query: &str) -> T {
        let folder = tempfile::tempdir().unwrap();
        self.disk.copy("data", folder.path());
        Look(&folder.path().join("gateway.db")).sql(query)
    }

    fn check(&self, gateway: &Gateway<'_>) {
        let folder = tempfile::tempdir().unwrap();
        self.disk.copy("data", folder.path());
        let database = folder.path().join("gateway.db");
        self.story.check(Look(&database), gateway);
    }

    /// All promises, now and after a power cut.
    fn check_and_cut(&self, site: &Site, gateway: Gateway<'_>) {
        self.check(&gateway);
        self.disk.powers(gateway.pid());
        self.disk.cut();
        gateway.kill();
        self.disk.start_again();
        let gateway = site.start();
        self.check(&gateway);
        gateway.kill();
    }
}

/// Clients end also when the test fails.
struct StopOnDrop<'s>(&'s AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn committed(gateway: &Gateway<'_>) -> f64 {
    metric(gateway, "gateway_readings_committed_total")
}

fn commits_go_on(gateway: &Gateway<'_>) {
    let before = committed(gateway);
    wait_until("readings are committed", || {
        before + 300.0 < committed(gateway)
    });
}

fn is_unwell(gateway: &Gateway<'_>, why: &str) {
    wait_until("healthz says what is wrong", || {
        let answer = get(gateway, "/healthz");
        answer.status == 503 && answer.body.contains(why)
    });
}

fn is_well(gateway: &Gateway<'_>) {
    wait_until("healthz is 200", || get(gateway, "/healthz").status == 200);
}

/// The disk has a fault for a while, twice.
fn outlives(why: &str, fault: impl Fn(&mut Faults, u64)) {
    let Some((mut place, site)) = Place::new() else {
        return;
    };
    let gateway = site.start();
    for _ in 0..2 {
        place.under_load(&gateway, |disk| {
            let used = disk.used();
            disk.set(|faults| fault(faults, used));
            is_unwell(&gateway, why);
            disk.is_well();
            is_well(&gateway);
        });
    }
    place.check_and_cut(&site, gateway);
}

#[test]
fn a_full_disk() {
    outlives("No space left", |faults, used| {
        faults.size = used + (64 << 10);
    });
}

#[test]
fn a_quota() {
    outlives("uota exceeded", |faults, used| {
        (faults.size, faults.no_room) = (used + (64 << 10), Errno::EDQUOT);
    });
}

#[test]
fn a_disk_that_has_become_read_only() {
    outlives("Read-only", |faults, _| faults.read_only = true);
}

#[test]
fn errors_in_writing() {
    outlives("os error 5)", |faults, _| faults.write = true);
}

#[test]
fn errors_in_reading() {
    outlives("I/O error", |faults, _| faults.read = true);
}

/// SQLite says of them that the file is malformed.
#[test]
fn reads_that_fail_for_a_moment_are_no_damage() {
    let Some((mut place, site)) = Place::new() else {
        return;
    };
    let gateway = site.start();
    for count in [1, 1, 1, 1, 2, 3, 4, 8] {
        place.under_load(&gateway, |disk| {
            disk.set(|faults| faults.reads = count);
            wait_until("reads have failed", || {
                get(&gateway, "/api/v1/readings");
                disk.failures_to_come() == 0
            });
            is_well(&gateway);
        });
    }
    assert!(!gateway.log().contains("is damaged"));
    place.check_and_cut(&site, gateway);
}

/// Some syncs fail, of the log or of the database.
fn outlives_failed_syncs(of: &'static str, unsynced: Unsynced) {
    let Some((mut place, site)) = Place::new() else {
        return;
    };
    let gateway = site.start();
    for _ in 0..5 {
        place.under_load(&gateway, |disk| {
            disk.set(|faults| {
                (faults.syncs, faults.of, faults.unsynced) = (2, of, unsynced);
            });
            wait_until("syncs have failed", || disk.failures_to_come() == 0);
            is_well(&gateway);
        });
    }
    assert!(gateway.log().contains("os error 5)") || gateway.log().contains("disk I/O error"));
    place.check_and_cut(&site, gateway);
}

#[test]
fn failed_syncs_of_the_log_that_forget_what_they_should_have_written() {
    outlives_failed_syncs("-wal", Unsynced::Dropped);
}

#[test]
fn failed_syncs_of_the_log_that_keep_it() {
    outlives_failed_syncs("-wal", Unsynced::Kept);
}

#[test]
fn failed_syncs_of_the_database_that_forget_what_they_should_have_written() {
    outlives_failed_syncs(".db", Unsynced::Dropped);
}

/// What a sync has forgotten is still read by the gateway that starts next; the power is cut while it copies that.
#[test]
fn a_start_after_a_failed_sync_trusts_nothing_that_it_reads() {
    let Some((mut place, site)) = Place::new() else {
        return;
    };
    for _ in 0..12 {
        let gateway = site.start();
        place.check(&gateway);
        place.story.ledger.keeper.visit(&gateway, 0).unwrap();
        let Place { disk, story, rng } = &mut place;
        story.load(&gateway, rng, &AtomicBool::new(false), || {
            commits_go_on(&gateway);
            disk.set(|faults| {
                (faults.syncs, faults.of, faults.unsynced) = (u32::MAX, "-wal", Unsynced::Dropped);
            });
            is_unwell(&gateway, "I/O error");
            crate::support::signal(gateway.pid(), "KILL");
        });
        gateway.kill();
        disk.is_well();
        disk.cut_after(rng.u64(..150));
        match site.try_start_as(command(), |pid| disk.powers(pid)) {
            Ok(gateway) => {
                disk.cut();
                gateway.kill();
            }
            Err(log) => assert!(
                disk.is_cut_within(Duration::ZERO),
                "it does not open: {log}"
            ),
        }
        disk.start_again();
    }
    let gateway = site.start();
    place.check(&gateway);
    gateway.kill();
}

#[test]
fn a_slow_disk() {
    let Some((mut place, site)) = Place::new() else {
        return;
    };
    let gateway = site.start();
    place.under_load(&gateway, |disk| {
        disk.set(|faults| faults.sync_time = Duration::from_millis(500));
        let before = committed(&gateway);
        wait_until("commits go on", || before + 20.0 < committed(&gateway));
        assert_eq!(get(&gateway, "/healthz").status, 200);
        disk.is_well();
    });
    place.check_and_cut(&site, gateway);
}

/// A stranger that stays at a state of the store, and so keeps the log from being copied in full.
struct Stranger(Child);

impl Stranger {
    fn look(site: &Site) -> Self {
        let mut shell = Command::new("sqlite3")
            .arg("-readonly")
            .arg(site.database())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sqlite3 is there");
        let input = shell.stdin.as_mut().unwrap();
        writeln!(input, "BEGIN; SELECT count(*) FROM readings;").unwrap();
        let mut answer = String::new();
        let output = shell.stdout.as_mut().unwrap();
        BufReader::new(output).read_line(&mut answer).unwrap();
        assert!(0 < answer.trim().parse::<u64>().unwrap());
        Self(shell)
    }

    fn leave(mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

/// SQLite counts pages as copied before their sync, if it cannot copy all; a later sync that fails takes them along.
#[test]
fn what_was_copied_in_part_before_a_failed_sync_is_not_lost() {
    let Some((mut place, site)) = Place::new() else {
        return;
    };
    for _ in 0..3 {
        let gateway = site.start();
        place.under_load(&gateway, |disk| {
            let stranger = Stranger::look(&site);
            for _ in 0..8 {
                commits_go_on(&gateway);
            }
            disk.set(|faults| {
                (faults.syncs, faults.of, faults.unsynced) = (1, ".db", Unsynced::Dropped);
            });
            stranger.leave();
            wait_until("a sync has failed", || disk.failures_to_come() == 0);
            is_well(&gateway);
        });
        place.check_and_cut(&site, gateway);
    }
}

/// The room of the reserve is for what gives room back.
#[test]
fn confirmations_are_stored_on_a_full_disk_while_readings_wait() {
    let Some((mut place, site)) = Place::new() else {
        return;
    };
    let reserve = |place: &Place| place.disk.lengths("data")["gateway.db-reserve"];
    place.story.uplink.refuses(true);
    let gateway = site.start();
    let whole = reserve(&place);
    assert!(0 < whole);
    place.under_load(&gateway, |_| {});
    let waiting: i64 = place.look("SELECT count(*) FROM outbox");
    assert!(0 < waiting);
    let mut keeper = Raw::resume(&gateway, &lasting("keeper"));
    let shown = [(); 5].map(|()| keeper.unacknowledged());

    let used = place.disk.used();
    place.disk.set(|faults| faults.size = used + (64 << 10));
    let mut sensor = Raw::connect(&gateway, V311, "witness");
    let (mut sent, mut acked) = (0, 0);
    let lengths = || place.disk.lengths("data");
    let mut send_until_the_reserve_is_used = || {
        let is_used = |lengths: HashMap<String, u64>| {
            lengths["gateway.db-reserve"] == 0 && lengths["gateway.db-wal"] < whole / 4
        };
        while !is_used(lengths()) {
            if sent - acked < 20 {
                sent += 1;
                let text = "x".repeat(1000);
                let reading =
                    format!(r#"{{"sensor_id":"w","value":60,"seq":{sent},"text":"{text}"}}"#);
                sensor.send(&Publish::new("sensors/w", reading).qos(1, sent).bytes(V311));
            }
            acked += sensor.ping_past(PUBACK);
        }
    };
    send_until_the_reserve_is_used();
    // Somebody else takes so much that it cannot be made again, and no reading is tried.
    let size = lengths().values().sum::<u64>() + whole / 2;
    place.disk.set(|faults| faults.size = size);
    send_until_the_reserve_is_used();
    let of_witness = "SELECT count(*) FROM readings WHERE sensor_id = 'w'";
    let stored: i64 = place.look(of_witness);
    assert!(stored < i64::from(sent));
    place.story.uplink.refuses(false);
    wait_until("what was delivered is confirmed", || {
        place.look::<i64>("SELECT count(*) FROM outbox") == 0
    });
    let queued: i64 = place.look("SELECT count(*) FROM queued");
    for message in &shown {
        place
            .story
            .ledger
            .keeper
            .note(&message.topic, &message.payload);
        keeper.send(&ack(PUBACK, message.packet_id));
    }
    wait_until("what was acknowledged is taken away", || {
        place.look::<i64>("SELECT count(*) FROM queued") == queued - shown.len() as i64
    });
    let eaten = place.look::<i64>(of_witness) - stored;
    assert_eq!(eaten, 0, "readings have eaten the reserve");
    assert_eq!(get(&gateway, "/healthz").status, 503);

    place.disk.is_well();
    is_well(&gateway);
    wait_until("all is stored", || {
        place.look::<i64>(of_witness) == i64::from(sent)
    });
    assert_eq!(reserve(&place), whole);
    drop(keeper);
    place.check_and_cut(&site, gateway);
}

#[test]
fn a_start_on_a_full_disk() {
    let Some((mut place, site)) = Place::new() else {
        return;
    };
    let gateway = site.start();
    place.under_load(&gateway, |_| {});
    let reserve = |place: &Place| place.disk.lengths("data")["gateway.db-reserve"];
    let whole = reserve(&place);
    assert_eq!(gateway.stop().code(), Some(0));
    let used = place.disk.used();
    place.disk.set(|faults| faults.size = used);
    let gateway = site.start();
    assert!(
        reserve(&place) < whole,
        "there was no other room to start in"
    );
    place.disk.is_well();
    place.under_load(&gateway, |_| {});
    place.check_and_cut(&site, gateway);
}
