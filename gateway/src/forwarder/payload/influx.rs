//! `influx`: line protocol of InfluxDB 2 (<https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/>):
//! `reading,gateway_id=…,sensor_id=… value=…,reading_id=…i,… nanoseconds`.
//!
//! Attributes that are a number, a text, true or false become fields of their names; deeper ones are left out. A point is
//! known by its tags and time: two readings of one sensor in one millisecond are one point there. The protocol cannot say
//! a backslash in a tag so that all parsers read it: it becomes a slash.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::Sender;
use crate::domain::reading::StoredReading;

pub(super) const CONTENT_TYPE: &str = "text/plain; charset=utf-8";

/// Fields that are no attributes.
const OWN: &[&str] = &["value", "reading_id", "tags"];

const NANOS_PER_MILLI: i64 = 1_000_000;

pub(super) fn encode(
    sender: Sender<'_>,
    readings: &[StoredReading],
) -> serde_json::Result<Vec<u8>> {
    let mut lines = String::new();
    for reading in readings {
        write_line(&mut lines, sender, reading)?;
    }
    Ok(lines.into_bytes())
}

fn write_line(
    line: &mut String,
    sender: Sender<'_>,
    reading: &StoredReading,
) -> serde_json::Result<()> {
    line.push_str("reading,gateway_id=");
    push_name(line, sender.gateway_id);
    line.push_str(",sensor_id=");
    push_name(line, reading.sensor_id.as_str());
    // Writing to a String cannot fail.
    write!(line, " value={},reading_id={}i", reading.value, reading.id).ok();
    let tags: Vec<&str> = serde_json::from_str(reading.tags.get())?;
    if !tags.is_empty() {
        line.push_str(",tags=");
        push_text(line, &tags.join(","));
    }
    let attributes: Map<String, Value> = serde_json::from_str(reading.attributes.get())?;
    for (name, value) in &attributes {
        let is_name = !name.is_empty() && !name.contains(char::is_control);
        if is_name && !OWN.contains(&&**name) && is_field(value) {
            line.push(',');
            push_name(line, name);
            line.push('=');
            push_field(line, value);
        }
    }
    let nanos = reading.ts.millis().saturating_mul(NANOS_PER_MILLI);
    writeln!(line, " {nanos}").ok();
    Ok(())
}

fn is_field(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64().is_some_and(f64::is_finite),
        Value::String(_) | Value::Bool(_) => true,
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

fn push_field(line: &mut String, value: &Value) {
    match value {
        Value::String(text) => push_text(line, text),
        // All numbers are floats: the type of a field is that of its first value.
        Value::Number(number) => {
            write!(line, "{}", number.as_f64().unwrap_or_default()).ok();
        }
        value => line.push_str(&value.to_string()),
    }
}

/// A tag or a field's name.
fn push_name(line: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            ',' | '=' | ' ' => line.extend(['\\', character]),
            '\\' => line.push('/'),
            other => line.push(other),
        }
    }
}

fn push_text(line: &mut String, text: &str) {
    line.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            line.push('\\');
        }
        line.push(character);
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use influxdb_line_protocol::FieldValue;
    use serde_json::value::RawValue;

    use crate::domain::sensor::SensorId;
    use crate::forwarder::payload::tests::{plain, reading};

    #[test]
    fn a_reading_is_a_point() {
        let text = plain("influx", &[reading(345), reading(346)]);
        let line = |id| {
            format!(
                "reading,gateway_id=edge-1,sensor_id=s1 value=80,reading_id={id}i,tags=\"high\",seq=7 1764000000000000000\n"
            )
        };
        assert_eq!(text, line(345) + &line(346));
    }

    /// Read back by a parser of others.
    #[test]
    fn whatever_a_reading_holds_a_parser_reads_it_again() {
        let attributes = r#"{"a b,c=d":"x\"y\\z\nnew","on":true,"n":-1.5e3,"deep":{"a":1},"list":[1],"none":null,"value":"v","":1,"é":"ü"}"#;
        let mut odd = reading(9);
        odd.sensor_id = SensorId::new("hall 3, left=top/传感器").unwrap();
        odd.value = -0.001;
        odd.attributes = RawValue::from_string(attributes.to_owned()).unwrap();
        odd.tags = RawValue::from_string("[]".to_owned()).unwrap();
        let text = plain("influx", &[odd, reading(1)]);
        let lines: Vec<_> = influxdb_line_protocol::parse_lines(&text)
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(lines.len(), 2);
        let line = &lines[0];
        assert_eq!(line.series.measurement.as_str(), "reading");
        assert_eq!(
            line.tag_value("sensor_id").unwrap().as_str(),
            "hall 3, left=top/传感器"
        );
        assert_eq!(line.tag_value("gateway_id").unwrap().as_str(), "edge-1");
        assert_eq!(line.timestamp, Some(1_764_000_000_000_000_000));
        let field = |name: &str| {
            line.field_value(name).map(|value| match value {
                FieldValue::String(text) => text.as_str().to_owned(),
                other => other.to_string(),
            })
        };
        assert_eq!(field("value").as_deref(), Some("-0.001"));
        assert_eq!(field("reading_id").as_deref(), Some("9i"));
        assert_eq!(field("on").as_deref(), Some("true"));
        assert_eq!(field("n").as_deref(), Some("-1500"));
        assert_eq!(field("é").as_deref(), Some("ü"));
        assert_eq!(field("a b,c=d").as_deref(), Some("x\"y\\z\nnew"));
        for left_out in ["deep", "list", "none", "tags", ""] {
            assert_eq!(field(left_out), None, "{left_out}");
        }
    }

    #[test]
    fn a_backslash_in_a_tag_becomes_a_slash() {
        let mut odd = reading(9);
        odd.sensor_id = SensorId::new("a\\b\\").unwrap();
        let text = plain("influx", &[odd]);
        assert!(
            text.starts_with("reading,gateway_id=edge-1,sensor_id=a/b/ value="),
            "{text}"
        );
    }
}
