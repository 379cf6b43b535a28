//! What an answer means. Pure.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

use crate::config::Expect;
use crate::domain::reading::ReadingId;
use crate::domain::timestamp::Timestamp;

/// Of a refusing answer's body so many bytes are kept.
const KEPT_BYTES: usize = 1024;

/// RFC 4918, section 13.
const MULTI_STATUS: u16 = 207;

/// Before this a clock has not been set: 2020-01-01.
pub(super) const PLAUSIBLE: Timestamp = Timestamp::from_millis(1_577_836_800_000);

/// What to do with a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The receiver has it, but for the readings that it names as rejected.
    Delivered {
        rejected: Vec<ReadingId>,
        refusal: Words,
    },
    /// It is sent again after a back-off.
    Retry {
        reason: String,
        retry_after: Option<Duration>,
        /// It ran out of time on its way, or its answer did: the link may be slow.
        is_timeout: bool,
    },
    /// It is sent again, slowly: somebody has to put something right first.
    Held {
        reason: String,
        retry_after: Option<Duration>,
    },
    /// It has to be smaller.
    TooLarge(Words),
    /// Something in it is not as it should be.
    Refused(Words),
}

/// What a receiver said: status and the beginning of the body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) status: u16,
    pub(super) body: Box<str>,
}

impl Verdict {
    /// The word for it in metrics.
    pub(super) const fn label(&self) -> &'static str {
        match self {
            Self::Delivered { .. } => "delivered",
            Self::Retry { .. } => "retry",
            Self::Held { .. } => "held",
            Self::TooLarge(_) => "too_large",
            Self::Refused(_) => "refused",
        }
    }

    /// What it means for these readings, whose ids grow. An answer that names others as rejected may mean some of these by
    /// other numbers: none of them is let go.
    pub(super) fn of(self, readings: &[ReadingId]) -> Self {
        let Self::Delivered { rejected, refusal } = &self else {
            return self;
        };
        let foreign = rejected
            .iter()
            .find(|id| readings.binary_search(id).is_err());
        match foreign {
            None => self,
            Some(ReadingId(id)) => Self::held(format!(
                "{}, but {id}, which it names as rejected, is no reading of this batch: `rejected` holds readings' ids",
                refusal.status
            )),
        }
    }

    /// A failure that time may heal.
    pub(super) fn retry(reason: impl Into<String>) -> Self {
        Self::Retry {
            reason: reason.into(),
            retry_after: None,
            is_timeout: false,
        }
    }

    /// The same, for what ran out of time.
    pub(super) fn timeout(reason: impl Into<String>) -> Self {
        Self::Retry {
            reason: reason.into(),
            retry_after: None,
            is_timeout: true,
        }
    }

    /// A failure that people have to heal.
    pub(super) fn held(reason: impl Into<String>) -> Self {
        Self::Held {
            reason: reason.into(),
            retry_after: None,
        }
    }
}

/// An answer, as far as it matters.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    /// The header `Retry-After`, in seconds or as a date (RFC 9110, section 10.2.3), and the header `Date`.
    pub(super) retry_after: Option<&'a str>,
    pub(super) date: Option<&'a str>,
    /// The host of the header `Location`.
    pub(super) location: Option<&'a str>,
    /// The beginning of the body.
    pub(super) body: &'a [u8],
    /// It is packed in a way that was not asked for.
    pub(super) is_encoded: bool,
    /// The body goes on.
    pub(super) is_cut: bool,
}

/// Judges an answer. A date of `Retry-After` is compared with the receiver's own clock if it says what that shows; `now` is
/// the wall clock here, which counts for nothing while it has not been set.
pub(super) fn judge(answer: &Answer<'_>, expect: &Expect, now: Timestamp) -> Verdict {
    let retry_after = answer.wait(now);
    let reason = answer.status.to_string();
    match answer.status {
        200..=299 => accepted(answer, expect),
        413 => Verdict::TooLarge(answer.words()),
        400 | 422 => Verdict::Refused(answer.words()),
        408 | 409 | 425 | 429 | 500.. | 0..=199 => Verdict::Retry {
            reason,
            retry_after,
            is_timeout: false,
        },
        300..=399 => Verdict::Held {
            reason: match answer.location {
                Some(host) => format!("{reason}: it redirects to {host}, which is not followed"),
                None => reason,
            },
            retry_after,
        },
        401..=499 => Verdict::Held {
            reason,
            retry_after,
        },
    }
}

fn accepted(answer: &Answer<'_>, expect: &Expect) -> Verdict {
    if let Some(status) = expect.status.filter(|status| *status != answer.status) {
        let found = answer.status;
        return Verdict::retry(format!("{found}, but `expect` asks for {status}"));
    }
    if answer.is_encoded {
        let status = answer.status;
        return Verdict::held(format!(
            "{status}, but the answer is packed (Content-Encoding), which was not asked for: what it says cannot be read"
        ));
    }
    // Some put a byte order mark before it.
    let text = answer
        .body
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(answer.body);
    let json: Option<Value> = serde_json::from_slice(text).ok();
    if let Some(pointer) = &expect.pointer {
        let found = json.as_ref().and_then(|json| json.pointer(pointer));
        if matches!(found, None | Some(Value::Null | Value::Bool(false))) {
            let status = answer.status;
            return Verdict::retry(format!(
                "{status}, but without {pointer}, which `expect` asks for: a captive portal?"
            ));
        }
    }
    // Were it taken for accepted, what is rejected would be lost.
    match rejected(answer, json.as_ref()) {
        Some(rejected) => Verdict::Delivered {
            rejected,
            refusal: answer.words(),
        },
        None => Verdict::held(format!(
            "{}, but what it says of rejected readings cannot be read: `{{\"rejected\":[ids]}}` is understood",
            answer.status
        )),
    }
}

/// The ids that an answer names, growing; `None` if it may name some and cannot be read. Some say how many, which tells
/// enough if it is none.
fn rejected(answer: &Answer<'_>, json: Option<&Value>) -> Option<Vec<ReadingId>> {
    const KEY: &[u8] = b"\"rejected\"";
    let says_more = answer.status == MULTI_STATUS && !answer.body.trim_ascii().is_empty();
    let Some(json) = json else {
        let names = answer.body.windows(KEY.len()).any(|part| part == KEY);
        let begins = matches!(answer.body.trim_ascii_start().first(), Some(b'{' | b'['));
        let may_name = says_more || names || (answer.is_cut && begins);
        return (!may_name).then(Vec::new);
    };
    let mut ids = match json.get("rejected") {
        // Some of what this status speaks of has failed, and each receiver has its own way of saying what.
        None if says_more && !is_nothing(json) => return None,
        None | Some(Value::Null | Value::Bool(false)) => Vec::new(),
        Some(Value::Number(count)) if count.as_f64() == Some(0.0) => Vec::new(),
        Some(Value::Array(ids)) => ids.iter().map(reading_id).collect::<Option<_>>()?,
        Some(_) => return None,
    };
    ids.sort_unstable();
    ids.dedup();
    Some(ids)
}

fn is_nothing(json: &Value) -> bool {
    match json {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => false,
    }
}

/// As a number, or as a text from those whose numbers are too small for it.
fn reading_id(value: &Value) -> Option<ReadingId> {
    let id = match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_i64(),
    };
    id.map(ReadingId)
}

impl Answer<'_> {
    fn words(&self) -> Words {
        let kept = &self.body[..self.body.len().min(KEPT_BYTES)];
        Words {
            status: self.status,
            body: String::from_utf8_lossy(kept).into(),
        }
    }

    fn wait(&self, now: Timestamp) -> Option<Duration> {
        let text = self.retry_after?.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            // More seconds than fit are as many as can be.
            return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
        }
        let own = (PLAUSIBLE <= now).then_some(now);
        let now = self.date.and_then(parse_date).or(own)?;
        Some(parse_date(text)? - now)
    }
}

fn parse_date(text: &str) -> Option<Timestamp> {
    let date = httpdate::parse_http_date(text.trim()).ok()?;
    let since = date.duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp::from_millis(since.as_millis().try_into().ok()?))
}

#[cfg(test)]
mod tests;
