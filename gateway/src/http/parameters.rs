//! The parameters of a query and of a path: what they have to be, whoever takes them.

use axum::http::Uri;

use super::problem::Problem;
use crate::domain::sensor::SensorId;
use crate::domain::timestamp::Timestamp;
use crate::ingest::decode::parse_timestamp;

/// The parameters of a query as they came.
pub(super) type Pairs = Vec<(String, String)>;

/// The most items of a page, where they are small; and how many it has if nobody says.
pub(super) const MAX_LIMIT: i64 = 1000;
pub(super) const DEFAULT_LIMIT: usize = 100;

/// Hands over each parameter, with its name first. None may come twice; what `take` says of a bad one is what was expected.
pub(super) fn take_each(
    pairs: &[(String, String)],
    mut take: impl FnMut(&str, &str) -> Result<(), String>,
) -> Result<(), Problem> {
    for (at, (name, value)) in pairs.iter().enumerate() {
        let is_repeated = pairs[..at].iter().any(|(earlier, _)| earlier == name);
        let taken = if is_repeated {
            Err("expected once, found twice".to_owned())
        } else {
            take(name, value)
        };
        taken.map_err(|expected| Problem::bad_parameter(name, &expected))?;
    }
    Ok(())
}

/// `after` and `limit`, for what knows no other parameters.
pub(super) fn after_and_limit(pairs: &[(String, String)]) -> Result<(i64, usize), Problem> {
    let (mut after, mut limit) = (0, DEFAULT_LIMIT);
    take_each(pairs, |name, value| {
        match name {
            "after" => after = number(value, i64::MAX)?,
            "limit" => limit = number(value, MAX_LIMIT)? as usize,
            _ => return Err("unknown; there are after and limit".to_owned()),
        }
        Ok(())
    })?;
    Ok((after, limit))
}

/// A whole number from 1 on; the error says what was expected.
pub(super) fn number(text: &str, most: i64) -> Result<i64, String> {
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|number| is_digits && (1..=most).contains(number))
        .ok_or_else(|| format!("expected a whole number from 1 to {most}"))
}

/// The number in a path; where there is none, there is nothing.
pub(super) fn id(text: &str, uri: &Uri) -> Result<i64, Problem> {
    number(text, i64::MAX).map_err(|_| Problem::no_such_path(uri))
}

/// A sensor's id.
pub(super) fn sensor(text: &str) -> Result<SensorId, String> {
    SensorId::new(text).map_err(|error| error.to_string())
}

/// A point in time.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    parse_timestamp(text).ok_or_else(|| {
        "expected milliseconds since 1970 or RFC 3339 (with `+` written as %2B), between 1970 and 2200"
            .to_owned()
    })
}
