//! Power cuts, on a disk that loses what was not synced.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::{Story, number, seed};
use crate::support::disk::{Disk, Loss};
use crate::support::{Gateway, Look, command};

/// So many without `CUTS`.
const CUTS: u64 = 50;
/// After so many in a row the next begin with a new store.
const OF_A_STORE: u64 = 25;
/// One that did not come by then comes now.
const LONGEST_LOAD: Duration = Duration::from_secs(2);

#[test]
fn nothing_acknowledged_is_lost_when_the_power_is_cut() {
    let cuts = number("CUTS").unwrap_or(CUTS);
    let seed = seed();
    let started = Instant::now();
    let mut account = Account::default();
    for (store, first) in (0..cuts).step_by(OF_A_STORE as usize).enumerate() {
        let mut rng = Rng::with_seed(seed.wrapping_add(store as u64));
        let count = OF_A_STORE.min(cuts - first);
        if cut(&mut rng, count, &mut account).is_none() {
            return;
        }
    }
    println!("{cuts} cuts in {:.1?}: {account:?}", started.elapsed());
}

/// What has happened, to be told at the end.
#[derive(Debug, Default)]
struct Account {
    in_start: u64,
    readings: i64,
    losses: BTreeMap<String, u64>,
}

/// Cuts in a row, all on one store. `None`: there is no disk.
fn cut(rng: &mut Rng, cuts: u64, account: &mut Account) -> Option<()> {
    let disk = Disk::mount(rng.u64(..))?;
    let mut story = Story::new();
    let site = story.site().storing_at(disk.path("data/gateway.db"));
    let check = |story: &Story, gateway: &Gateway<'_>| {
        let folder = tempfile::tempdir().unwrap();
        disk.copy("data", folder.path());
        let database = folder.path().join("gateway.db");
        story.check(Look(&database), gateway);
        Look(&database).sql::<i64>("SELECT count(*) FROM readings")
    };
    let mut done = 0;
    while done < cuts {
        let in_start = rng.u8(..5) == 0;
        if in_start {
            disk.cut_after(rng.u64(..60));
        }
        let gateway = match site.try_start_as(command(), |pid| disk.powers(pid)) {
            Ok(gateway) if !disk.is_cut_within(Duration::ZERO) => gateway,
            Ok(_) => {
                done += 1;
                account.in_start += 1;
                note(account, disk.start_again());
                continue;
            }
            Err(log) => {
                assert!(
                    disk.is_cut_within(Duration::ZERO),
                    "it does not open: {log}"
                );
                done += 1;
                account.in_start += 1;
                note(account, disk.start_again());
                continue;
            }
        };
        disk.stays_powered();
        check(&story, &gateway);
        story.ledger.keeper.visit(&gateway, 0);
        let most = 1 << rng.u32(3..=12);
        disk.cut_after(rng.u64(..most));
        let stop = AtomicBool::new(false);
        story.load(&gateway, rng, &stop, || {
            if !disk.is_cut_within(LONGEST_LOAD) {
                disk.cut();
            }
        });
        gateway.kill();
        note(account, disk.start_again());
        done += 1;
    }
    let gateway = site.start();
    account.readings += check(&story, &gateway);
    gateway.kill();
    Some(())
}

fn note(account: &mut Account, loss: Loss) {
    *account.losses.entry(format!("{loss:?}")).or_default() += 1;
}
