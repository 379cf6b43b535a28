//! What readings come to, interval by interval: how it is written in the place of readings that were thinned. Pure.
//!
//! A piece has the intervals of one sensor, at most [`PIECE_INTERVALS`]; pieces in the order of sensors and times fill about a page.
//! A piece: its sensor, as the difference to the one before; how many intervals; the length of what follows; then columns: numbers
//! of intervals since 1970, counts, smallest, largest and mean values.

use super::numbers::{Bytes, decimals_of, put_column, put_number, put_values, rounded};
use super::pack::first_sensor;
use super::{Block, LAST_PLACE, Summary};

/// A pack fills a page of the file, but for what SQLite keeps beside it.
const PACK_BYTES: usize = 4000;
const PIECE_INTERVALS: usize = 128;

/// A mean is kept to so many decimals more than its readings have.
const DECIMALS_OF_MEANS: u8 = 2;

/// What the readings of a sensor come to in an interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::store) struct Interval {
    pub(in crate::store) sensor: u32,
    /// Since 1970.
    pub(in crate::store) number: i64,
    pub(in crate::store) values: Summary,
}

/// Packs intervals, which are in the order of sensors and numbers. `block` gives the packs their ids.
pub(in crate::store) fn pack(block: Block, intervals: &[Interval]) -> Vec<(i64, Vec<u8>)> {
    let mut packs: Vec<(i64, Vec<u8>)> = Vec::new();
    let mut before = 0;
    let mut bytes = Vec::new();
    for of_sensor in intervals.chunk_by(|a, b| a.sensor == b.sensor) {
        for (number, piece) in of_sensor.chunks(PIECE_INTERVALS).enumerate() {
            let sensor = piece[0].sensor;
            bytes.clear();
            put(sensor - before, piece, &mut bytes);
            match packs.last_mut() {
                Some((_, pack)) if pack.len() + bytes.len() <= PACK_BYTES => {
                    pack.extend_from_slice(&bytes);
                }
                _ => {
                    let mut pack = Vec::with_capacity(PACK_BYTES);
                    put(0, piece, &mut pack);
                    packs.push((block.pack(sensor, number as u16 & LAST_PLACE), pack));
                }
            }
            before = sensor;
        }
    }
    packs
}

fn put(step: u32, piece: &[Interval], bytes: &mut Vec<u8>) {
    let mut body = Vec::with_capacity(16 * piece.len());
    let numbers: Vec<i64> = piece.iter().map(|interval| interval.number).collect();
    let counts: Vec<i64> = piece
        .iter()
        .map(|interval| interval.values.count as i64)
        .collect();
    let values = |of: fn(&Summary) -> f64| -> Vec<f64> {
        piece.iter().map(|interval| of(&interval.values)).collect()
    };
    let (least, most) = (values(|values| values.min), values(|values| values.max));
    let mut means = values(|values| values.mean);
    if let Some(decimals) = decimals_of(&[&least[..], &most].concat()) {
        for (mean, Interval { values, .. }) in means.iter_mut().zip(piece) {
            *mean = rounded(*mean, decimals + DECIMALS_OF_MEANS).clamp(values.min, values.max);
        }
    }
    put_column(&mut body, &numbers);
    put_column(&mut body, &counts);
    put_values(&mut body, &least);
    put_values(&mut body, &most);
    put_values(&mut body, &means);
    put_piece(step, piece.len(), &body, bytes);
}

fn put_piece(step: u32, count: usize, body: &[u8], bytes: &mut Vec<u8>) {
    put_number(bytes, u64::from(step));
    put_number(bytes, count as u64);
    put_number(bytes, body.len() as u64);
    bytes.extend_from_slice(body);
}

/// The step to the sensor of the next piece, how many intervals it has, and its columns.
fn take_piece<'b>(bytes: &mut Bytes<'b>) -> Option<(u32, usize, &'b [u8])> {
    let step = u32::try_from(bytes.number()?).ok()?;
    let count = bytes.count(PIECE_INTERVALS)?;
    let length = usize::try_from(bytes.number()?).ok()?;
    Some((step, count, bytes.take(length)?))
}

/// The intervals of one sensor, or of all, in a pack. `None` if the bytes make no sense.
pub(in crate::store) fn intervals_of(
    pack: i64,
    bytes: &[u8],
    wanted: Option<u32>,
) -> Option<Vec<Interval>> {
    let mut sensor = first_sensor(pack);
    let mut bytes = Bytes::new(bytes);
    let mut found = Vec::new();
    while !bytes.is_empty() && wanted.is_none_or(|wanted| sensor <= wanted) {
        let (step, count, body) = take_piece(&mut bytes)?;
        sensor = sensor.checked_add(step)?;
        if wanted.is_some_and(|wanted| wanted != sensor) {
            continue;
        }
        let mut body = Bytes::new(body);
        let (numbers, counts) = (body.column(count)?, body.column(count)?);
        let [least, most, means] = [
            body.values(count)?,
            body.values(count)?,
            body.values(count)?,
        ];
        if !body.is_empty() {
            return None;
        }
        found.extend((0..count).map(|at| Interval {
            sensor,
            number: numbers[at],
            values: Summary {
                count: counts[at].unsigned_abs(),
                min: least[at],
                max: most[at],
                mean: means[at],
            },
        }));
    }
    Some(found)
}

/// The pieces of a pack with other keys for their sensors, and the first of those. Keys must ascend; pieces whose sensors get none
/// are left out.
pub(super) fn with_keys(
    pack: i64,
    bytes: &[u8],
    key: impl Fn(u32) -> Option<u32>,
) -> Option<(u32, Vec<u8>)> {
    let mut sensor = first_sensor(pack);
    let mut bytes = Bytes::new(bytes);
    let mut written = Vec::new();
    let mut ends: Option<(u32, u32)> = None;
    while !bytes.is_empty() {
        let (step, count, body) = take_piece(&mut bytes)?;
        sensor = sensor.checked_add(step)?;
        let last = ends.map_or(0, |(_, last)| last);
        let Some(key) = key(sensor).filter(|key| last <= *key) else {
            continue;
        };
        let first = ends.map_or(key, |(first, _)| first);
        let step = ends.map_or(0, |(_, last)| key - last);
        put_piece(step, count, body, &mut written);
        ends = Some((first, key));
    }
    ends.map(|(first, _)| (first, written))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_come_back_with_means_as_exact_as_their_readings() {
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..200 {
            let sensors = random.u32(1..40);
            let (decimals, each) = (random.u8(0..3), random.i64(1..300));
            let mut intervals = Vec::new();
            for sensor in 0..sensors {
                for number in 0..each {
                    let value = |random: &mut fastrand::Rng| rounded(1e3 * random.f64(), decimals);
                    let (a, b) = (value(&mut random), value(&mut random));
                    let count = random.u64(1..100);
                    let (min, max) = (a.min(b), a.max(b));
                    let mean = min + (max - min) * random.f64();
                    intervals.push(Interval {
                        sensor: 3 * sensor + 1,
                        number: 29_400_000 + number,
                        values: Summary {
                            count,
                            min,
                            max,
                            mean,
                        },
                    });
                }
            }
            let packs = pack(Block(9), &intervals);
            let of = |wanted: Option<u32>| -> Vec<Interval> {
                let found = packs
                    .iter()
                    .map(|(id, bytes)| intervals_of(*id, bytes, wanted).unwrap());
                found.flatten().collect()
            };
            let check = |found: Vec<Interval>, expected: Vec<&Interval>| {
                assert_eq!(found.len(), expected.len());
                for (found, expected) in found.iter().zip(expected) {
                    let off = (found.values.mean - expected.values.mean).abs();
                    assert!(off <= 0.51 / 10_f64.powi(2 + i32::from(decimals)), "{off}");
                    let mean = found.values.mean;
                    let values = Summary {
                        mean,
                        ..expected.values
                    };
                    assert_eq!(
                        *found,
                        Interval {
                            values,
                            ..*expected
                        }
                    );
                }
            };
            check(of(None), intervals.iter().collect());
            let some = 3 * random.u32(..sensors) + 1;
            check(
                of(Some(some)),
                intervals
                    .iter()
                    .filter(|interval| interval.sensor == some)
                    .collect(),
            );
            assert!(of(Some(some + 1)).is_empty());
        }
    }

    #[test]
    fn an_interval_takes_a_few_bytes() {
        let intervals: Vec<Interval> = (0..6000)
            .map(|at| Interval {
                sensor: at as u32 / 60,
                number: 29_400_000 + i64::from(at % 60),
                values: Summary {
                    count: 60,
                    min: 20.0 + f64::from(at % 7) / 100.0,
                    max: 21.0 + f64::from(at % 11) / 100.0,
                    mean: 20.5 + f64::from(at % 997) / 1e4,
                },
            })
            .collect();
        let bytes: usize = pack(Block(0), &intervals)
            .iter()
            .map(|(_, bytes)| bytes.len())
            .sum();
        assert!(bytes < 4 * intervals.len(), "{bytes}");
    }

    #[test]
    fn bytes_that_make_no_sense_are_refused() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..5000 {
            let bytes: Vec<u8> = (0..random.usize(0..60)).map(|_| random.u8(..)).collect();
            // Whatever comes of it, it does not panic.
            let found = intervals_of(0, &bytes, None).unwrap_or_default();
            assert!(found.len() <= 128 * bytes.len());
        }
    }
}
