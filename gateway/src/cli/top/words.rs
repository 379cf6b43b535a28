//! Numbers as people read them. Pure.

/// The two greatest units: `2h 10m`, `12.3s`, `45ms`.
pub(super) fn span(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "-".to_owned();
    }
    let whole = seconds.round() as u64;
    let two = |great: u64, name: &str, small: u64, other: &str| match small {
        0 => format!("{great}{name}"),
        small => format!("{great}{name} {small}{other}"),
    };
    match whole {
        0..60 if seconds < 9.95 && seconds.fract() != 0.0 => format!("{seconds:.1}s"),
        0..60 => format!("{whole}s"),
        60..3600 => two(whole / 60, "m", whole % 60, "s"),
        3600..86_400 => two(whole / 3600, "h", whole % 3600 / 60, "m"),
        _ => two(whole / 86_400, "d", whole % 86_400 / 3600, "h"),
    }
}

/// The same of an age in a table, in one unit: `12s`, `3h`.
pub(super) fn age(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    match whole {
        0..60 => format!("{whole}s"),
        60..3600 => format!("{}m", whole / 60),
        3600..86_400 => format!("{}h", whole / 3600),
        _ => format!("{}d", whole / 86_400),
    }
}

/// `12.3 MiB`.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut amount = bytes as f64;
    let mut shown = "B";
    for unit in UNITS {
        if amount < 1024.0 {
            break;
        }
        (amount, shown) = (amount / 1024.0, unit);
    }
    match amount < 99.95 {
        true => format!("{amount:.1} {shown}"),
        false => format!("{amount:.0} {shown}"),
    }
}

/// `1,234,567`.
pub(super) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if 0 < at && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// A second.
pub(super) fn rate(rate: Option<f64>) -> String {
    match rate {
        None => "-".to_owned(),
        Some(rate) if rate < 9.95 => format!("{rate:.1}"),
        Some(rate) => count(rate.round() as u64),
    }
}

/// In a few characters.
pub(super) fn value(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(0.001..1e7).contains(&size) {
        return format!("{value:.2e}");
    }
    let shown = format!("{value:.3}");
    shown.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The values as bars between the least and the greatest of them.
pub(super) fn bars(values: impl ExactSizeIterator<Item = f64> + Clone, most: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let surplus = values.len().saturating_sub(most);
    let values = values.skip(surplus);
    let least = values.clone().fold(f64::INFINITY, f64::min);
    let greatest = values.clone().fold(f64::NEG_INFINITY, f64::max);
    let range = greatest - least;
    let bar = |value: f64| {
        let share = if 0.0 < range && range.is_finite() {
            (value - least) / range
        } else {
            0.5
        };
        let top = BARS.len() - 1;
        BARS[((share * top as f64).round() as usize).min(top)]
    };
    values.map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(span(0.04), "0.0s");
        assert_eq!(span(2.0), "2s");
        assert_eq!(span(59.9), "1m");
        assert_eq!(span(7800.5), "2h 10m");
        assert_eq!(span(86_400.0 * 3.0), "3d");
        assert_eq!(span(f64::NAN), "-");
        assert_eq!(age(3700.0), "1h");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(12_900_000), "12.3 MiB");
        assert_eq!(bytes(u64::MAX), "16384 PiB");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(12), "12");
        assert_eq!(rate(Some(0.5)), "0.5");
        assert_eq!(rate(Some(5012.4)), "5,012");
        assert_eq!(value(80.0), "80");
        assert_eq!(value(-0.125), "-0.125");
        assert_eq!(value(1e300), "1.00e300");
        assert_eq!(value(0.0), "0");
    }

    #[test]
    fn bars_stand_between_the_least_and_the_greatest() {
        let bars = |values: &[f64], most| bars(values.iter().copied(), most);
        assert_eq!(bars(&[0.0, 7.0, 3.0], 8), "▁█▄");
        assert_eq!(bars(&[9.0, 0.0, 7.0], 2), "▁█");
        assert_eq!(bars(&[5.0, 5.0], 8), "▅▅");
        assert_eq!(bars(&[], 8), "");
        assert_eq!(bars(&[f64::MIN, f64::MAX], 8), "▅▅");
    }
}
