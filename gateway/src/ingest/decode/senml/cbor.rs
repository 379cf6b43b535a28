//! SenML in CBOR (RFC 8428, section 6; CBOR itself: RFC 8949).

use minicbor::{Decoder, Encoder, encode};
use std::convert::Infallible;

use minicbor::data::{Tag, Type};
use minicbor::decode::Error;

use super::{Base, Pack, Record};
use crate::ingest::decode::{Decoded, Fault, Origin, whole};

/// A decimal fraction: an array of exponent and mantissa (RFC 8949, section 3.4.4).
const DECIMAL_FRACTION: Tag = Tag::new(4);

const ARRAY_OF_ONE: u8 = 0x81;

/// Reads a pack.
pub(in crate::ingest::decode) fn decode(payload: &[u8], origin: Origin<'_>) -> Decoded {
    match pack(payload, origin) {
        Ok(decoded) => decoded,
        Err(error) => whole(Fault::NotSenml(error.to_string())),
    }
}

fn pack(payload: &[u8], origin: Origin<'_>) -> Result<Decoded, Error> {
    let mut decoder = Decoder::new(payload);
    let length = decoder.array()?;
    let (mut pack, mut read) = (Pack::default(), 0);
    while has_more(&mut decoder, length, read)? {
        read += 1;
        let begin = decoder.position();
        let record = record(&mut decoder)?;
        let bytes = &payload[begin..decoder.position()];
        if let Err(fault) = pack.take(&record, origin, |base| part(base, bytes)) {
            return Ok(whole(fault));
        }
    }
    if decoder.position() < payload.len() {
        return Err(Error::message("something stands behind the pack"));
    }
    Ok(pack.decoded())
}

/// A pack of one record behind its bases.
fn part(base: &Base, record: &[u8]) -> Vec<u8> {
    let mut pack = if base.says_something() {
        // What is written to memory cannot fail.
        bases(base).unwrap_or_default()
    } else {
        vec![ARRAY_OF_ONE]
    };
    pack.extend(record);
    pack
}

/// The beginning of an array of two, and the first of them: a record of bases alone.
fn bases(base: &Base) -> Result<Vec<u8>, encode::Error<Infallible>> {
    let mut to = Encoder::new(Vec::new());
    to.array(2)?.begin_map()?;
    to.i8(-2)?.str(&base.name)?.i8(-3)?.f64(base.time)?;
    if let Some(unit) = &base.unit {
        to.i8(-4)?.str(unit)?;
    }
    to.i8(-5)?.f64(base.value)?.i8(-6)?.f64(base.sum)?;
    to.i8(-1)?.f64(base.version)?.end()?;
    Ok(to.into_writer())
}

/// Whether an array or a map has another item; of unknown length it has one until it is broken off.
fn has_more(decoder: &mut Decoder<'_>, length: Option<u64>, read: usize) -> Result<bool, Error> {
    match length {
        Some(length) => Ok((read as u64) < length),
        None if decoder.datatype()? == Type::Break => decoder.skip().map(|()| false),
        None => Ok(true),
    }
}

/// A record by its labels (table 6 of section 6).
fn record(decoder: &mut Decoder<'_>) -> Result<Record, Error> {
    let length = decoder.map()?;
    let mut record = Record::default();
    let (mut read, mut seen) = (0, 0_u32);
    while has_more(decoder, length, read)? {
        read += 1;
        if matches!(decoder.datatype()?, Type::String | Type::StringIndef) {
            let label = text(decoder)?;
            if label.ends_with('_') {
                record.unknown = Some(label);
            }
            decoder.skip()?;
            continue;
        }
        let label = decoder.i64()?;
        let bit = match label {
            -6..=8 => 1 << (label + 6),
            _ => 0,
        };
        if seen & bit != 0 {
            return Err(Error::message(format!("label {label} is there twice")));
        }
        seen |= bit;
        match label {
            -1 => record.base_version = Some(number(decoder)?),
            -2 => record.base_name = Some(text(decoder)?),
            -3 => record.base_time = Some(number(decoder)?),
            -4 => record.base_unit = Some(text(decoder)?),
            -5 => record.base_value = Some(number(decoder)?),
            -6 => record.base_sum = Some(number(decoder)?),
            0 => record.name = Some(text(decoder)?),
            1 => record.unit = Some(text(decoder)?),
            2 => record.value = Some(number(decoder)?),
            4 => record.is_on = Some(decoder.bool()?),
            5 => record.sum = Some(number(decoder)?),
            6 => record.time = Some(number(decoder)?),
            7 => record.update_time = Some(number(decoder)?),
            3 | 8 => {
                record.has_other = true;
                decoder.skip()?;
            }
            _ => decoder.skip()?,
        }
    }
    Ok(record)
}

fn text(decoder: &mut Decoder<'_>) -> Result<String, Error> {
    decoder.str_iter()?.collect()
}

/// An integer, a float of any size, or a decimal fraction.
fn number(decoder: &mut Decoder<'_>) -> Result<f64, Error> {
    match decoder.datatype()? {
        Type::F16 => decoder.f16().map(f64::from),
        Type::F32 => decoder.f32().map(f64::from),
        Type::F64 => decoder.f64(),
        Type::Tag if decoder.tag()? == DECIMAL_FRACTION => {
            if decoder.array()? != Some(2) {
                return Err(Error::message("a decimal fraction has two parts"));
            }
            let (exponent, mantissa) = (decoder.i64()?, i128::from(decoder.int()?));
            // As text it is read to the nearest float; an exponent that no float has gives zero or infinity, as it should.
            let text = format!("{mantissa}e{exponent}");
            text.parse()
                .map_err(|_| Error::message("a bad decimal fraction"))
        }
        Type::Tag => Err(Error::message("a number with a tag that is not known")),
        _ => decoder.int().map(|int| i128::from(int) as f64),
    }
}
