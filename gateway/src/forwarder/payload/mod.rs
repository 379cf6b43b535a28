//! What goes over the wire: one file a format. The same batch gives the same bytes.

mod batch;
mod influx;
mod ndjson;
mod single;
mod thingsboard;

use std::io::Write;

use flate2::GzBuilder;

use crate::background::{BYTES_AT_A_TIME, give_way};
use crate::config::{Compression, Format};
use crate::domain::reading::StoredReading;

/// Who sends, for the formats that say so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sender<'s> {
    pub(super) gateway_id: &'s str,
    pub(super) store_id: &'s str,
}

/// A request's body and how it is encoded.
#[derive(Clone, Debug)]
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    pub(super) content_type: &'static str,
    pub(super) content_encoding: Option<&'static str>,
    /// Before compression.
    pub(super) plain_bytes: usize,
    /// Of its reading, if it has only one.
    pub(super) sensor_id: Option<Box<str>>,
}

/// Why a batch that was recorded cannot be encoded.
#[derive(Debug, thiserror::Error)]
pub(super) enum PayloadError {
    #[error("a batch was recorded in the format `{0}`, which this gateway does not know")]
    Format(String),
    #[error("a batch was recorded with the compression `{0}`, which this gateway does not know")]
    Compression(String),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Compress(#[from] std::io::Error),
}

/// The body of a batch.
pub(super) fn encode(
    sender: Sender<'_>,
    batch_id: i64,
    format: &str,
    compression: &str,
    readings: &[StoredReading],
) -> Result<Body, PayloadError> {
    let Some(format) = Format::named(format) else {
        return Err(PayloadError::Format(format.to_owned()));
    };
    let plain = plain(sender, batch_id, format, readings)?;
    let plain_bytes = plain.len();
    let (bytes, content_encoding) = match Compression::named(compression) {
        Some(Compression::None) => (plain, None),
        Some(Compression::Gzip) => (gzip(&plain)?, Some("gzip")),
        Some(Compression::Zstd) => (zstd::bulk::compress(&plain, ZSTD_LEVEL)?, Some("zstd")),
        None => return Err(PayloadError::Compression(compression.to_owned())),
    };
    Ok(Body {
        bytes,
        content_type: match format {
            Format::Batch | Format::Single | Format::Thingsboard => "application/json",
            Format::Ndjson => ndjson::CONTENT_TYPE,
            Format::Influx => influx::CONTENT_TYPE,
        },
        content_encoding,
        plain_bytes,
        sensor_id: match readings {
            [one] => Some(one.sensor_id.as_str().into()),
            _ => None,
        },
    })
}

fn plain(
    sender: Sender<'_>,
    batch_id: i64,
    format: Format,
    readings: &[StoredReading],
) -> serde_json::Result<Vec<u8>> {
    match format {
        Format::Batch => batch::encode(sender, batch_id, readings),
        Format::Single => single::encode(readings),
        Format::Ndjson => ndjson::encode(sender, readings),
        Format::Influx => influx::encode(sender, readings),
        Format::Thingsboard => thingsboard::encode(readings),
    }
}

/// Bytes of a batch without readings, before compression.
pub(super) fn envelope_size(sender: Sender<'_>, format: Format) -> usize {
    plain(sender, i64::MAX, format, &[]).map_or(0, |body| body.len())
}

/// Bytes of a reading in a batch, before compression; never too few.
pub(super) fn size_of(sender: Sender<'_>, format: Format, reading: &StoredReading) -> usize {
    let alone = match format {
        // What they have in common with others stands in the envelope.
        Format::Batch => {
            let mut counted = Counted(0);
            serde_json::to_writer(&mut counted, reading).map(|()| counted.0)
        }
        format => plain(sender, 0, format, std::slice::from_ref(reading)).map(|body| body.len()),
    };
    alone.map_or(0, |bytes| bytes + 1)
}

/// Counts what is written.
struct Counted(usize);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A good part of what higher levels save, at the speed of gzip's lowest.
const ZSTD_LEVEL: i32 = 3;

/// Without name and time, so that the same content gives the same bytes.
fn gzip(plain: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzBuilder::new()
        .mtime(0)
        .write(Vec::new(), flate2::Compression::fast());
    for piece in plain.chunks(BYTES_AT_A_TIME) {
        encoder.write_all(piece)?;
        give_way();
    }
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use serde_json::value::RawValue;

    use super::*;
    use crate::domain::reading::ReadingId;
    use crate::domain::sensor::SensorId;
    use crate::domain::timestamp::Timestamp;

    pub(super) const SENDER: Sender<'_> = Sender {
        gateway_id: "edge-1",
        store_id: "abc",
    };

    /// An uncompressed body, as text.
    pub(super) fn plain(format: &str, readings: &[StoredReading]) -> String {
        let body = encode(SENDER, 9, format, "none", readings).unwrap();
        String::from_utf8(body.bytes).unwrap()
    }

    pub(super) fn reading(id: i64) -> StoredReading {
        StoredReading {
            id: ReadingId(id),
            sensor_id: SensorId::new("s1").unwrap(),
            value: 80.0,
            ts: Timestamp::from_millis(1_764_000_000_000),
            received_at: Timestamp::from_millis(1_764_000_000_003),
            tags: RawValue::from_string(r#"["high"]"#.to_owned()).unwrap(),
            attributes: RawValue::from_string(r#"{"seq":7}"#.to_owned()).unwrap(),
        }
    }

    #[test]
    fn a_batch_has_the_shape_of_the_contract() {
        let body = encode(SENDER, 9, "batch", "none", &[reading(345), reading(346)]).unwrap();
        let one = |id| {
            format!(
                r#"{{"id":{id},"sensor_id":"s1","value":80.0,"ts":1764000000000,"received_at":1764000000003,"tags":["high"],"attributes":{{"seq":7}}}}"#
            )
        };
        let expected = format!(
            r#"{{"gateway_id":"edge-1","store_id":"abc","batch_id":"9","readings":[{},{}]}}"#,
            one(345),
            one(346)
        );
        assert_eq!(String::from_utf8(body.bytes).unwrap(), expected);
        assert_eq!(body.sensor_id, None);
    }

    #[test]
    fn single_is_as_the_simplest_receivers_want_it() {
        let body = encode(SENDER, 9, "single", "none", &[reading(345)]).unwrap();
        assert_eq!(body.bytes, br#"{"sensor_id":"s1","value":80.0}"#);
        assert_eq!(body.sensor_id.as_deref(), Some("s1"));
    }

    #[test]
    fn what_is_compressed_is_the_same_bytes_each_time_and_unpacks() {
        let readings: Vec<StoredReading> = (0..100).map(reading).collect();
        let text = plain("batch", &readings);
        for compression in ["gzip", "zstd"] {
            let encoded = || encode(SENDER, 9, "batch", compression, &readings).unwrap();
            let body = encoded();
            assert_eq!(body.bytes, encoded().bytes);
            assert_eq!(body.content_encoding, Some(compression));
            assert_eq!(body.plain_bytes, text.len());
            assert!(body.bytes.len() < text.len() / 5);
            let mut unpacked = String::new();
            let mut reader: Box<dyn Read> = match compression {
                "gzip" => Box::new(flate2::read::GzDecoder::new(&*body.bytes)),
                _ => Box::new(zstd::Decoder::new(&*body.bytes).unwrap()),
            };
            reader.read_to_string(&mut unpacked).unwrap();
            assert_eq!(unpacked, text);
        }
    }

    /// The figures stand in docs/measurements.md; `--nocapture` prints them.
    #[test]
    fn compression_saves_most_of_a_batch() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut readings: Vec<StoredReading> = (1..=1000).map(reading).collect();
        for (number, reading) in (0..).zip(&mut readings) {
            reading.sensor_id = SensorId::new(&format!("s{}", random.u32(..1000))).unwrap();
            reading.value = f64::from(random.u32(5000..10_000)) / 100.0;
            reading.ts = Timestamp::from_millis(1_764_000_000_000 + number * 10);
            reading.received_at = Timestamp::from_millis(1_764_000_000_003 + number * 10);
            let attributes = format!("{{\"seq\":{number}}}");
            reading.attributes = RawValue::from_string(attributes).unwrap();
        }
        for format in ["batch", "ndjson", "influx", "thingsboard"] {
            let sizes = ["none", "gzip", "zstd"].map(|compression| {
                let body = encode(SENDER, 9, format, compression, &readings).unwrap();
                body.bytes.len()
            });
            let [none, gzip, zstd] = sizes.map(|size| size as f64 / 1000.0);
            println!("| {format} | {none:.1} | {gzip:.1} | {zstd:.1} |");
            assert!(gzip * 4.0 < none && zstd < gzip, "{format} {sizes:?}");
        }
    }

    #[test]
    fn no_body_is_larger_than_the_sum_of_its_parts() {
        let readings: Vec<StoredReading> = (0..50).map(reading).collect();
        for name in ["batch", "ndjson", "influx", "thingsboard"] {
            let format = Format::named(name).unwrap();
            let sizes = readings.iter().map(|one| size_of(SENDER, format, one));
            let most = envelope_size(SENDER, format) + sizes.sum::<usize>();
            let body = plain(name, &readings);
            assert!(body.len() <= most, "{name}: {} of {most}", body.len());
        }
    }

    #[test]
    fn an_unknown_recorded_format_is_an_error() {
        assert!(encode(SENDER, 9, "carrier-pigeon", "none", &[]).is_err());
        assert!(encode(SENDER, 9, "batch", "zip", &[]).is_err());
    }
}
