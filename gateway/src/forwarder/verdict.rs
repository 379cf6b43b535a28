//! What the cloud's answer means. Pure.

use std::time::{Duration, SystemTime};

/// What to do with a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The cloud has it.
    Delivered,
    /// It is sent again after a back-off.
    Retry {
        reason: String,
        retry_after: Option<Duration>,
    },
    /// It is sent again, slowly: somebody has to put something right first.
    Held {
        reason: String,
        retry_after: Option<Duration>,
    },
}

impl Verdict {
    /// The word for it in metrics.
    pub(super) const fn label(&self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retry { .. } => "retry",
            Self::Held { .. } => "held",
        }
    }
}

/// Judges an answer by its status code and its `Retry-After`, in seconds or as a date (RFC 9110, section 10.2.3);
/// `now` is the wall clock, for the date.
pub(super) fn judge(status: u16, retry_after: Option<&str>, now: SystemTime) -> Verdict {
    let retry_after = retry_after.and_then(|text| parse_retry_after(text, now));
    let reason = status.to_string();
    match status {
        200..=299 => Verdict::Delivered,
        400 | 408 | 409 | 413 | 422 | 425 | 429 | 500.. | 0..=199 => Verdict::Retry {
            reason,
            retry_after,
        },
        300..=499 => Verdict::Held {
            reason,
            retry_after,
        },
    }
}

fn parse_retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    match text.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(text)
            .ok()
            .map(|date| date.duration_since(now).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_verdict() {
        let check = |statuses: &[u16], expected: &str| {
            for status in statuses {
                let verdict = judge(*status, None, SystemTime::UNIX_EPOCH);
                assert_eq!(verdict.label(), expected, "{status}");
            }
        };
        check(&[200, 201, 202, 204, 207], "delivered");
        check(&[408, 409, 425, 429, 500, 502, 503, 504, 599], "retry");
        check(
            &[
                301, 302, 307, 308, 401, 403, 404, 405, 407, 410, 415, 402, 406, 418, 451,
            ],
            "held",
        );
        // Halving and isolating come later: until then nothing is given up.
        check(&[400, 413, 422], "retry");
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_date() {
        let check = |text: &str, expected: Option<u64>| {
            let verdict = judge(503, Some(text), SystemTime::UNIX_EPOCH);
            let expected = Verdict::Retry {
                reason: "503".to_owned(),
                retry_after: expected.map(Duration::from_secs),
            };
            assert_eq!(verdict, expected, "{text}");
        };
        check("120", Some(120));
        check(" 0 ", Some(0));
        check("Thu, 01 Jan 1970 00:02:00 GMT", Some(120));
        check("soon", None);
        check("-5", None);
    }
}
