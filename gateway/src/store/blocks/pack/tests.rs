use super::*;

/// Packs them and reads each sensor's pieces again.
fn check(entries: &[Entry]) -> usize {
    let sorted = by_sensor(entries);
    let block = Block::of(1 << 20);
    let packs = pack(block, entries);
    let mut ids: Vec<i64> = packs.iter().map(|(id, _)| *id).collect();
    ids.dedup();
    assert!(ids.is_sorted() && ids.len() == packs.len(), "{ids:?}");
    let of_sensors: Vec<&[Entry]> = sorted.chunk_by(|a, b| a.sensor == b.sensor).collect();
    for of_sensor in of_sensors.iter().step_by(1 + of_sensors.len() / 50) {
        let sensor = of_sensor[0].sensor;
        let found: Vec<Piece> = packs
            .iter()
            .flat_map(|(id, bytes)| pieces_of(*id, bytes, sensor).unwrap())
            .collect();
        let places: Vec<u16> = found
            .iter()
            .flat_map(|piece| piece.places.clone())
            .collect();
        let expected: Vec<u16> = of_sensor.iter().map(|entry| entry.place).collect();
        assert_eq!(places, expected, "sensor {sensor}");
        let mut rest = *of_sensor;
        for piece in found {
            let (these, others) = rest.split_at(piece.places.len());
            let known = Known::of(these).filter(|_| WORTH_A_SUMMARY <= these.len());
            assert_eq!(piece.known, known);
            rest = others;
        }
    }
    assert!(packs.iter().all(|(_, bytes)| bytes.len() <= PACK_BYTES));
    packs.iter().map(|(_, bytes)| bytes.len()).sum()
}

/// A whole block with readings of so many sensors, in an order drawn from a seed.
fn entries(sensors: u32) -> Vec<Entry> {
    let mut rng = fastrand::Rng::with_seed(u64::from(sensors));
    (0..=LAST_PLACE)
        .map(|place| Entry {
            sensor: rng.u32(1..=sensors),
            place,
            ts: 1_764_000_000_000 + i64::from(place) + rng.i64(-500..500),
            value: rng.f64() * 100.0,
        })
        .collect()
}

#[test]
fn what_is_packed_comes_out_again_and_takes_about_a_tenth_of_the_rows() {
    for sensors in [1, 2, 10, 300, 1000, 3000, 30_000, 100_000] {
        let bytes = check(&entries(sensors));
        let each = bytes as f64 / f64::from(LAST_PLACE);
        assert!(each < 4.0, "{sensors} sensors: {each:.2} bytes a reading");
        println!("{sensors} sensors: {each:.2} bytes a reading");
    }
}

#[test]
fn any_time_and_value_can_be_packed() {
    let some = |sensor, place, ts, value| Entry {
        sensor,
        place,
        ts,
        value,
    };
    check(&[some(1, 0, 0, 0.0)]);
    check(&[some(131_071, LAST_PLACE, i64::MIN, f64::MIN)]);
    let times = [i64::MIN, i64::MAX, 0, -1, 1_764_000_000_000];
    let values = [f64::MAX, f64::MIN, 0.0, -0.0, 5e-324];
    let many: Vec<Entry> = (0..100)
        .map(|n| some(7, n * 300, times[n as usize % 5], values[n as usize % 5]))
        .collect();
    check(&many);
}

#[test]
fn bytes_that_make_no_sense_are_told_from_others() {
    let packs = pack(Block::of(0), &entries(10)[..300]);
    let (id, bytes) = &packs[0];
    let sensor = first_sensor(*id);
    assert!(pieces_of(*id, bytes, sensor).is_some());
    for cut in 1..40 {
        assert!(pieces_of(*id, &bytes[..cut], sensor).is_none(), "{cut}");
    }
    let mut rng = fastrand::Rng::with_seed(1);
    for _ in 0..10_000 {
        let mut bytes = bytes.clone();
        let at = rng.usize(..bytes.len());
        bytes[at] = rng.u8(..);
        // Whatever comes of it: it does no harm.
        let _: Option<Vec<Piece>> = pieces_of(*id, &bytes, rng.u32(..12));
    }
}
