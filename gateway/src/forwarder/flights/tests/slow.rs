//! A link that all requests share, and a receiver that is away now and then. The clock is simulated; flights, places and
//! back-off are the real ones.

use super::*;

const AT_ONCE: usize = 16;
const TIMEOUT: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(100);

/// What became of the requests of a backlog that never ends.
#[derive(Debug, Default)]
struct Account {
    delivered: usize,
    failed: usize,
}

/// On a link that carries `capacity` batches within the time-out if nothing else is on it.
fn on_a_link(capacity: f64, seed: u64, seconds: u64) -> Account {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut house = House {
        flights: Flights::new(Backoff::new(SECOND, 300 * SECOND)),
        ..House::new(0)
    };
    let mut account = Account::default();
    // What is on its way, and how much of it is across.
    let mut crossing: Vec<(Departure, f64)> = Vec::new();
    let end = house.now + Duration::from_secs(seconds);
    while house.now < end {
        while house.flights.wants_more(AT_ONCE, false, house.now) {
            house.add(Lane::Backlog);
        }
        let departed = house.depart(AT_ONCE);
        crossing.extend(departed.into_iter().map(|departure| (departure, 0.0)));
        house.now += STEP;
        let share = capacity * STEP.as_secs_f64() / TIMEOUT.as_secs_f64() / crossing.len() as f64;
        for (_, across) in &mut crossing {
            *across += share;
        }
        for (departure, across) in std::mem::take(&mut crossing) {
            if 1.0 <= across {
                house.deliver(&departure);
                account.delivered += 1;
            } else if departure.started + TIMEOUT <= house.now {
                let chance = random.f64();
                house
                    .flights
                    .failed(&departure, None, true, chance, house.now);
                account.failed += 1;
            } else {
                crossing.push((departure, across));
            }
        }
    }
    account
}

#[test]
fn a_slow_link_brings_most_of_what_it_can() {
    for capacity in [1.2, 1.7, 2.2, 3.3, 6.2, 14.5, 40.0] {
        for seed in 0..3 {
            let seconds = 6_000;
            let could = capacity * seconds as f64 / TIMEOUT.as_secs_f64();
            let account = on_a_link(capacity, seed, seconds);
            let share = account.delivered as f64 / could;
            assert!(0.6 <= share, "{capacity}: {share:.2}, {account:?}");
            assert!(
                account.failed * 4 < account.delivered,
                "{capacity}: {account:?}"
            );
        }
    }
}

#[test]
fn a_receiver_that_comes_and_goes_again_is_not_rushed() {
    let requests = |answers_between: usize| {
        let mut house = House::new(16);
        for departure in house.depart(AT_ONCE) {
            house.fail(&departure);
        }
        let end = house.now + 30 * SECOND;
        let (mut requests, mut answers) = (0, answers_between);
        while house.now < end {
            for departure in house.depart(AT_ONCE) {
                requests += 1;
                if 0 < answers {
                    answers -= 1;
                    house.deliver(&departure);
                } else {
                    house.fail(&departure);
                }
            }
            house.now += STEP;
        }
        requests
    };
    let plain = requests(0);
    assert!(plain <= 5, "{plain}");
    // As many as may go when it has opened, and then one at a time.
    let flapping = requests(1);
    assert!(flapping <= 1 + 9 + 5, "{flapping}");
}
