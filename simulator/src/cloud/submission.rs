//! What a gateway posts: the contract's `batch` and `single` bodies and no others. Every field of
//! the contract must be there and of its type; a batch may have further ones.

use std::{borrow::Cow, io::Read};

use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The most that a compressed body may hold, in bytes.
const MAX_DECODED_BYTES: u64 = 256 * 1024 * 1024;

/// A body that was understood.
#[derive(Debug)]
pub(super) enum Submission<'a> {
    Batch(Batch<'a>),
    Single(Single<'a>),
}

/// The body of format `batch`.
#[derive(Debug, Deserialize)]
pub(super) struct Batch<'a> {
    #[serde(borrow)]
    pub(super) gateway_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) store_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) batch_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) readings: Vec<Reading<'a>>,
}

/// One reading of a batch.
#[derive(Debug, Deserialize)]
pub(super) struct Reading<'a> {
    pub(super) id: i64,
    #[serde(borrow)]
    pub(super) sensor_id: Cow<'a, str>,
    pub(super) value: f64,
    #[serde(rename = "ts")]
    _ts: i64,
    #[serde(rename = "received_at")]
    _received_at: i64,
    #[serde(borrow, rename = "tags")]
    _tags: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    attributes: &'a RawValue,
}

/// The body of format `single`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Single<'a> {
    #[serde(borrow)]
    pub(super) sensor_id: Cow<'a, str>,
    pub(super) value: f64,
}

/// The one attribute that is looked at: the number that simulated sensors count with.
#[derive(Deserialize)]
struct Counted {
    seq: Option<u64>,
}

/// Why a body was not understood.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("content encoding `{0}` is neither gzip nor identity")]
    Encoding(String),
    #[error("the body is no gzip: {0}")]
    Gzip(std::io::Error),
    #[error("the body holds more than {MAX_DECODED_BYTES} bytes")]
    TooLarge,
    #[error("the body is neither a batch nor a single reading: {0}")]
    Json(#[from] serde_json::Error),
    #[error("Idempotency-Key `{0}` is not `gateway_id:store_id:batch_id` of the body")]
    Key(String),
    #[error("the batch is empty")]
    Empty,
}

impl BodyError {
    /// The HTTP status that names it.
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::Encoding(_) => 415,
            Self::TooLarge => 413,
            Self::Gzip(_) | Self::Json(_) | Self::Key(_) | Self::Empty => 400,
        }
    }
}

/// The body without its content encoding.
pub(super) fn decode<'a>(
    encoding: Option<&str>,
    body: &'a [u8],
) -> Result<Cow<'a, [u8]>, BodyError> {
    match encoding {
        None | Some("identity") => Ok(body.into()),
        Some("gzip") => {
            let mut decoded = Vec::with_capacity(body.len().saturating_mul(4));
            MultiGzDecoder::new(body)
                .take(MAX_DECODED_BYTES + 1)
                .read_to_end(&mut decoded)
                .map_err(BodyError::Gzip)?;
            if MAX_DECODED_BYTES < decoded.len() as u64 {
                return Err(BodyError::TooLarge);
            }
            Ok(decoded.into())
        }
        Some(other) => Err(BodyError::Encoding(other.to_owned())),
    }
}

/// Reads a decoded body and holds it against its key.
pub(super) fn parse<'a>(key: &str, body: &'a [u8]) -> Result<Submission<'a>, BodyError> {
    let batch = match serde_json::from_slice::<Batch<'_>>(body) {
        Ok(batch) => batch,
        Err(error) => {
            // Of the two complaints that of the batch says more, unless it is a single reading.
            return match serde_json::from_slice(body) {
                Ok(single) => Ok(Submission::Single(single)),
                Err(_) => Err(error.into()),
            };
        }
    };
    if batch.readings.is_empty() {
        return Err(BodyError::Empty);
    }
    if key != format!("{}:{}:{}", batch.gateway_id, batch.store_id, batch.batch_id) {
        return Err(BodyError::Key(key.to_owned()));
    }
    Ok(Submission::Batch(batch))
}

impl Submission<'_> {
    /// The sensors of its readings.
    pub(super) fn sensors(&self) -> impl ExactSizeIterator<Item = &str> {
        let (single, readings) = match self {
            Self::Batch(batch) => (None, batch.readings.as_slice()),
            Self::Single(single) => (Some(&*single.sensor_id), [].as_slice()),
        };
        let sensors: Vec<&str> = single
            .into_iter()
            .chain(readings.iter().map(|reading| &*reading.sensor_id))
            .collect();
        sensors.into_iter()
    }
}

impl Reading<'_> {
    /// The attribute `seq`, if it is there and a whole number.
    pub(super) fn seq(&self) -> Option<u64> {
        serde_json::from_str::<Counted>(self.attributes.get())
            .ok()?
            .seq
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: &str = r#"{"gateway_id":"edge-1","store_id":"a","batch_id":"7","readings":[{"id":345,
        "sensor_id":"s1","value":80.0,"ts":1764000000000,"received_at":1764000000003,
        "tags":["high"],"attributes":{"seq":7,"unit":"°C"}}]}"#;

    #[test]
    fn a_batch_is_read_with_its_counted_attribute() {
        let Ok(Submission::Batch(batch)) = parse("edge-1:a:7", BATCH.as_bytes()) else {
            panic!("no batch");
        };
        assert_eq!(batch.readings[0].id, 345);
        assert_eq!(batch.readings[0].seq(), Some(7));
    }

    #[test]
    fn a_single_reading_needs_no_particular_key() {
        let single = parse("any", br#"{"sensor_id":"s1","value":80}"#).unwrap();
        assert!(matches!(single, Submission::Single(_)));
        assert_eq!(single.sensors().collect::<Vec<_>>(), ["s1"]);
    }

    #[test]
    fn bodies_against_the_contract_are_refused() {
        let refused = |key: &str, body: &str| parse(key, body.as_bytes()).unwrap_err().status();
        assert_eq!(refused("edge-1:a:8", BATCH), 400);
        assert_eq!(
            refused("edge-1:a:7", &BATCH.replace("\"ts\"", "\"time\"")),
            400
        );
        assert_eq!(refused("edge-1:a:7", &BATCH.replace("345", "\"345\"")), 400);
        assert_eq!(refused("any", r#"{"sensor_id":"s1","value":"80"}"#), 400);
        assert_eq!(
            refused(
                "g:s:1",
                r#"{"gateway_id":"g","store_id":"s","batch_id":"1","readings":[]}"#
            ),
            400
        );
    }

    #[test]
    fn unknown_and_broken_encodings_are_refused() {
        let status = |encoding, body: &[u8]| decode(Some(encoding), body).unwrap_err().status();
        assert_eq!(status("br", b""), 415);
        assert_eq!(status("gzip", b"plain"), 400);
    }
}
