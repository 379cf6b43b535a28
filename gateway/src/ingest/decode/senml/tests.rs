use minicbor::Encoder;

use super::*;
use crate::config::PayloadFormat;
use crate::domain::topic::TopicName;
use crate::ingest::decode::decode;

const NOW: Timestamp = Timestamp::from_millis(1_764_000_000_000);

/// The readings as `sensor value ts attributes`, then the labels of the faults with what they are about.
fn told(format: PayloadFormat, payload: &[u8]) -> Vec<String> {
    let topic = TopicName::new("senml/hall/s9").unwrap();
    let origin = Origin {
        topic: Some(&topic),
        now: NOW,
    };
    let decoded = decode(format, payload, origin);
    let readings = decoded.readings.iter().map(|reading| {
        let (sensor, value, later) = (
            &reading.sensor_id,
            reading.value,
            reading.ts.millis() - NOW.millis(),
        );
        format!("{sensor} {value} {later} {}", reading.attributes.as_json())
    });
    let faults = decoded.faults.iter().map(|(fault, part)| {
        let part = part
            .as_deref()
            .map_or("all".into(), String::from_utf8_lossy);
        format!("! {} {part}", fault.label())
    });
    readings.chain(faults).collect()
}

#[track_caller]
fn check(payload: &str, expected: &[&str]) {
    assert_eq!(
        told(PayloadFormat::SenmlJson, payload.as_bytes()),
        expected,
        "{payload}"
    );
}

#[track_caller]
fn check_cbor(expected: &[&str], encode: impl FnOnce(&mut Encoder<Vec<u8>>)) {
    let mut encoder = Encoder::new(Vec::new());
    encode(&mut encoder);
    assert_eq!(
        told(PayloadFormat::SenmlCbor, &encoder.into_writer()),
        expected
    );
}

#[test]
fn names_times_and_values_stand_on_their_bases() {
    check(
        r#"[{"bn":"urn:dev:ow:10e2073a01080063/","bt":1764000001.25,"bu":"A","bver":10,"n":"voltage","u":"V","v":120.1},
            {"n":"current","t":-5,"v":1.2},{"n":"current","t":-4,"v":1.3}]"#,
        &[
            r#"urn:dev:ow:10e2073a01080063/voltage 120.1 1250 {"unit":"V"}"#,
            r#"urn:dev:ow:10e2073a01080063/current 1.2 -3750 {"unit":"A"}"#,
            r#"urn:dev:ow:10e2073a01080063/current 1.3 -2750 {"unit":"A"}"#,
        ],
    );
    check(
        r#"[{"bn":"a","bv":20,"v":1.5},{"n":"x","v":2.5},{"bn":"b","bv":0,"v":3}]"#,
        &["a 21.5 0 {}", "ax 22.5 0 {}", "b 3 0 {}"],
    );
}

#[test]
fn a_record_may_only_speak_of_those_behind_it() {
    check(r#"[{"bn":"a","bt":-2},{"v":1}]"#, &["a 1 -2000 {}"]);
    check(
        r#"[{"bn":"a","n":"b"},{"v":1}]"#,
        &["a 1 0 {}", r#"! value [{"bn":"a"},{"bn":"a","n":"b"}]"#],
    );
}

#[test]
fn times_below_two_to_the_28th_are_relative_to_now() {
    check(r#"[{"n":"a","v":1,"t":-60.5}]"#, &["a 1 -60500 {}"]);
    check(r#"[{"n":"a","v":1,"t":0}]"#, &["a 1 0 {}"]);
    check(r#"[{"n":"a","v":1,"t":30}]"#, &["a 1 30000 {}"]);
    check(r#"[{"n":"a","v":1,"t":1764000000}]"#, &["a 1 0 {}"]);
    check(
        r#"[{"n":"a","v":1,"t":1e300},{"n":"b","v":2}]"#,
        &["b 2 0 {}", r#"! time [{"n":"a","v":1,"t":1e300}]"#],
    );
}

#[test]
fn bools_are_one_or_zero_and_sums_stand_alone_or_beside() {
    check(
        r#"[{"n":"on","vb":true},{"n":"off","vb":false}]"#,
        &["on 1 0 {}", "off 0 0 {}"],
    );
    check(
        r#"[{"n":"m","bs":100,"s":5.5,"u":"J"},{"n":"m","v":2,"s":6,"ut":10}]"#,
        &[
            r#"m/sum 105.5 0 {"unit":"J*s"}"#,
            r#"m 2 0 {"sum":106.0,"update_time":10.0}"#,
        ],
    );
}

#[test]
fn a_base_sum_is_a_sum_of_its_own() {
    check(
        r#"[{"n":"m","bs":100,"v":2},{"n":"k","v":3}]"#,
        &[r#"m 2 0 {"sum":100.0}"#, r#"k 3 0 {"sum":100.0}"#],
    );
}

#[test]
fn a_clock_that_is_not_set_refuses_no_time_before_it() {
    let topic = TopicName::new("senml/s9").unwrap();
    let now = Timestamp::from_millis(40_000);
    let origin = Origin {
        topic: Some(&topic),
        now,
    };
    let decoded = decode(PayloadFormat::SenmlJson, br#"[{"v":1,"t":-60}]"#, origin);
    assert_eq!(decoded.readings[0].ts, now);
}

#[test]
fn a_small_pack_cannot_become_a_large_one() {
    let (long, more) = ("x".repeat(100_000), r#",{"v":2}"#.repeat(10_000));
    check(
        &format!(r#"[{{"bu":"{long}","n":"a","v":1}}{more}]"#),
        &["! syntax all"],
    );
    check(
        &format!(r#"[{{"bn":"{long}","v":1}}{more}]"#),
        &["! syntax all"],
    );
}

#[test]
fn a_pack_without_a_name_is_of_its_topic() {
    check(r#"[{"v":1}]"#, &["s9 1 0 {}"]);
}

#[test]
fn what_is_no_number_is_rejected_alone() {
    check(
        r#"[{"n":"a","v":1},{"n":"b","vs":"x"},{"n":"c","vd":"AQID"},{"n":"d"},{"n":"a+b","v":1}]"#,
        &[
            "a 1 0 {}",
            r#"! value [{"n":"b","vs":"x"}]"#,
            r#"! value [{"n":"c","vd":"AQID"}]"#,
            r#"! value [{"n":"d"}]"#,
            r#"! sensor [{"n":"a+b","v":1}]"#,
        ],
    );
    check(
        r#"[{"n":"a","v":1,"vb":true},{"n":"b","v":1.7e308,"bv":1.7e308}]"#,
        &[
            r#"! syntax [{"n":"a","v":1,"vb":true}]"#,
            r#"! value [{"bv":1.7e+308},{"n":"b","v":1.7e308,"bv":1.7e308}]"#,
        ],
    );
}

#[test]
fn a_pack_that_cannot_be_understood_is_rejected_whole() {
    for payload in [
        "",
        "[",
        "{}",
        "80",
        "[]",
        r#"[{"n":"a","v":1},{"n":7,"v":1}]"#,
        r#"[{"n":"a","v":1,"v":2}]"#,
        r#"[{"n":"a","v":1,"must_":2}]"#,
        r#"[{"n":"a","v":1,"bver":32}]"#,
        r#"[{"bn":"a"}]"#,
    ] {
        let told = told(PayloadFormat::SenmlJson, payload.as_bytes());
        assert!(
            told.len() == 1 && told[0].starts_with("! ") && told[0].ends_with(" all"),
            "{payload}: {told:?}"
        );
    }
    check(r#"[{"n":"a","v":1,"may":{"x":2}}]"#, &["a 1 0 {}"]);
    // Of the drafts, and with secondary units (RFC 9100).
    check(r#"[{"n":"a","v":1,"bver":5}]"#, &["a 1 0 {}"]);
    check(
        r#"[{"n":"a","v":1,"bver":26,"u":"km/h"}]"#,
        &[r#"a 1 0 {"unit":"km/h"}"#],
    );
}

#[test]
fn cbor_is_read_by_its_labels() {
    // The example of RFC 8428, section 6, shortened, with a half, a decimal fraction and a label that is not known.
    check_cbor(
        &[
            r#"urn:dev/t 20.5 1000 {"unit":"Cel"}"#,
            r#"urn:dev/h 273.15 0 {"unit":"Cel"}"#,
            r#"urn:dev/i 7 0 {"unit":"Cel"}"#,
        ],
        |pack| {
            pack.array(3).unwrap();
            pack.map(6).unwrap();
            pack.i8(-2).unwrap().str("urn:dev/").unwrap();
            pack.i8(-3).unwrap().i64(1_764_000_000).unwrap();
            pack.i8(-4).unwrap().str("Cel").unwrap();
            pack.i8(0).unwrap().str("t").unwrap();
            pack.i8(2).unwrap().f16(20.5).unwrap();
            pack.i8(6).unwrap().f32(1.0).unwrap();
            pack.map(2).unwrap();
            pack.i8(0).unwrap().str("h").unwrap();
            pack.i8(2)
                .unwrap()
                .tag(minicbor::data::Tag::new(4))
                .unwrap();
            pack.array(2).unwrap().i8(-2).unwrap().u32(27315).unwrap();
            pack.begin_map().unwrap();
            pack.i8(0).unwrap().str("i").unwrap();
            pack.i8(2).unwrap().u8(7).unwrap();
            pack.i8(99).unwrap().str("new").unwrap();
            pack.str("more").unwrap().bool(true).unwrap();
            pack.end().unwrap();
        },
    );
}

#[test]
fn bad_cbor_is_rejected() {
    let check = |bytes: &[u8], expected: &str| {
        let told = told(PayloadFormat::SenmlCbor, bytes);
        assert_eq!(told, [expected], "{bytes:02x?}");
    };
    let text = b"\x81\xa2\x00\x61b\x03\x61x";
    check(text, &format!("! value {}", String::from_utf8_lossy(text)));
    check(b"\x80", "! empty all");
    let whole: &[&[u8]] = &[
        b"",
        // A record without a pack, and a pack that breaks off.
        b"\xa1\x02\x02",
        b"\x82\xa1\x02\x02",
        // A value that is text, a label that is there twice, and one that must be understood.
        b"\x81\xa1\x02\x612",
        b"\x81\xa2\x02\x01\x02\x01",
        b"\x81\xa1\x65must_\x02",
        // Something behind the pack.
        b"\x81\xa1\x02\x02\x00",
        // It says that it has more than there can be.
        b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
    ];
    for bytes in whole {
        check(bytes, "! syntax all");
    }
}

/// What is rejected alone is a pack that has the same to say.
#[track_caller]
fn check_parts(format: PayloadFormat, payload: &[u8], sensor: &str) {
    let topic = TopicName::new("senml/hall/s9").unwrap();
    let origin = Origin {
        topic: Some(&topic),
        now: NOW,
    };
    let whole = decode(format, payload, origin);
    let good = whole.readings.last().unwrap();
    assert_eq!(good.sensor_id.as_str(), sensor);
    let (fault, part) = whole.faults.first().unwrap();
    let part = part.as_deref().unwrap();
    let again = decode(format, part, origin);
    assert!(again.readings.is_empty());
    assert_eq!(again.faults, [(fault.clone(), Some(part.to_vec()))]);
}

#[test]
fn what_is_rejected_alone_keeps_what_came_before_it() {
    let text = br#"[{"bn":"hall/","bt":1764000000,"bu":"Cel","bv":20,"bs":1,"bver":10},{"n":"a+","v":1},{"n":"b","v":2}]"#;
    check_parts(PayloadFormat::SenmlJson, text, "hall/b");
    let told = told(PayloadFormat::SenmlJson, text);
    let kept = r#"[{"bn":"hall/","bt":1764000000.0,"bu":"Cel","bv":20.0,"bs":1.0,"bver":10.0},{"n":"a+","v":1}]"#;
    assert_eq!(told[1], format!("! sensor {kept}"));

    let mut pack = Encoder::new(Vec::new());
    pack.array(3).unwrap().map(3).unwrap();
    pack.i8(-2).unwrap().str("hall/").unwrap();
    pack.i8(-4).unwrap().str("Cel").unwrap();
    pack.i8(-5).unwrap().f64(20.0).unwrap();
    for name in ["a+", "b"] {
        pack.map(2).unwrap().i8(0).unwrap().str(name).unwrap();
        pack.i8(2).unwrap().u8(1).unwrap();
    }
    check_parts(PayloadFormat::SenmlCbor, &pack.into_writer(), "hall/b");
}
