//! Values of metrics (Sparkplug 3.0.0, section 6.4.16) and of their properties.

use prost::Message as _;
use serde_json::{Map, Value as Json};

use super::payload::{PropertySet, PropertyValue, metric, property_value};

/// Properties of a metric that are looked at; keys and texts have so many bytes at the most.
const MOST_PROPERTIES: usize = 16;
const MOST_BYTES: usize = 256;

/// The number of the type of booleans.
pub(super) const BOOLEAN: u32 = 11;

/// How the number of a metric is written; the rest are no readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DataType {
    /// Two's complement, of so many bits.
    Signed(u32),
    /// Unsigned integers, floats and booleans: the value says which.
    Plain,
    /// Texts, times, bytes, arrays, data sets, templates.
    Other,
}

impl DataType {
    /// The type of this number; `None`: unknown (0).
    pub(super) fn of(number: u32) -> Option<Self> {
        match number {
            0 => None,
            1 => Some(Self::Signed(8)),
            2 => Some(Self::Signed(16)),
            3 => Some(Self::Signed(32)),
            4 => Some(Self::Signed(64)),
            5..=BOOLEAN => Some(Self::Plain),
            _ => Some(Self::Other),
        }
    }

    /// What a value shows by itself: an integer does not tell whether it has a sign.
    pub(super) fn shown_by(value: Option<&metric::Value>) -> Option<Self> {
        use metric::Value::{BooleanValue, DoubleValue, FloatValue, IntValue, LongValue};
        match value {
            Some(IntValue(_) | LongValue(_)) => None,
            Some(FloatValue(_) | DoubleValue(_) | BooleanValue(_)) => Some(Self::Plain),
            None => Some(Self::Other),
        }
    }

    /// The number that a value of this type stands for.
    pub(super) fn number(self, value: &metric::Value) -> Option<f64> {
        use metric::Value::{BooleanValue, DoubleValue, FloatValue, IntValue, LongValue};
        let integer = |bits: u64| match self {
            Self::Signed(width) => signed(bits, width) as f64,
            _ => bits as f64,
        };
        let number = match *value {
            IntValue(bits) => integer(bits.into()),
            LongValue(bits) => integer(bits),
            FloatValue(float) => float.into(),
            DoubleValue(double) => double,
            BooleanValue(is_on) => u8::from(is_on).into(),
        };
        (self != Self::Other).then_some(number)
    }
}

/// The lowest `width` bits in two's complement: some write a negative number with as many as its type has, some with all.
fn signed(bits: u64, width: u32) -> i64 {
    let unused = 64 - width;
    (bits << unused).cast_signed() >> unused
}

/// Adds the properties that are numbers, bools or short texts.
pub(super) fn add_properties(set: &PropertySet, to: &mut Map<String, Json>) {
    for (key, value) in set.keys.iter().zip(&set.values).take(MOST_PROPERTIES) {
        let value = PropertyValue::decode(value.as_ref());
        if key.len() <= MOST_BYTES
            && let Some(value) = value.ok().as_ref().and_then(property)
        {
            to.insert(key.clone(), value);
        }
    }
}

/// `None`: it is null, no scalar, or a float that JSON has no word for.
fn property(value: &PropertyValue) -> Option<Json> {
    use property_value::Value::{
        BooleanValue, DoubleValue, FloatValue, IntValue, LongValue, StringValue,
    };
    let integer = |bits: u64| match value.r#type.and_then(DataType::of) {
        Some(DataType::Signed(width)) => Json::from(signed(bits, width)),
        _ => Json::from(bits),
    };
    let said = value.value.as_ref().filter(|_| value.is_null != Some(true));
    match said? {
        IntValue(bits) => Some(integer((*bits).into())),
        LongValue(bits) => Some(integer(*bits)),
        FloatValue(float) => serde_json::Number::from_f64((*float).into()).map(Json::Number),
        DoubleValue(double) => serde_json::Number::from_f64(*double).map(Json::Number),
        BooleanValue(is_on) => Some(Json::Bool(*is_on)),
        StringValue(text) => (text.len() <= MOST_BYTES).then(|| Json::String(text.clone())),
    }
}
