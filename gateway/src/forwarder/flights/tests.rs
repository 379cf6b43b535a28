mod herd;
mod slow;

use super::*;
use crate::domain::reading::ReadingId;
use crate::store::Writer;
use crate::store::outbox::UplinkKey;

const SECOND: Duration = Duration::from_secs(1);

fn key() -> UplinkKey {
    let folder = tempfile::tempdir().unwrap();
    let writer = Writer::open(&folder.path().join("gateway.db")).unwrap();
    writer.reader().uplinks()[0]
}

struct House {
    flights: Flights,
    now: Instant,
    key: UplinkKey,
    last_id: i64,
}

impl House {
    /// With whole batches of 8 readings, numbered from 1.
    fn new(batches: i64) -> Self {
        let mut house = Self {
            flights: Flights::new(Backoff::new(SECOND, 8 * SECOND)),
            now: Instant::now() + 1000 * SECOND,
            key: key(),
            last_id: 0,
        };
        for _ in 0..batches {
            house.add(Lane::Fresh);
        }
        house
    }

    fn batch(&mut self, readings: Vec<ReadingId>) -> Batch {
        self.last_id += 1;
        Batch {
            id: self.last_id,
            uplink: self.key,
            gateway_id: "edge-1".into(),
            format: "batch".into(),
            compression: "gzip".into(),
            tries: 0,
            readings,
        }
    }

    fn add(&mut self, lane: Lane) {
        let first = self.last_id * 8;
        let batch = self.batch((first..first + 8).map(ReadingId).collect());
        self.flights.add(batch, lane, false, self.now);
    }

    /// All that may go now.
    fn depart(&mut self, most: usize) -> Vec<Departure> {
        let depart = || self.flights.depart(most, false, self.now);
        std::iter::from_fn(depart).collect()
    }

    fn one(&mut self) -> Departure {
        let mut all = self.depart(1);
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    fn fail(&mut self, departure: &Departure) -> Duration {
        let at = self.flights.failed(departure, None, false, 1.0, self.now);
        at - self.now
    }

    fn deliver(&mut self, departure: &Departure) {
        self.flights.delivered(departure.batch.id).unwrap();
    }
}

fn ids(departures: &[Departure]) -> Vec<i64> {
    departures
        .iter()
        .map(|departure| departure.batch.id)
        .collect()
}

#[test]
fn so_many_go_at_once_in_their_order() {
    let mut house = House::new(6);
    let first = house.depart(3);
    assert_eq!(ids(&first), [1, 2, 3]);
    assert_eq!(house.flights.sending(), 3);
    assert!(!house.flights.wants_more(3, false, house.now), "three wait");
    house.deliver(&first[1]);
    assert_eq!(ids(&house.depart(3)), [4]);
    assert!(house.flights.wants_more(3, false, house.now));
    assert_eq!(house.flights.readings(), 40);
    assert_eq!(house.flights.next_time(house.now), None);
}

#[test]
fn what_is_fresh_goes_first_and_the_backlog_leaves_it_a_place() {
    let mut house = House::new(0);
    for _ in 0..4 {
        house.add(Lane::Backlog);
    }
    let backlog = house.depart(3);
    assert_eq!(ids(&backlog), [1, 2]);
    house.add(Lane::Fresh);
    assert_eq!(ids(&house.depart(3)), [5]);
    assert_eq!(ids(&house.depart(3)), [0_i64; 0]);
    house.deliver(&backlog[0]);
    house.add(Lane::Fresh);
    assert_eq!(ids(&house.depart(3)), [6]);
    // Where one goes at a time there is no place to leave.
    let mut house = House::new(0);
    house.add(Lane::Backlog);
    assert_eq!(ids(&house.depart(1)), [1]);
}

#[test]
fn a_failure_shuts_the_gate_until_one_gets_through() {
    let mut house = House::new(4);
    let first = house.depart(2);
    assert_eq!(house.fail(&first[0]), SECOND);
    assert!(!house.flights.is_open());
    // It began before the first had failed: that says nothing new.
    assert_eq!(house.fail(&first[1]), SECOND);
    assert_eq!(ids(&house.depart(2)), [0_i64; 0]);
    assert_eq!(house.flights.next_time(house.now), Some(house.now + SECOND));
    house.now += SECOND;
    let probe = house.depart(2);
    assert_eq!(ids(&probe), [3], "the one whose last try is longest ago");
    assert_eq!(house.fail(&probe[0]), 2 * SECOND);
    house.now += 2 * SECOND;
    let probe = house.depart(2);
    assert_eq!(ids(&probe), [4]);
    assert_eq!(house.fail(&probe[0]), 4 * SECOND);
    house.now += 4 * SECOND;
    let probe = house.depart(2);
    assert_eq!(ids(&probe), [1]);
    house.deliver(&probe[0]);
    assert!(house.flights.is_open());
    assert_eq!(ids(&house.depart(9)), [2, 3], "two had failed together");
}

#[test]
fn the_wait_that_is_asked_for_is_kept_also_by_those_under_way() {
    let mut house = House::new(2);
    let first = house.depart(2);
    assert_eq!(house.fail(&first[0]), SECOND);
    let at = house
        .flights
        .failed(&first[1], Some(60 * SECOND), false, 0.0, house.now);
    assert_eq!(at - house.now, 60 * SECOND);
    house.now += 59 * SECOND;
    assert_eq!(ids(&house.depart(2)), [0_i64; 0]);
}

#[test]
fn a_batch_that_fails_alone_does_not_hold_the_others_up() {
    let mut house = House::new(40);
    let mut delivered = 0;
    let mut tries = Vec::new();
    let started = house.now;
    // The receiver fails over the first of them, and takes the others at 5 a second.
    for _ in 0..400 {
        for departure in house.depart(2) {
            if departure.batch.id == 1 {
                tries.push((house.now - started).as_secs());
                house.fail(&departure);
            } else {
                house.deliver(&departure);
                delivered += 1;
            }
        }
        house.now += SECOND / 5;
    }
    assert_eq!(delivered, 39);
    assert_eq!(tries[..2], [0, 0]);
    let waits: Vec<u64> = tries.windows(2).map(|two| two[1] - two[0]).collect();
    assert_eq!(waits[1..5], [1, 2, 4, 8], "{tries:?}");
    assert!(house.now - started < 90 * SECOND);
}

#[test]
fn what_is_held_is_tried_slowly_and_not_the_same_each_time() {
    let mut house = House::new(2);
    let departure = house.one();
    let at = house
        .flights
        .held(departure.batch.id, "404", None, house.now);
    assert_eq!(at - house.now, 8 * SECOND);
    house.now += 8 * SECOND;
    let departure = house.one();
    assert_eq!(departure.batch.id, 2);
    house.deliver(&departure);
    assert_eq!(ids(&house.depart(2)), [1]);
}

#[test]
fn fewer_go_at_once_after_they_have_failed_together() {
    let mut house = House::new(40);
    for departure in house.depart(16) {
        house.fail(&departure);
    }
    house.now += SECOND;
    let probe = house.depart(16);
    assert_eq!(probe.len(), 1);
    house.deliver(&probe[0]);
    let few = house.depart(16);
    assert_eq!(few.len(), 9);
    for departure in &few[..3] {
        house.deliver(departure);
    }
    assert_eq!(
        house.depart(16).len(),
        6,
        "one more with each that gets through"
    );
}

#[test]
fn a_wait_that_is_asked_for_by_who_holds_is_kept_by_all() {
    let mut house = House::new(4);
    let both = house.depart(2);
    // The first is held for a reason of its own: others got through since.
    house.flights.held(1, "404", None, house.now);
    house.deliver(&both[1]);
    house.now += 8 * SECOND;
    let both = house.depart(2);
    assert_eq!(ids(&both), [1, 3]);
    house.flights.held(1, "404", Some(60 * SECOND), house.now);
    house.deliver(&both[1]);
    house.now += 59 * SECOND;
    assert_eq!(ids(&house.depart(2)), [0_i64; 0]);
    house.now += SECOND;
    assert_eq!(ids(&house.depart(2)), [1, 4]);
}

#[test]
fn a_batch_that_is_held_alone_does_not_hold_the_others_up() {
    let mut house = House::new(60);
    let (mut delivered, mut tries) = (0, Vec::new());
    let started = house.now;
    // The receiver will not have the first of them, and takes the others at 10 a second.
    for _ in 0..400 {
        for departure in house.depart(2) {
            if departure.batch.id == 1 {
                tries.push((house.now - started).as_secs());
                house.flights.held(1, "404", None, house.now);
            } else {
                house.deliver(&departure);
                delivered += 1;
            }
        }
        house.now += SECOND / 10;
    }
    assert_eq!(delivered, 59);
    // Each 8 seconds.
    assert_eq!(tries, [0, 8, 16, 24, 32], "and no more often");
}

#[test]
fn the_wait_that_is_asked_for_is_kept_by_all_also_if_others_get_through() {
    let mut house = House::new(4);
    let asked = Some(60 * SECOND);
    let first = house.depart(2);
    house
        .flights
        .failed(&first[0], asked, false, 0.0, house.now);
    house.deliver(&first[1]);
    house.now += 59 * SECOND;
    assert_eq!(ids(&house.depart(2)), [0_i64; 0]);
    let next = house.flights.next_time(house.now).unwrap();
    assert_eq!(next - house.now, SECOND);
    house.now = next;
    assert_eq!(ids(&house.depart(2)), [1, 3]);
}

#[test]
fn while_one_batch_alone_fails_another_one_is_recorded_and_tried() {
    let mut house = House::new(1);
    let first = house.one();
    assert_eq!(house.fail(&first), SECOND);
    assert!(house.flights.wants_more(4, false, house.now));
    house.add(Lane::Fresh);
    assert!(!house.flights.wants_more(4, false, house.now), "one by one");
    house.now += SECOND;
    let second = house.one();
    assert_eq!(second.batch.id, 2);
    house.deliver(&second);
    assert!(house.flights.is_open());
    // Also if it is held.
    let first = house.one();
    assert_eq!(first.batch.id, 1);
    house.flights.held(1, "404", None, house.now);
    assert!(house.flights.wants_more(4, false, house.now));
}

#[test]
fn while_only_tagged_readings_may_go_the_others_wait_and_do_not_count() {
    let mut house = House::new(1);
    let depart = |house: &mut House, is_tagged_only| {
        let departure = house.flights.depart(4, is_tagged_only, house.now);
        departure.map(|departure| departure.batch.id)
    };
    assert_eq!(depart(&mut house, true), None);
    assert!(house.flights.wants_more(1, true, house.now));
    assert!(!house.flights.wants_more(1, false, house.now));
    let tagged = house.batch(vec![ReadingId(90)]);
    house.flights.add(tagged, Lane::Fresh, true, house.now);
    assert!(!house.flights.wants_more(1, true, house.now));
    assert_eq!(depart(&mut house, true), Some(2));
    assert_eq!(depart(&mut house, true), None);
    assert_eq!(depart(&mut house, false), Some(1));
}

#[test]
fn a_part_that_fails_alone_does_not_hold_the_other_one_up() {
    let mut house = House::new(3);
    let whole = house.depart(1).remove(0).batch;
    assert!(house.flights.refused(whole.id));
    let parts = [&whole.readings[..4], &whole.readings[4..]].map(|part| Batch {
        tries: 1,
        ..house.batch(part.to_vec())
    });
    house.flights.replace(whole.id, parts.into(), house.now);
    // Others get through and it does not.
    let both = house.depart(2);
    assert_eq!(ids(&both), [4, 2]);
    house.fail(&both[0]);
    house.deliver(&both[1]);
    let again = house.depart(2);
    assert_eq!(ids(&again), [4, 3]);
    house.fail(&again[0]);
    house.deliver(&again[1]);
    assert_eq!(ids(&house.depart(2)), [5]);
}

#[test]
fn while_all_are_to_wait_the_next_time_is_that_of_the_first() {
    let mut house = House::new(1);
    let departure = house.one();
    let flights = &mut house.flights;
    flights.failed(&departure, Some(60 * SECOND), false, 0.0, house.now);
    let wait = flights.next_time(house.now).unwrap() - house.now;
    assert_eq!(wait, 60 * SECOND);
}

#[test]
fn batches_that_wait_for_a_time_of_their_own_keep_no_others_from_being_recorded() {
    let mut house = House::new(3);
    fail_alone(&mut house);
    assert_eq!(ids(&house.depart(4)), [0_i64; 0], "three wait");
    assert!(house.flights.wants_more(4, false, house.now));
    for _ in 0..=MOST_ASIDE {
        house.add(Lane::Fresh);
    }
    fail_alone(&mut house);
    assert!(
        !house.flights.wants_more(4, false, house.now),
        "too many wait"
    );
}

/// All that may go fail, others get through, and they fail again.
fn fail_alone(house: &mut House) {
    let all = house.depart(1000);
    for departure in &all {
        house.fail(departure);
    }
    for _ in 0..2 * all.len() {
        house.flights.tally.deliveries += 1;
        house.flights.places.delivered();
    }
    house.flights.open();
    loop {
        let again = house.depart(1000);
        if again.is_empty() {
            return;
        }
        for departure in &again {
            house.fail(departure);
        }
    }
}

#[test]
fn while_one_batch_is_looked_into_others_are_recorded() {
    let mut house = House::new(1);
    let whole = house.one().batch;
    assert!(house.flights.refused(whole.id));
    let parts = [&whole.readings[..4], &whole.readings[4..]].map(|part| Batch {
        tries: 1,
        ..house.batch(part.to_vec())
    });
    house.flights.replace(whole.id, parts.into(), house.now);
    assert!(house.flights.wants_more(4, false, house.now));
    // Not if all are refused: then few are to be sent in vain.
    for _ in 0..4 {
        house.add(Lane::Fresh);
    }
    for departure in house.depart(4) {
        if departure.batch.tries == 0 {
            assert!(!house.flights.refused(departure.batch.id));
        }
    }
    assert!(!house.flights.wants_more(4, false, house.now));
}

/// How many requests it takes to find the readings at fault among `count`.
fn requests_until_all_is_settled(count: i64, is_at_fault: impl Fn(i64) -> bool) -> usize {
    let mut house = House::new(0);
    let batch = house.batch((0..count).map(ReadingId).collect());
    house.flights.add(batch, Lane::Fresh, false, house.now);
    let mut requests = 0;
    let mut refused = Vec::new();
    loop {
        let departures = house.depart(4);
        if departures.is_empty() {
            break;
        }
        for departure in departures {
            requests += 1;
            let batch = &departure.batch;
            if !batch.readings.iter().any(|id| is_at_fault(id.0)) {
                house.deliver(&departure);
            } else if batch.readings.len() == 1 {
                refused.push(batch.readings[0].0);
                house.flights.refused_for_good(batch.id).unwrap();
            } else {
                assert!(house.flights.refused(batch.id));
                let (before, after) = batch.readings.split_at(batch.readings.len() / 2);
                let parts = [house.batch(before.to_vec()), house.batch(after.to_vec())];
                house.flights.replace(batch.id, parts.into(), house.now);
            }
        }
    }
    assert_eq!(house.flights.readings(), 0);
    refused.sort_unstable();
    let expected: Vec<i64> = (0..count).filter(|id| is_at_fault(*id)).collect();
    assert_eq!(refused, expected);
    requests
}

#[test]
fn few_requests_find_a_reading_at_fault() {
    for at in [0, 1, 499, 500, 999] {
        let requests = requests_until_all_is_settled(1000, |id| id == at);
        assert!(requests <= 2 * 10 + 1, "{at}: {requests}");
    }
    assert_eq!(requests_until_all_is_settled(1000, |_| false), 1);
    assert_eq!(requests_until_all_is_settled(1, |_| true), 1);
    assert!(requests_until_all_is_settled(1000, |id| id % 500 == 7) <= 2 * 2 * 10 + 1);
}

#[test]
fn a_receiver_that_refuses_all_gets_one_batch_cut_at_a_time() {
    let mut house = House::new(3);
    let first = house.depart(3);
    assert!(house.flights.refused(1), "this one is cut");
    for departure in &first[1..] {
        assert!(!house.flights.refused(departure.batch.id));
    }
    let readings = &first[0].batch.readings;
    let parts = [
        house.batch(readings[..4].to_vec()),
        house.batch(readings[4..].to_vec()),
    ];
    house.flights.replace(1, parts.into(), house.now);
    let next = house.depart(3);
    assert_eq!(ids(&next), [4], "one part of it at a time");
    assert!(house.flights.refused(4));
    let readings = &next[0].batch.readings;
    let parts = [
        house.batch(readings[..2].to_vec()),
        house.batch(readings[2..].to_vec()),
    ];
    house.flights.replace(4, parts.into(), house.now);
    let next = house.depart(3);
    assert_eq!(ids(&next), [6], "the smallest first");
    house.deliver(&next[0]);
    for expected in [7, 5] {
        let next = house.depart(3);
        assert_eq!(ids(&next), [expected]);
        house.deliver(&next[0]);
    }
    // Now it is the turn of the others.
    let next = house.depart(3);
    assert_eq!(ids(&next).len(), 1);
    assert!(house.flights.refused(next[0].batch.id));
}
