//! SIGKILL under full load, all promises looked at after each.

use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::{Story, number, seed};

/// So many without `KILLS`.
const KILLS: u64 = 5;
const OF_A_STORE: u64 = 25;

#[test]
fn nothing_acknowledged_is_lost_when_the_gateway_is_killed() {
    let kills = number("KILLS").unwrap_or(KILLS);
    let seed = seed();
    let started = Instant::now();
    let mut readings = 0;
    for (store, first) in (0..kills).step_by(OF_A_STORE as usize).enumerate() {
        let mut rng = Rng::with_seed(seed.wrapping_add(store as u64));
        let mut story = Story::new();
        // Room for all that is queued: what a spent budget takes away is not lost.
        let site = story.site_within("64MiB");
        for _ in 0..OF_A_STORE.min(kills - first) {
            let gateway = site.start();
            story.check(site.look(), &gateway);
            story.ledger.keeper.visit(&gateway, 0);
            let stop = AtomicBool::new(false);
            // The moment of a kill, not something that is waited for.
            let moment = Duration::from_micros(rng.u64(1000..500_000));
            story.load(&gateway, &mut rng, &stop, || {
                thread::sleep(moment);
                crate::support::signal(gateway.pid(), "KILL");
            });
            gateway.kill();
        }
        let gateway = site.start();
        story.check(site.look(), &gateway);
        gateway.kill();
        readings += site.sql::<i64>("SELECT count(*) FROM readings");
    }
    println!(
        "{kills} kills in {:.1?}, {readings} readings stored",
        started.elapsed()
    );
}
