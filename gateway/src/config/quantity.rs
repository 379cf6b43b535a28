//! Durations and sizes as people write them: a whole number and its unit.

use std::time::Duration;

/// Units of time with their milliseconds, the greatest first.
const TIMES: &[(&str, u64)] = &[
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];
/// Units of size with their bytes, the greatest first.
const SIZES: &[(&str, u64)] = &[
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// The longest duration that any key takes. It keeps sums with points in time far from overflow.
pub(super) const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// Reads `"250ms"`, `"10s"`, `"5m"`, `"2h"` or `"7d"`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    parse(text, TIMES).map(Duration::from_millis)
}

/// Reads `"100B"`, `"512KiB"`, `"64MiB"` or `"1GiB"`, in bytes.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    parse(text, SIZES)
}

/// Writes a duration of whole milliseconds as [`parse_duration`] reads it.
pub(super) fn show_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        "0ms".to_owned()
    } else {
        show(millis, TIMES)
    }
}

/// Writes a number of bytes as [`parse_size`] reads it.
pub(super) fn show_size(bytes: u64) -> String {
    show(bytes, SIZES)
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn show(amount: u64, units: &[(&str, u64)]) -> String {
    let whole = units
        .iter()
        .find(|(_, factor)| amount.is_multiple_of(*factor));
    whole.map_or_else(
        || amount.to_string(),
        |(unit, factor)| format!("{}{unit}", amount / factor),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_whole_number_and_a_unit() {
        let check = |text: &str, millis: Option<u64>| {
            assert_eq!(
                parse_duration(text),
                millis.map(Duration::from_millis),
                "{text:?}"
            );
        };
        check("250ms", Some(250));
        check("0ms", Some(0));
        check("10s", Some(10_000));
        check("5m", Some(300_000));
        check("2h", Some(7_200_000));
        check("7d", Some(604_800_000));
        for refused in [
            "", "10", "s", "-1s", "+1s", "1.5s", "1 s", " 1s", "1S", "1min", "1KiB", "٣s",
        ] {
            check(refused, None);
        }
        check("18446744073709551615ms", Some(u64::MAX));
        check("18446744073709551616ms", None);
        check("213503982335d", None);
    }

    #[test]
    fn sizes_have_a_whole_number_and_a_unit() {
        let check =
            |text: &str, bytes: Option<u64>| assert_eq!(parse_size(text), bytes, "{text:?}");
        check("100B", Some(100));
        check("0B", Some(0));
        check("512KiB", Some(524_288));
        check("64MiB", Some(67_108_864));
        check("1GiB", Some(1_073_741_824));
        for refused in [
            "", "100", "KiB", "-1KiB", "0.5MiB", "1KB", "1MB", "1kib", "1 MiB", "1s",
        ] {
            check(refused, None);
        }
        check("17179869183GiB", Some(u64::MAX - (1 << 30) + 1));
        check("17179869184GiB", None);
    }

    #[test]
    fn what_is_shown_is_read_again() {
        for text in ["0ms", "250ms", "90s", "5m", "25h", "365d"] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(show_duration(duration), text);
        }
        for text in ["100B", "512KiB", "64MiB", "1GiB", "268435455B"] {
            assert_eq!(show_size(parse_size(text).unwrap()), text);
        }
    }
}
