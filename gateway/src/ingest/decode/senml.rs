//! Sensor Measurement Lists (SenML, RFC 8428): packs of records in JSON or CBOR. What both share is here; how a record is
//! written stands in a file of its own.
//!
//! A record with a number is a reading of the sensor by its name, which is global. A bool is 1 or 0. A record with nothing but a
//! sum is a reading of a sensor `<name>/sum`. Texts and data are no readings and rejected alone.

mod cbor;
mod json;

use serde::Serialize;

use super::{Decoded, Fault, Faults, Origin, whole};
use crate::domain::reading::{Attributes, Reading};
use crate::domain::sensor::{SensorId, SensorIdError};
use crate::domain::timestamp::Timestamp;

pub(super) use self::cbor::decode as decode_cbor;
pub(super) use self::json::decode as decode_json;

/// The largest version that is understood. Versions are sets of features (RFC 9100, section 2): the first four bits are those of RFC
/// 8428 and its drafts, the fifth is secondary units, which are units like others here.
const NEWEST_VERSION: f64 = 31.0;

/// Bytes of a unit: it is copied with each record that it stands for. Registered ones are far shorter.
const MAX_UNIT: usize = 64;

/// Times below are relative to now, in seconds (section 4.5.3).
const FIRST_ABSOLUTE: f64 = 268_435_456.0;

/// A record as it stands in its pack (section 4.1 to 4.3).
#[derive(Debug, Default, PartialEq)]
struct Record {
    base_name: Option<String>,
    base_time: Option<f64>,
    base_unit: Option<String>,
    base_value: Option<f64>,
    base_sum: Option<f64>,
    base_version: Option<f64>,
    name: Option<String>,
    unit: Option<String>,
    value: Option<f64>,
    is_on: Option<bool>,
    /// It has a text or data.
    has_other: bool,
    sum: Option<f64>,
    time: Option<f64>,
    update_time: Option<f64>,
    /// A label that must be understood and is not (section 4.4).
    unknown: Option<String>,
}

impl Record {
    /// Whether it only says something of those behind it.
    fn is_base_only(&self) -> bool {
        let has_own = self.name.is_some()
            || self.unit.is_some()
            || self.time.is_some()
            || self.update_time.is_some()
            || self.has_other;
        !has_own && *self != Self::default()
    }
}

/// What earlier records say of the later ones (section 4.1).
#[derive(Debug, Default, PartialEq, Serialize)]
struct Base {
    #[serde(rename = "bn", skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(rename = "bt", skip_serializing_if = "is_zero")]
    time: f64,
    #[serde(rename = "bu", skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    #[serde(rename = "bv", skip_serializing_if = "is_zero")]
    value: f64,
    #[serde(rename = "bs", skip_serializing_if = "is_zero")]
    sum: f64,
    #[serde(rename = "bver", skip_serializing_if = "is_zero")]
    version: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(number: &f64) -> bool {
    *number == 0.0
}

/// A pack, record by record: what it takes does not grow with records that say nothing.
#[derive(Default)]
struct Pack {
    base: Base,
    readings: Vec<Reading>,
    faults: Faults,
}

impl Pack {
    /// Takes the next record; `part` makes a pack of it alone with what came before it, for the rejects.
    ///
    /// # Errors
    /// If nothing of the pack is to be believed.
    fn take(
        &mut self,
        record: &Record,
        origin: Origin<'_>,
        part: impl FnOnce(&Base) -> Vec<u8>,
    ) -> Result<(), Fault> {
        if let Some(label) = &record.unknown {
            return Err(Fault::NotSenml(format!("label `{label}` is not known")));
        }
        if [&record.base_unit, &record.unit]
            .into_iter()
            .flatten()
            .any(|unit| MAX_UNIT < unit.len())
        {
            return Err(Fault::NotSenml(format!(
                "a unit has more than {MAX_UNIT} bytes"
            )));
        }
        self.base.take(record);
        if NEWEST_VERSION < self.base.version {
            let version = self.base.version;
            return Err(Fault::NotSenml(format!("version {version} is not known")));
        }
        match self.base.reading(record, origin) {
            Ok(Some(reading)) => self.readings.push(reading),
            Ok(None) => {}
            Err(fault) => {
                let base = &self.base;
                self.faults.add(fault, || part(base));
            }
        }
        Ok(())
    }

    /// What came out of all records. A pack of none, or of bases only, is no reading.
    fn decoded(self) -> Decoded {
        let decoded = Decoded {
            readings: self.readings,
            faults: self.faults.told(),
            ..Decoded::default()
        };
        if decoded.readings.is_empty() && decoded.faults.is_empty() {
            return whole(Fault::EmptyArray);
        }
        decoded
    }
}

impl Base {
    /// Whether a record in the rejects has to stand behind it. A name that no sensor can have is not copied for each.
    fn says_something(&self) -> bool {
        *self != Self::default() && self.name.len() <= SensorId::MAX_BYTES
    }

    fn take(&mut self, record: &Record) {
        let take = |base: &mut f64, new: Option<f64>| *base = new.unwrap_or(*base);
        take(&mut self.time, record.base_time);
        take(&mut self.value, record.base_value);
        take(&mut self.sum, record.base_sum);
        take(&mut self.version, record.base_version);
        if let Some(name) = &record.base_name {
            self.name.clone_from(name);
        }
        if record.base_unit.is_some() {
            self.unit.clone_from(&record.base_unit);
        }
    }

    /// `None`: the record only says something of the later ones.
    fn reading(&self, record: &Record, origin: Origin<'_>) -> Result<Option<Reading>, Fault> {
        let number = record.value.map(|value| self.value + value);
        let bool = record.is_on.map(|is_on| f64::from(u8::from(is_on)));
        // One of the two is enough (section 4.1), and a base holds for all that follow.
        let has_sum = record.sum.is_some() || record.base_sum.is_some() || self.sum != 0.0;
        let sum = has_sum.then(|| self.sum + record.sum.unwrap_or_default());
        let fields = [
            record.value.is_some(),
            record.is_on.is_some(),
            record.has_other,
        ];
        if 1 < fields.into_iter().filter(|is_there| *is_there).count() {
            return Err(Fault::NotSenml(
                "a record has more than one value".to_owned(),
            ));
        }
        let is_sum_alone = record.sum.is_some() && !fields.contains(&true);
        let Some(value) = number.or(bool).or(sum.filter(|_| is_sum_alone)) else {
            return if record.is_base_only() {
                Ok(None)
            } else {
                Err(Fault::NoValue)
            };
        };
        if !value.is_finite() {
            return Err(Fault::BadValue {
                name: "v".to_owned(),
                found: value.to_string(),
            });
        }
        if SensorId::MAX_BYTES < self.name.len() {
            return Err(SensorIdError::TooLong.into());
        }
        let mut name = self.name.clone() + record.name.as_deref().unwrap_or_default();
        if name.is_empty() {
            name.push_str(super::topic_sensor(origin)?.as_str());
        }
        if is_sum_alone {
            // Another quantity than the value: that times seconds.
            name.push_str("/sum");
        }
        let sensor_id = SensorId::new(&name)?;
        Ok(Some(Reading {
            sensor_id,
            value,
            ts: self.time(record, origin.now)?,
            received_at: origin.now,
            attributes: self.attributes(record, sum, is_sum_alone),
            topic: origin.topic.cloned(),
        }))
    }

    fn time(&self, record: &Record, now: Timestamp) -> Result<Timestamp, Fault> {
        if self.time == 0.0 && record.time.is_none() {
            return Ok(now);
        }
        let seconds = self.time + record.time.unwrap_or_default();
        let offset = if seconds < FIRST_ABSOLUTE {
            now.millis()
        } else {
            0
        };
        // Beyond the plausible range the cast saturates and the check below refuses.
        let millis = offset.saturating_add((seconds * 1000.0).round() as i64);
        let ts = Timestamp::from_millis(millis);
        let is_relative = seconds < FIRST_ABSOLUTE;
        if seconds.is_finite() && ts.is_plausible() {
            Ok(ts)
        } else if is_relative && millis < 0 {
            // A clock that has not been set: the arrival stands, and is put right with it.
            Ok(now)
        } else {
            Err(Fault::BadTime(seconds.to_string()))
        }
    }

    /// `unit`, `sum` and `update_time`, where the record has them.
    fn attributes(&self, record: &Record, sum: Option<f64>, is_sum_alone: bool) -> Attributes {
        let unit = record.unit.as_ref().or(self.unit.as_ref());
        let seconds = if is_sum_alone { "*s" } else { "" };
        let said = Said {
            unit: unit.map(|unit| format!("{unit}{seconds}")),
            sum: sum.filter(|sum| !is_sum_alone && sum.is_finite()),
            update_time: record.update_time.filter(|time| time.is_finite()),
        };
        serde_json::to_string(&said).map_or_else(|_| Attributes::default(), Attributes::from_json)
    }
}

/// The attributes of a record.
#[derive(Serialize)]
struct Said {
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sum: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    update_time: Option<f64>,
}

#[cfg(test)]
mod tests;
