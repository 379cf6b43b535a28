//! Readings as rows of the formats that the API has.

use utoipa::ToSchema;

use crate::domain::reading::StoredReading;

/// How readings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum Format {
    Json,
    Ndjson,
    /// RFC 4180, with a line of names. Tags and attributes are JSON.
    Csv,
}

impl Format {
    /// The format of this name; the error says what was expected.
    pub(super) fn named(name: &str) -> Result<Self, String> {
        match name {
            "json" => Ok(Self::Json),
            "ndjson" => Ok(Self::Ndjson),
            "csv" => Ok(Self::Csv),
            _ => Err("expected json, csv or ndjson".to_owned()),
        }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
        }
    }

    /// What stands before the first reading.
    pub const fn head(self) -> &'static [u8] {
        match self {
            Self::Json => b"{\"items\":[",
            Self::Ndjson => b"",
            Self::Csv => b"id,sensor_id,value,ts,received_at,tags,attributes\r\n",
        }
    }

    /// Appends a reading.
    pub fn write(self, body: &mut Vec<u8>, reading: &StoredReading) -> serde_json::Result<()> {
        let begin = body.len();
        match self {
            Self::Json => serde_json::to_writer(body, reading)?,
            Self::Ndjson => {
                serde_json::to_writer(&mut *body, reading)?;
                unbreak(&mut body[begin..]);
                body.push(b'\n');
            }
            Self::Csv => write_csv(body, reading)?,
        }
        Ok(())
    }
}

/// Puts a JSON text on one line. In texts line breaks are escaped: those that stand there are only white space, in
/// attributes as they were sent.
fn unbreak(json: &mut [u8]) {
    for byte in json {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

fn write_csv(body: &mut Vec<u8>, reading: &StoredReading) -> serde_json::Result<()> {
    body.extend_from_slice(format!("{},", reading.id).as_bytes());
    write_field(body, reading.sensor_id.as_str());
    body.push(b',');
    // As everywhere in the API: 80 is 80.0.
    serde_json::to_writer(&mut *body, &reading.value)?;
    let (ts, received_at) = (reading.ts.millis(), reading.received_at.millis());
    body.extend_from_slice(format!(",{ts},{received_at},").as_bytes());
    write_field(body, reading.tags.get());
    body.push(b',');
    write_field(body, reading.attributes.get());
    body.extend_from_slice(b"\r\n");
    Ok(())
}

/// In quotes where it needs them (RFC 4180, section 2).
fn write_field(body: &mut Vec<u8>, text: &str) {
    if !text.contains(['"', ',', '\r', '\n']) {
        return body.extend_from_slice(text.as_bytes());
    }
    body.push(b'"');
    for byte in text.bytes() {
        if byte == b'"' {
            body.push(b'"');
        }
        body.push(byte);
    }
    body.push(b'"');
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::domain::reading::ReadingId;
    use crate::domain::sensor::SensorId;
    use crate::domain::timestamp::Timestamp;

    #[test]
    fn fields_that_would_break_a_row_are_quoted() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        let mut body = Vec::new();
        let check = |sensor: &str, attributes: &str, expected: &str, body: &mut Vec<u8>| {
            body.clear();
            let reading = StoredReading {
                id: ReadingId(7),
                sensor_id: SensorId::new(sensor).unwrap(),
                value: 80.0,
                ts: Timestamp::from_millis(1),
                received_at: Timestamp::from_millis(2),
                tags: raw("[]"),
                attributes: raw(attributes),
            };
            Format::Csv.write(body, &reading).unwrap();
            assert_eq!(std::str::from_utf8(body).unwrap(), expected);
        };
        check("s1", "{}", "7,s1,80.0,1,2,[],{}\r\n", &mut body);
        check(
            "a,\"b\"",
            "{\"a\":\n\"x\"}",
            "7,\"a,\"\"b\"\"\",80.0,1,2,[],\"{\"\"a\"\":\n\"\"x\"\"}\"\r\n",
            &mut body,
        );
    }
}
