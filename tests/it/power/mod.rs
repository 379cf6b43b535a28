//! The plug is pulled: what was acknowledged is there when the power comes back, and nothing that was delivered is new.
//!
//! All that happens is drawn from a seed, which is printed when it fails; `SEED` repeats it. `CUTS` and `KILLS` say how
//! often; `docs/measurements.md` has how often it was done.

mod check;
mod clients;
mod cuts;
mod faults;
mod kills;
mod uplink;

use std::sync::atomic::AtomicBool;

use fastrand::Rng;

use self::clients::Ledger;
use self::uplink::Uplink;
use crate::support::{Gateway, Site};

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

fn seed() -> u64 {
    let seed = number("SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("SEED={seed}");
    seed
}

/// A gateway's site, all that has been promised to its clients, and the receiver that it delivers to.
struct Story {
    ledger: Ledger,
    uplink: Uplink,
}

impl Story {
    fn new() -> Self {
        Self {
            ledger: Ledger::default(),
            uplink: Uplink::start(),
        }
    }

    /// With a small log, which is copied into the database every few commits.
    fn site(&self) -> Site {
        self.site_within("16MiB")
    }

    fn site_within(&self, budget: &str) -> Site {
        let limits = "[mqtt.limits]\nqueue_messages = 1000000\nqueue_bytes = \"256MiB\"\n";
        let section = self.uplink.section("batch_max_readings = 40\n");
        Site::with(&format!("{limits}{section}"))
            .environment("EDGE_GATEWAY_STORE__MAX_SIZE", budget)
            .allow(&[
                "commit failed",
                "batch not delivered",
                "cannot be looked after",
                "forwarding pauses",
            ])
    }

    /// All clients at once, until the gateway is gone or they are told to stop.
    fn load(
        &mut self,
        gateway: &Gateway<'_>,
        rng: &mut Rng,
        stop: &AtomicBool,
        meanwhile: impl FnOnce(),
    ) {
        self.ledger.load(gateway, rng, stop, meanwhile);
    }
}
