//! SenML in JSON (RFC 8428, section 5).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::{Base, Pack, Record};
use crate::ingest::decode::{Decoded, Fault, Origin, whole};

/// A record by its labels (table 4 of section 5). Labels twice are an error.
#[derive(Deserialize)]
struct Labels {
    bn: Option<String>,
    bt: Option<f64>,
    bu: Option<String>,
    bv: Option<f64>,
    bs: Option<f64>,
    bver: Option<f64>,
    n: Option<String>,
    u: Option<String>,
    v: Option<f64>,
    vs: Option<String>,
    vb: Option<bool>,
    vd: Option<String>,
    s: Option<f64>,
    t: Option<f64>,
    ut: Option<f64>,
    #[serde(flatten)]
    others: BTreeMap<String, IgnoredAny>,
}

/// Reads a pack.
pub(in crate::ingest::decode) fn decode(text: &str, origin: Origin<'_>) -> Decoded {
    let not_json = |error: serde_json::Error| whole(Fault::NotJson(error.to_string()));
    let elements: Vec<&RawValue> = match serde_json::from_str(text) {
        Ok(elements) => elements,
        Err(error) => return not_json(error),
    };
    let mut pack = Pack::default();
    for element in elements {
        let labels: Labels = match serde_json::from_str(element.get()) {
            Ok(labels) => labels,
            // It can be one that says something of all behind it.
            Err(error) => return not_json(error),
        };
        let part = |base: &Base| part(base, element);
        if let Err(fault) = pack.take(&labels.into(), origin, part) {
            return whole(fault);
        }
    }
    pack.decoded()
}

/// A pack of one record behind its bases.
fn part(base: &Base, record: &RawValue) -> Vec<u8> {
    let written = if base.says_something() {
        serde_json::to_vec(&(base, record))
    } else {
        serde_json::to_vec(&[record])
    };
    // Numbers that were read can be written.
    written.unwrap_or_else(|_| record.get().into())
}

impl From<Labels> for Record {
    fn from(labels: Labels) -> Self {
        Self {
            base_name: labels.bn,
            base_time: labels.bt,
            base_unit: labels.bu,
            base_value: labels.bv,
            base_sum: labels.bs,
            base_version: labels.bver,
            name: labels.n,
            unit: labels.u,
            value: labels.v,
            is_on: labels.vb,
            has_other: labels.vs.is_some() || labels.vd.is_some(),
            sum: labels.s,
            time: labels.t,
            update_time: labels.ut,
            unknown: labels.others.into_keys().find(|label| label.ends_with('_')),
        }
    }
}
