//! What the cloud's answer means. Pure.

use std::time::{Duration, UNIX_EPOCH};

use crate::domain::timestamp::Timestamp;

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

/// When the cloud wants to be asked again: the header `Retry-After`, in seconds or as a date (RFC 9110, section 10.2.3),
/// and the header `Date`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RetryAfter<'a> {
    pub(super) text: Option<&'a str>,
    pub(super) date: Option<&'a str>,
}

/// Judges an answer by its status code. A date of `Retry-After` is compared with the cloud's own clock if it says what
/// that shows; `now` is the wall clock here.
pub(super) fn judge(status: u16, retry_after: RetryAfter<'_>, now: Timestamp) -> Verdict {
    let retry_after = retry_after.wait(now);
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

impl RetryAfter<'_> {
    fn wait(self, now: Timestamp) -> Option<Duration> {
        let text = self.text?.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            // More seconds than fit are as many as can be.
            return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
        }
        let now = self.date.and_then(parse_date).unwrap_or(now);
        Some(parse_date(text)? - now)
    }
}

fn parse_date(text: &str) -> Option<Timestamp> {
    let date = httpdate::parse_http_date(text.trim()).ok()?;
    let since = date.duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp::from_millis(since.as_millis().try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_verdict() {
        let check = |statuses: &[u16], expected: &str| {
            for status in statuses {
                let verdict = judge(*status, RetryAfter::default(), Timestamp::MIN);
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
        let judged = |text: &str, date: Option<&str>, expected: Option<u64>| {
            let retry_after = RetryAfter {
                text: Some(text),
                date,
            };
            let verdict = judge(503, retry_after, Timestamp::MIN);
            let expected = Verdict::Retry {
                reason: "503".to_owned(),
                retry_after: expected.map(Duration::from_secs),
            };
            assert_eq!(verdict, expected, "{text}");
        };
        let check = |text: &str, expected: Option<u64>| judged(text, None, expected);
        check("120", Some(120));
        check(" 0 ", Some(0));
        check("Thu, 01 Jan 1970 00:02:00 GMT", Some(120));
        check("soon", None);
        check("-5", None);
        check("+5", None);
        check("", None);
        check("18446744073709551616", Some(u64::MAX));
        check(&"9".repeat(100), Some(u64::MAX));
        // The cloud's clock counts, not the one here.
        let date = "Mon, 23 Nov 2026 12:00:00 GMT";
        judged("Mon, 23 Nov 2026 12:00:30 GMT", Some(date), Some(30));
        judged("Mon, 23 Nov 2026 11:00:00 GMT", Some(date), Some(0));
        judged("Thu, 01 Jan 1970 00:02:00 GMT", Some("soon"), Some(120));
    }
}
