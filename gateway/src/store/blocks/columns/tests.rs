use super::*;

const BLOCK: Block = Block(7);

fn plain(sensor: u32, place: u16, ts: i64, value: f64) -> Packable {
    Packable::Goes(Columns {
        sensor,
        place,
        ts,
        delay: 0,
        value,
        tags: None,
        attributes: None,
    })
}

/// Packs, unpacks all, and each sensor alone; gives the bytes it takes.
fn check(readings: &[Packable]) -> usize {
    let packs = pack(BLOCK, readings);
    let mut found = Vec::new();
    for (id, bytes) in &packs {
        let pieces = pieces_of(*id, bytes, None).unwrap();
        let (sensor, place) = found_of(&pieces)[0].at();
        assert_eq!(
            *id,
            BLOCK.pack(sensor, place),
            "a pack is found by its first reading"
        );
        found.extend(found_of(&pieces));
    }
    assert_eq!(found, readings);
    for sensor in readings.iter().map(|reading| reading.at().0) {
        let of_sensor =
            |(id, bytes): &(i64, Vec<u8>)| found_of(&pieces_of(*id, bytes, Some(sensor)).unwrap());
        let found: Vec<Packable> = packs.iter().flat_map(of_sensor).collect();
        let expected = readings.iter().filter(|reading| reading.at().0 == sensor);
        assert!(found.iter().eq(expected));
    }
    packs.iter().map(|(_, bytes)| bytes.len()).sum()
}

fn found_of(pieces: &[PackedPiece]) -> Vec<Packable> {
    let mut found = Vec::new();
    for piece in pieces {
        let sensor = piece.sensor;
        let mut all: Vec<Packable> = piece.readings.iter().cloned().map(Packable::Goes).collect();
        all.extend(piece.stay.iter().map(|place| Packable::Stays {
            sensor,
            place: *place,
        }));
        all.sort_by_key(Packable::at);
        found.extend(all);
    }
    found
}

/// A thousand sensors that measure once a second with a little noise in time.
fn usual(random: &mut fastrand::Rng, sensors: u32) -> Vec<Packable> {
    let mut readings: Vec<Packable> = (0..=LAST_PLACE)
        .map(|place| {
            let (sensor, turn) = (
                u32::from(place) % sensors + 1,
                i64::from(place) / i64::from(sensors),
            );
            let ts = 1_764_000_000_000 + turn * 1000 + random.i64(0..20);
            plain(sensor, place, ts, f64::from(random.i32(2000..2600)) / 100.0)
        })
        .collect();
    readings.sort_by_key(Packable::at);
    readings
}

/// Small numbers as often as large ones, all below 512.
fn some(random: &mut fastrand::Rng) -> usize {
    let bits = random.u32(0..9);
    random.usize(..1 << bits)
}

#[test]
fn plain_readings_take_a_few_bytes() {
    let mut random = fastrand::Rng::with_seed(7);
    for (sensors, most) in [(1, 3.0), (10, 3.2), (1000, 5.0), (30_000, 17.0)] {
        let readings = usual(&mut random, sensors);
        let packs = pack(BLOCK, &readings);
        let bytes: usize = packs.iter().map(|(_, bytes)| bytes.len()).sum();
        let each = bytes as f64 / readings.len() as f64;
        assert!(each < most, "{each} bytes a reading of {sensors} sensors");
    }
}

#[test]
fn what_is_packed_comes_back_as_it_was() {
    let mut random = fastrand::Rng::with_seed(11);
    check(&[]);
    for round in 0..60 {
        let sensors = 1 + some(&mut random) as u32;
        let mut readings: Vec<Packable> = (0..random.u16(1..600))
            .map(|place| {
                let sensor = random.u32(..sensors);
                if random.u8(..8) == 0 {
                    return Packable::Stays { sensor, place };
                }
                let text = |random: &mut fastrand::Rng| {
                    let length = some(random);
                    (round % 3 == 0 && random.bool()).then(|| "é\u{0}x".repeat(length).into())
                };
                let Packable::Goes(columns) = plain(
                    sensor,
                    place,
                    random.i64(..) >> random.u32(0..60),
                    random.f64(),
                ) else {
                    unreachable!()
                };
                Packable::Goes(Columns {
                    delay: random.i64(-5..500),
                    tags: text(&mut random),
                    attributes: text(&mut random),
                    ..columns
                })
            })
            .collect();
        readings.sort_by_key(Packable::at);
        check(&readings);
    }
}

#[test]
fn one_large_reading_goes_alone() {
    let large = |place| {
        let Packable::Goes(columns) = plain(1, place, 5, 1.0) else {
            unreachable!()
        };
        let text: String = (0..200_000).map(|_| fastrand::alphanumeric()).collect();
        Packable::Goes(Columns {
            attributes: Some(text.into()),
            ..columns
        })
    };
    check(&[large(0), large(1), plain(1, 2, 6, 2.0)]);
}

#[test]
fn bytes_that_make_no_sense_are_refused() {
    let mut random = fastrand::Rng::with_seed(3);
    let readings = usual(&mut random, 50);
    let packs = pack(BLOCK, &readings[..600]);
    let (id, bytes) = &packs[0];
    for cut in 1..bytes.len().min(400) {
        let pieces = pieces_of(*id, &bytes[..bytes.len() - cut], None);
        let all = pieces.map_or(0, |pieces| found_of(&pieces).len());
        assert!(all < 600);
    }
    for _ in 0..3000 {
        let mut damaged = bytes.clone();
        let at = random.usize(..damaged.len());
        damaged[at] ^= 1 << random.u32(0..8);
        // Whatever comes of it, it does not panic.
        for piece in pieces_of(*id, &damaged, None).unwrap_or_default() {
            assert!(
                piece
                    .readings
                    .iter()
                    .all(|columns| columns.place <= LAST_PLACE)
            );
        }
    }
}
