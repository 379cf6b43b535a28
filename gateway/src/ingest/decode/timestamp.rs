//! Times as payloads and queries write them.

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::domain::timestamp::Timestamp;

/// Milliseconds since 1970, or RFC 3339; between 1970 and 2200.
pub fn parse_timestamp(text: &str) -> Option<Timestamp> {
    let timestamp = match text.parse::<i64>() {
        Ok(millis) => Timestamp::from_millis(millis),
        Err(_) => {
            let parsed = OffsetDateTime::parse(text, &Rfc3339).ok()?;
            let millis = parsed.unix_timestamp_nanos().div_euclid(1_000_000);
            Timestamp::from_millis(i64::try_from(millis).ok()?)
        }
    };
    timestamp.is_plausible().then_some(timestamp)
}

/// A JSON value: a number of milliseconds since 1970, or a text in RFC 3339; between 1970 and 2200.
pub(super) fn parse_json(json: &str) -> Option<Timestamp> {
    if let Ok(text) = serde_json::from_str::<&str>(json) {
        return text.contains('-').then(|| parse_timestamp(text)).flatten();
    }
    let millis: f64 = json.parse().ok()?;
    // Beyond the plausible range the cast saturates and the check below refuses.
    let timestamp = Timestamp::from_millis(millis.trunc() as i64);
    (!millis.is_nan() && timestamp.is_plausible()).then_some(timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_both_spellings() {
        let check = |json: &str, expected: Option<i64>| {
            assert_eq!(parse_json(json).map(Timestamp::millis), expected, "{json}");
        };
        check("1764000000000", Some(1_764_000_000_000));
        check("1764000000000.7", Some(1_764_000_000_000));
        check("0", Some(0));
        check(r#""2025-11-24T16:00:00Z""#, Some(1_764_000_000_000));
        check(r#""2025-11-24T17:00:00.25+01:00""#, Some(1_764_000_000_250));
        check(r#""1970-01-01T00:00:00Z""#, Some(0));
        check("-1", None);
        check("7258118400000", None);
        check("1e300", None);
        check(r#""2300-01-01T00:00:00Z""#, None);
        check(r#""1764000000000""#, None);
        check(r#""yesterday""#, None);
        check("null", None);
        check("true", None);
        check("[1]", None);
    }
}
