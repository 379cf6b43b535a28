//! A fleet of gateways, all started in the same moment, against one cloud that is away for half an hour and comes back. The
//! clock is simulated; back-off and flights are the real ones.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;

const GATEWAYS: usize = 10_000;
/// Of each gateway, as the outage has left them.
const BATCHES: i64 = 20;
const AT_ONCE: usize = 16;
const BACK_AFTER: Duration = Duration::from_secs(1800);
const REQUEST: Duration = Duration::from_millis(200);
const REFUSED: Duration = Duration::from_millis(10);

/// What happens to a gateway: its time to look has come, or a request of the departure at this place ends.
type Event = Reverse<(Instant, usize, Option<usize>)>;

/// Requests in each second after the cloud is back.
fn requests_per_second(seed: u64) -> Vec<usize> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut houses: Vec<House> = Vec::new();
    let key = key();
    let start = Instant::now() + 1000 * SECOND;
    for _ in 0..GATEWAYS {
        let mut house = House {
            flights: Flights::new(Backoff::new(SECOND, 300 * SECOND)),
            now: start,
            key,
            last_id: 0,
        };
        for _ in 0..BATCHES {
            house.add(Lane::Backlog);
        }
        houses.push(house);
    }
    let back_at = start + BACK_AFTER;
    let mut events: BinaryHeap<Event> = (0..GATEWAYS)
        .map(|gateway| Reverse((start, gateway, None)))
        .collect();
    let mut departures = Vec::new();
    let mut seconds = Vec::new();
    while let Some(Reverse((now, gateway, landing))) = events.pop() {
        let house = &mut houses[gateway];
        house.now = now;
        if let Some(landing) = landing {
            let departure: &Departure = &departures[landing];
            if back_at <= departure.started {
                house.deliver(departure);
            } else {
                let chance = random.f64();
                house.flights.failed(departure, None, false, chance, now);
            }
        }
        for departure in house.depart(AT_ONCE) {
            let takes = if back_at <= now { REQUEST } else { REFUSED };
            events.push(Reverse((now + takes, gateway, Some(departures.len()))));
            departures.push(departure);
            if let Some(after) = now.checked_duration_since(back_at) {
                let second = after.as_secs() as usize;
                seconds.resize(seconds.len().max(second + 1), 0);
                seconds[second] += 1;
            }
        }
        if let Some(next) = house.flights.next_time(now) {
            events.push(Reverse((next, gateway, None)));
        }
    }
    let left: usize = houses.iter().map(|house| house.flights.readings()).sum();
    assert_eq!(left, 0, "all is delivered");
    seconds
}

#[test]
fn a_fleet_comes_back_spread_over_time() {
    let seconds = requests_per_second(1);
    let all: usize = seconds.iter().sum();
    let mean = all as f64 / seconds.len() as f64;
    let most = *seconds.iter().max().unwrap();
    println!(
        "{all} requests in {} s: {mean:.0} a second, at most {most}, {:.2} times the mean",
        seconds.len(),
        most as f64 / mean
    );
    for (number, ten) in seconds.chunks(10).enumerate() {
        let average = ten.iter().sum::<usize>() / ten.len();
        println!(
            "{:>4} s {average:>5} {}",
            number * 10,
            "#".repeat(average / 20)
        );
    }
    assert_eq!(all, GATEWAYS * BATCHES as usize);
    assert!(most as f64 <= 3.0 * mean, "{most} of {mean}");
}
