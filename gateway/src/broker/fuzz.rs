//! Hostile clients, drawn from a seed: sound, damaged and handmade frames of both versions in pieces of any size, from
//! several clients at once that share topics and take each other's sessions over. Whatever they do, the gateway must not
//! panic, hang, grow, say what the specification does not allow, or forget who keeps to the rules.
//!
//! `FUZZ_SEED` draws the same frames again (in which order the committer gets to them is the machine's), `FUZZ_FRAMES`
//! says how many there are.

mod bytes;
mod canary;
mod forge;
mod house;
mod mutation;
mod packets;
mod regressions;
mod visit;
mod watcher;

use std::sync::Arc;
use std::time::Instant;

use fastrand::Rng;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use self::canary::{Canary, end_session};
use self::house::House;
use self::mutation::Corpus;

const FRAMES: u64 = 20_000;
/// A round has so many at the most, in two gateways after each other on one store.
const ROUND: u64 = 10_000;
const CLIENTS: usize = 12;
/// After so many visits the canary sings.
const VISITS: usize = 100;

#[test]
fn nobody_who_is_hostile_does_any_harm() {
    let seed = setting("FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..));
    let frames = setting("FUZZ_FRAMES").unwrap_or(FRAMES);
    println!("FUZZ_SEED={seed} FUZZ_FRAMES={frames}");
    let (mut rng, started) = (Rng::with_seed(seed), Instant::now());
    let corpus = Arc::new(Corpus::read());
    let mut sent = Sent::default();
    let mut rounds = 0;
    while sent.frames < frames {
        // One thread repeats itself best, two meet each other.
        let runtime = runtime(1 + rounds % 2);
        let most = (frames - sent.frames).min(ROUND);
        runtime.block_on(round(&mut rng, most, &corpus, &mut sent));
        rounds += 1;
        if rounds.is_multiple_of(50) {
            println!("{sent:?} in {:.0?}", started.elapsed());
        }
    }
    println!("{sent:?} in {:.0?}, {rounds} rounds", started.elapsed());
}

/// What was done so far.
#[derive(Debug, Default)]
struct Sent {
    frames: u64,
    visits: usize,
}

/// A fresh store; half of the frames come before a restart, half after it. In the end nobody is owed anything.
async fn round(rng: &mut Rng, frames: u64, corpus: &Arc<Corpus>, sent: &mut Sent) {
    let folder = tempfile::tempdir().unwrap();
    let goal = sent.frames + frames;
    for (goal, is_last) in [(goal - frames / 2, false), (goal, true)] {
        let house = House::open(folder.path());
        tokio::select! {
            () = receive(&house, rng, goal, corpus, sent, is_last) => {}
            trouble = house.trouble() => panic!("the committer: {trouble}"),
        }
        if is_last {
            house.check_is_empty();
        }
        let reader = house.close().await;
        let owed = reader.owed_rows().unwrap();
        let is_nothing = owed.iter().all(|(_, rows)| *rows == 0);
        assert!(is_nothing || !is_last, "{owed:?}");
    }
}

/// Lets clients in until there are so many frames; `is_last`: and ends all sessions.
async fn receive(
    house: &House,
    rng: &mut Rng,
    goal: u64,
    corpus: &Arc<Corpus>,
    sent: &mut Sent,
    is_last: bool,
) {
    let mut canary = Canary::connect(&house.shared, &house.stop).await;
    canary.sing().await;
    let mut visits = JoinSet::new();
    while sent.frames < goal || !visits.is_empty() {
        while sent.frames < goal && visits.len() < CLIENTS {
            let (shared, stop) = (Arc::clone(&house.shared), house.stop.clone());
            let (corpus, seed) = (Arc::clone(corpus), rng.u64(..));
            visits.spawn(async move { visit::visit(seed, &shared, &stop, &corpus).await });
        }
        if let Some(ended) = visits.join_next().await {
            sent.frames += ended.unwrap();
            sent.visits += 1;
        }
        if sent.visits.is_multiple_of(VISITS) {
            canary.sing().await;
            house.check_bounds(CLIENTS);
        }
    }
    canary.sing().await;
    if is_last {
        for client_id in house.reader.session_owners().unwrap() {
            end_session(&client_id, &house.shared, &house.stop).await;
        }
    }
    canary.leave().await;
}

fn runtime(threads: usize) -> Runtime {
    let mut builder = if threads == 1 {
        Builder::new_current_thread()
    } else {
        Builder::new_multi_thread()
    };
    builder
        .worker_threads(threads)
        .enable_all()
        .build()
        .unwrap()
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number, not {text}")),
    )
}
