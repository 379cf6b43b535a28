//! The values that simulated sensors measure: pure, so that a test can say what was published.

use std::f64::consts::TAU;

/// How many readings of a sensor make one full wave.
const READINGS_PER_WAVE: f64 = 120.0;
const MIDDLE: f64 = 62.0;
const AMPLITUDE: f64 = 20.0;
/// The noise lies between minus and plus this.
const NOISE: f64 = 4.0;

/// The value of reading `seq` of sensor number `sensor`: a slow wave with noise that goes below 50
/// and above 75, rounded to two decimals. The same arguments always give the same value.
pub fn wave(seed: u64, sensor: u32, seq: u64) -> f64 {
    let phase = fraction(seed, sensor, 0);
    let noise = 2.0 * fraction(seed, sensor, seq.wrapping_add(1)) - 1.0;
    let angle = TAU * (seq as f64 / READINGS_PER_WAVE + phase);
    let value = MIDDLE + AMPLITUDE * angle.sin() + NOISE * noise;
    (value * 100.0).round() / 100.0
}

/// A number in 0..1 that looks random and depends on the arguments alone.
fn fraction(seed: u64, sensor: u32, index: u64) -> f64 {
    let stream = fastrand::Rng::with_seed(seed ^ u64::from(sensor).rotate_left(32)).u64(..);
    fastrand::Rng::with_seed(stream ^ index.wrapping_mul(0x9E37_79B9_7F4A_7C15)).f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sensor_goes_below_50_and_above_75_within_one_wave() {
        for sensor in 1..=50 {
            let values: Vec<f64> = (1..=120).map(|seq| wave(1, sensor, seq)).collect();
            assert!(values.iter().any(|value| *value < 50.0), "sensor {sensor}");
            assert!(values.iter().any(|value| 75.0 < *value), "sensor {sensor}");
            assert!(values.iter().all(|value| (38.0..=86.0).contains(value)));
        }
    }

    #[test]
    fn values_have_two_decimals() {
        for seq in 1..=1_000 {
            let value = wave(7, 3, seq);
            let shown = value.to_string();
            let decimals = shown.split_once('.').map_or(0, |(_, digits)| digits.len());
            assert!(decimals <= 2, "{shown}");
        }
    }

    #[test]
    fn the_seed_and_nothing_else_decides() {
        let series =
            |seed, sensor| -> Vec<f64> { (1..100).map(|n| wave(seed, sensor, n)).collect() };
        assert_eq!(series(1, 1), series(1, 1));
        assert_ne!(series(1, 1), series(2, 1));
        assert_ne!(series(1, 1), series(1, 2));
    }
}
