//! A reading or an alert as a line. Pure.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use super::follow::{Item, List};
use crate::cli::visible::{visible, visible_json};

const BOLD_RED: &str = "\u{1b}[1;31m";
const YELLOW: &str = "\u{1b}[33m";
const GREEN: &str = "\u{1b}[32m";
const CYAN: &str = "\u{1b}[36m";
const BOLD: &str = "\u{1b}[1m";
const DIM: &str = "\u{1b}[2m";
const PLAIN: &str = "\u{1b}[0m";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Json,
    Text { is_colored: bool },
}

/// Writes them.
#[derive(Debug)]
pub(super) struct Lines {
    look: Look,
    zone: TimeZone,
}

impl Lines {
    /// In the time of this machine.
    pub(super) fn new(look: Look) -> Self {
        Self {
            look,
            zone: TimeZone::system(),
        }
    }

    pub(super) fn write(&self, text: &mut String, item: &Item) {
        let json = item.raw.get();
        match self.look {
            Look::Json => {
                let name = match item.list {
                    List::Readings => "reading",
                    List::Alerts => "alert",
                };
                // Writing into a text does not fail; nor does it below.
                writeln!(text, "{{\"{name}\":{}}}", visible_json(json)).ok();
            }
            Look::Text { is_colored } => {
                let fields: Value = serde_json::from_str(json).unwrap_or_default();
                let paint = Paint { is_colored };
                let line = match item.list {
                    List::Readings => self.reading(&fields, paint),
                    List::Alerts => self.alert(&fields, paint),
                };
                text.push_str(line.trim_end());
                text.push('\n');
            }
        }
    }

    fn reading(&self, fields: &Value, paint: Paint) -> String {
        let tags: Vec<&str> = fields["tags"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let tags = match tags.is_empty() {
            true => String::new(),
            false => format!("[{}]", visible(&tags.join(","))),
        };
        let parts = [
            paint.with(DIM, &self.time(&fields["ts"])),
            paint.with(CYAN, &text(&fields["sensor_id"])),
            paint.with(BOLD, &number(&fields["value"])),
            paint.with(YELLOW, &tags),
            paint.with(DIM, &attributes(&fields["attributes"])),
        ];
        join(&parts)
    }

    fn alert(&self, fields: &Value, paint: Paint) -> String {
        let state = text(&fields["state"]);
        let color = match &*state {
            "cleared" => GREEN,
            "acknowledged" => YELLOW,
            _ => BOLD_RED,
        };
        let parts = [
            paint.with(DIM, &self.time(&fields["ts"])),
            paint.with(color, &format!("ALERT {state}")),
            paint.with(color, &text(&fields["rule"])),
            paint.with(CYAN, &text(&fields["sensor_id"])),
            paint.with(BOLD, &number(&fields["value"])),
            paint.with(color, &text(&fields["severity"])),
            text(&fields["message"]),
            paint.with(DIM, &attributes(&fields["attributes"])),
        ];
        join(&parts)
    }

    fn time(&self, ts: &Value) -> String {
        let time = ts
            .as_i64()
            .and_then(|ms| Timestamp::from_millisecond(ms).ok());
        time.map_or_else(
            || ts.to_string(),
            |time| {
                let local = time.to_zoned_datetime(self.zone.clone());
                local.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
            },
        )
    }
}

#[derive(Clone, Copy, Debug)]
struct Paint {
    is_colored: bool,
}

impl Paint {
    fn with(self, color: &str, text: &str) -> String {
        match self.is_colored && !text.is_empty() {
            true => format!("{color}{text}{PLAIN}"),
            false => text.to_owned(),
        }
    }
}

fn join(parts: &[String]) -> String {
    let parts = parts
        .iter()
        .map(String::as_str)
        .filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("  ")
}

fn text(field: &Value) -> String {
    visible(field.as_str().unwrap_or_default())
}

/// 80 rather than 80.0.
fn number(field: &Value) -> String {
    let number = field.to_string();
    number.strip_suffix(".0").unwrap_or(&number).to_owned()
}

fn attributes(field: &Value) -> String {
    let empty = Map::new();
    let attributes = field.as_object().unwrap_or(&empty).iter();
    let shown = attributes.map(|(name, value)| {
        let value = match value {
            Value::String(text) if is_word(text) => text.clone(),
            other => visible_json(&other.to_string()),
        };
        format!("{}={value}", visible(name))
    });
    shown.collect::<Vec<_>>().join(" ")
}

/// A text that needs no quotes to be told from what stands around it.
fn is_word(text: &str) -> bool {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:%°".contains(c);
    !text.is_empty() && text.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(look: Look, list: List, json: &str) -> String {
        let lines = Lines {
            look,
            zone: TimeZone::UTC,
        };
        let item = Item {
            list,
            id: 1,
            reading_id: 1,
            sensor_id: String::new(),
            raw: serde_json::from_str(json).unwrap(),
        };
        let mut text = String::new();
        lines.write(&mut text, &item);
        text
    }

    const READING: &str = r#"{"id":345,"sensor_id":"boiler/1","value":80.0,"ts":1764000000000,"received_at":1764000000003,
        "tags":["high"],"attributes":{"unit":"°C","seq":7,"at":"hall 3","x":"\u001b[2J"}}"#;
    const ALERT: &str = r#"{"alert_id":12,"rule":"high","state":"raised","sensor_id":"s1","value":80.5,"ts":1764000000123,
        "attributes":{},"severity":"critical","message":"too hot"}"#;

    #[test]
    fn a_reading_is_a_line() {
        let look = Look::Text { is_colored: false };
        assert_eq!(
            line(look, List::Readings, READING),
            "2025-11-24 16:00:00.000  boiler/1  80  [high]  at=\"hall 3\" seq=7 unit=°C x=\"\\u001b[2J\"\n"
        );
    }

    #[test]
    fn an_alert_stands_out() {
        let look = Look::Text { is_colored: false };
        assert_eq!(
            line(look, List::Alerts, ALERT),
            "2025-11-24 16:00:00.123  ALERT raised  high  s1  80.5  critical  too hot\n"
        );
        let colored = line(Look::Text { is_colored: true }, List::Alerts, ALERT);
        assert!(
            colored.contains("\u{1b}[1;31mALERT raised\u{1b}[0m"),
            "{colored}"
        );
    }

    #[test]
    fn json_is_what_the_api_has_on_one_line() {
        let shown = line(Look::Json, List::Readings, READING);
        assert_eq!(shown.lines().count(), 1, "{shown}");
        let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(read(&shown)["reading"], read(READING));
        let shown = line(Look::Json, List::Alerts, ALERT);
        assert_eq!(read(&shown)["alert"], read(ALERT));
    }

    #[test]
    fn hostile_names_stay_text() {
        let json = r#"{"sensor_id":"a\u009b2Jb","value":1e300,"ts":1,"tags":["x\u001by"],"attributes":{"k\u0007":"v"}}"#;
        let shown = line(Look::Text { is_colored: false }, List::Readings, json);
        assert!(!shown.trim_end().chars().any(char::is_control), "{shown:?}");
        assert!(
            shown.contains("1e+300") || shown.contains("1e300"),
            "{shown}"
        );
    }
}
