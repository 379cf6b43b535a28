use super::payload::metric::Value::{BooleanValue, DoubleValue, FloatValue, IntValue, LongValue};
use super::payload::{PropertySet, PropertyValue, property_value};
use super::*;

const NOW: i64 = 1_764_000_000_000;

/// `UPDATE=1` writes it anew.
#[test]
fn the_payload_is_what_prost_makes_of_its_definition() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/ingest/decode/sparkplug/");
    let made = tempfile::tempdir().unwrap();
    let definition = protox::compile(["payload.proto"], [folder]).unwrap();
    prost_build::Config::new()
        .out_dir(made.path())
        .bytes(["."])
        .compile_fds(definition)
        .unwrap();
    let made = std::fs::read_to_string(made.path().join("payload.rs")).unwrap();
    let made = format!("//! What `payload.proto` describes.\n\n{made}");
    let file = format!("{folder}payload.rs");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &made).unwrap();
    }
    let is = std::fs::read_to_string(&file).unwrap();
    assert_eq!(is, made, "run with UPDATE=1");
}

/// A metric by its name, of a type, with a value.
fn named(name: &str, datatype: u32, value: impl Into<Option<metric::Value>>) -> Metric {
    Metric {
        name: Some(name.to_owned()),
        datatype: Some(datatype),
        value: value.into(),
        ..Metric::default()
    }
}

/// A metric by its alias.
fn aliased(alias: u64, value: metric::Value) -> Metric {
    Metric {
        alias: Some(alias),
        value: Some(value),
        ..Metric::default()
    }
}

fn with_alias(alias: u64, metric: Metric) -> Metric {
    Metric {
        alias: Some(alias),
        ..metric
    }
}

fn payload(seq: impl Into<Option<u64>>, metrics: &[Metric]) -> Vec<u8> {
    let metrics = metrics.iter().map(|metric| metric.encode_to_vec().into());
    let payload = Payload {
        seq: seq.into(),
        metrics: metrics.collect(),
        ..Payload::default()
    };
    payload.encode_to_vec()
}

/// What came out: readings as `sensor value later attributes`, statuses as `device = status`, faults as `! label`, requests as `? topic`.
fn told(decoded: &Decoded) -> Vec<String> {
    let readings = decoded.readings.iter().map(|reading| {
        let (sensor, value) = (&reading.sensor_id, reading.value);
        let later = reading.ts.millis() - reading.received_at.millis();
        format!("{sensor} {value} {later} {}", reading.attributes.as_json())
    });
    let statuses = decoded.statuses.iter();
    let statuses = statuses.map(|status| format!("{} = {}", status.device_id, status.status));
    let faults = decoded.faults.iter().map(|(fault, part)| {
        let part = if part.is_some() { "part" } else { "all" };
        format!("! {} {part}", fault.label())
    });
    let requests = decoded.request.iter();
    let requests = requests.map(|request| format!("? {}", request.topic));
    readings
        .chain(statuses)
        .chain(faults)
        .chain(requests)
        .collect()
}

/// Nodes, seen at a time.
#[derive(Default)]
struct Seen {
    births: Births,
    seconds: i64,
}

impl Seen {
    fn at(&self, topic: &TopicName, look: impl FnOnce(Origin<'_>) -> Decoded) -> Vec<String> {
        let now = Timestamp::from_millis(NOW + self.seconds * 1000);
        told(&look(Origin {
            topic: Some(topic),
            now,
        }))
    }

    #[track_caller]
    fn check(&mut self, topic: &str, payload: &[u8], expected: &[&str]) {
        let topic = TopicName::new(&format!("spBv1.0/{topic}")).unwrap();
        let mut births = std::mem::take(&mut self.births);
        let told = self.at(&topic, |origin| births.take(payload, origin));
        self.births = births;
        assert_eq!(told, expected, "{topic}");
    }

    #[track_caller]
    fn check_again(&self, topic: &str, payload: &[u8], expected: &[&str]) {
        let topic = TopicName::new(&format!("spBv1.0/{topic}")).unwrap();
        let told = self.at(&topic, |origin| self.births.read(payload, origin));
        assert_eq!(told, expected, "{topic}");
    }
}

fn session(number: u64) -> Metric {
    named(SESSION, 4, LongValue(number))
}

#[test]
fn a_number_is_a_reading_by_its_type() {
    let metrics = [
        session(0),
        named("Node Control/Rebirth", 11, BooleanValue(false)),
        named("Node Control/Scan Rate", 3, IntValue(500)),
        named("i8", 1, IntValue(0xff)),
        named("i8 of all bits", 1, IntValue(0xffff_ffff)),
        named("i16", 2, IntValue(0x8000)),
        named("i32", 3, IntValue(0xffff_fffe)),
        named("i32 in a long one", 3, LongValue(0xffff_fffe)),
        named("i64", 4, LongValue(u64::MAX)),
        named("u8", 5, IntValue(255)),
        named("u32", 7, IntValue(u32::MAX)),
        named("u32 in a long one", 7, LongValue(0xffff_ffff)),
        named("u64", 8, LongValue(1 << 40)),
        named("float", 9, FloatValue(21.5)),
        named("double", 10, DoubleValue(0.1)),
        named("on", 11, BooleanValue(true)),
        named("folder/off", 11, BooleanValue(false)),
        named("a date", 13, LongValue(NOW as u64)),
        named("a text", 12, None),
        named("a null", 10, None),
        Metric {
            is_null: Some(true),
            ..named("a null with a value", 10, DoubleValue(1.0))
        },
    ];
    Seen::default().check(
        "plant/NBIRTH/n1",
        &payload(0, &metrics),
        &[
            "plant/n1/i8 -1 0 {}",
            "plant/n1/i8 of all bits -1 0 {}",
            "plant/n1/i16 -32768 0 {}",
            "plant/n1/i32 -2 0 {}",
            "plant/n1/i32 in a long one -2 0 {}",
            "plant/n1/i64 -1 0 {}",
            "plant/n1/u8 255 0 {}",
            "plant/n1/u32 4294967295 0 {}",
            "plant/n1/u32 in a long one 4294967295 0 {}",
            "plant/n1/u64 1099511627776 0 {}",
            "plant/n1/float 21.5 0 {}",
            "plant/n1/double 0.1 0 {}",
            "plant/n1/on 1 0 {}",
            "plant/n1/folder/off 0 0 {}",
            "plant:n1 = online",
        ],
    );
}

#[test]
fn data_stands_on_births() {
    let mut seen = Seen::default();
    let birth = [
        with_alias(1, named("temperature", 1, IntValue(20))),
        with_alias(2, named("name", 12, None)),
        with_alias(3, named("Node Control/Scan Rate", 3, IntValue(500))),
        named("level", 1, IntValue(7)),
    ];
    let expected = [
        "p/n/temperature 20 0 {}",
        "p/n/level 7 0 {}",
        "p:n = online",
    ];
    seen.check("p/NBIRTH/n", &payload(0, &birth), &expected);
    let data = [
        aliased(1, IntValue(0xfe)),
        aliased(2, IntValue(1)),
        aliased(3, IntValue(1000)),
        // Some say both, or the name alone, or no type.
        with_alias(1, named("temperature", 1, IntValue(3))),
        named("temperature", 1, IntValue(4)),
        Metric {
            datatype: None,
            ..named("level", 0, IntValue(0xff))
        },
        named("new, and typed", 6, IntValue(9)),
    ];
    let expected = [
        "p/n/temperature -2 0 {}",
        "p/n/temperature 3 0 {}",
        "p/n/temperature 4 0 {}",
        "p/n/level -1 0 {}",
        "p/n/new, and typed 9 0 {}",
    ];
    seen.check("p/NDATA/n", &payload(1, &data), &expected);
    let device = [with_alias(9, named("speed", 10, DoubleValue(1.5)))];
    let expected = ["p/n/d/speed 1.5 0 {}", "p:n:d = online"];
    seen.check("p/DBIRTH/n/d", &payload(2, &device), &expected);
    let data = [aliased(9, DoubleValue(2.5))];
    seen.check("p/DDATA/n/d", &payload(3, &data), &["p/n/d/speed 2.5 0 {}"]);
    // Of another node, and of another device.
    let dark = ["! birth all", "? spBv1.0/p/NCMD/m"];
    seen.check("p/NDATA/m", &payload(3, &[aliased(1, IntValue(1))]), &dark);
    let dark = ["! birth all", "? spBv1.0/p/NCMD/n"];
    seen.check("p/DDATA/n/e", &payload(4, &data), &dark);
}

#[test]
fn what_cannot_be_told_without_a_birth_is_rejected_whole_and_read_once_it_is_there() {
    let mut seen = Seen::default();
    let data = payload(
        5,
        &[named("a", 10, DoubleValue(1.0)), aliased(7, IntValue(0xff))],
    );
    let dark = ["! birth all", "? spBv1.0/p/NCMD/n"];
    seen.check("p/NDATA/n", &data, &dark);
    seen.check_again("p/NDATA/n", &data, &["! birth all"]);
    let birth = payload(0, &[with_alias(7, named("b", 1, None))]);
    seen.check("p/NBIRTH/n", &birth, &["p:n = online"]);
    let read = ["p/n/a 1 0 {}", "p/n/b -1 0 {}"];
    seen.check_again("p/NDATA/n", &data, &read);
    // It was not counted: number 1 is the next.
    let data = payload(1, &[aliased(7, IntValue(1))]);
    seen.check("p/NDATA/n", &data, &["p/n/b 1 0 {}"]);
}

#[test]
fn times_and_properties_go_along() {
    let mut seen = Seen::default();
    let quality = |value| PropertyValue {
        r#type: Some(3),
        value,
        ..PropertyValue::default()
    };
    let values = [
        quality(Some(property_value::Value::IntValue(0xffff_ffff))),
        quality(Some(property_value::Value::StringValue("°C".to_owned()))),
        quality(Some(property_value::Value::DoubleValue(f64::NAN))),
        quality(None),
    ];
    let keys = ["Quality", "engUnit", "nan", "null"];
    let metric = Metric {
        timestamp: Some(NOW as u64 - 5),
        is_historical: Some(true),
        properties: Some(PropertySet {
            keys: keys.map(str::to_owned).to_vec(),
            values: values.map(|value| value.encode_to_vec().into()).to_vec(),
        }),
        ..named("t", 9, FloatValue(1.0))
    };
    let sent = Payload {
        timestamp: Some(NOW as u64 - 3),
        metrics: vec![
            metric.encode_to_vec().into(),
            named("u", 9, FloatValue(2.0)).encode_to_vec().into(),
        ],
        ..Payload::default()
    };
    seen.check(
        "p/NBIRTH/n",
        &sent.encode_to_vec(),
        &[
            r#"p/n/t 1 -5 {"Quality":-1,"engUnit":"°C","historical":true}"#,
            "p/n/u 2 -3 {}",
            "p:n = online",
        ],
    );
    let late = Metric {
        timestamp: Some(u64::MAX),
        ..named("t", 9, FloatValue(1.0))
    };
    seen.check("p/NDATA/n", &payload(None, &[late]), &["! time part"]);
}

#[test]
fn bad_metrics_are_rejected_alone_and_can_be_read_again() {
    let bad = [
        with_alias(1, named("a+b", 10, DoubleValue(1.0))),
        named("nan", 10, DoubleValue(f64::NAN)),
        aliased(4, DoubleValue(1.0)),
        named("good", 10, DoubleValue(2.0)),
    ];
    let mut seen = Seen::default();
    let birth = payload(0, &bad);
    let parts = ["! sensor part", "! value part", "! syntax part"];
    let expected = [
        "p/n/good 2 0 {}",
        "p:n = online",
        parts[0],
        parts[1],
        parts[2],
    ];
    seen.check("p/NBIRTH/n", &birth, &expected);
    // The alias is known, though its name is none: nothing is asked for.
    let data = payload(1, &[aliased(1, DoubleValue(1.0))]);
    seen.check("p/NDATA/n", &data, &["! sensor part"]);
    let topic = TopicName::new("spBv1.0/p/NBIRTH/n").unwrap();
    let origin = Origin {
        topic: Some(&topic),
        now: Timestamp::from_millis(NOW),
    };
    let decoded = seen.births.read(&birth, origin);
    for (fault, part) in decoded.faults {
        let again = seen.births.read(part.as_deref().unwrap(), origin);
        // A bare number in a fault is NaN, which equals nothing.
        assert_eq!(again.faults[0].0.label(), fault.label());
        assert_eq!(again.faults[0].1, part);
    }
}

#[test]
fn a_gap_in_the_numbers_asks_for_births_and_not_too_often() {
    let mut seen = Seen::default();
    let birth = payload(0, &[with_alias(1, named("a", 10, None))]);
    let born = ["p:n = online"];
    seen.check("p/NBIRTH/n", &birth, &born);
    let data = |seq: u64| payload(seq, &[aliased(1, DoubleValue(seq as f64))]);
    let asks = "? spBv1.0/p/NCMD/n";
    seen.check("p/NDATA/n", &data(1), &["p/n/a 1 0 {}"]);
    seen.check("p/NDATA/n", &data(3), &["p/n/a 3 0 {}", asks]);
    seen.check("p/NDATA/n", &data(4), &["p/n/a 4 0 {}"]);
    seen.seconds = 9;
    seen.check("p/NDATA/n", &data(6), &["p/n/a 6 0 {}"]);
    seen.seconds = 10;
    seen.check("p/NDATA/n", &data(255), &["p/n/a 255 0 {}", asks]);
    seen.check("p/NDATA/n", &data(0), &["p/n/a 0 0 {}"]);
    // The clock was set back.
    seen.seconds = -1000;
    seen.check("p/DDEATH/n/d", &payload(2, &[]), &["p:n:d = offline", asks]);
    seen.check("p/NBIRTH/n", &birth, &born);
    seen.check("p/NDATA/n", &data(1), &["p/n/a 1 0 {}"]);
}

#[test]
fn the_request_is_the_command_that_nodes_know() {
    let topic = TopicName::new("spBv1.0/p/NDATA/n").unwrap();
    let origin = Origin {
        topic: Some(&topic),
        now: Timestamp::from_millis(NOW),
    };
    let request = Births::default().take(&payload(1, &[]), origin).request;
    let request = request.unwrap();
    assert_eq!(request.topic.as_str(), "spBv1.0/p/NCMD/n");
    assert!(request.qos == Qos::AtMostOnce && !request.retain);
    let sent = Payload::decode(request.payload.as_slice()).unwrap();
    assert_eq!((sent.timestamp, sent.seq), (Some(NOW as u64), None));
    let metrics = sent.metrics.iter();
    let metrics: Vec<_> = metrics.map(|bytes| decode_metric(bytes).unwrap()).collect();
    let rebirth = named("Node Control/Rebirth", 11, BooleanValue(true));
    let timestamp = Some(NOW as u64);
    assert_eq!(
        metrics,
        [Metric {
            timestamp,
            ..rebirth
        }]
    );
}

#[test]
fn deaths_are_statuses_unless_they_come_late() {
    let mut seen = Seen::default();
    let birth = |number| payload(0, &[session(number), named("a", 10, None)]);
    let death = |number| payload(None, &[session(number)]);
    seen.check("p/NBIRTH/n", &birth(0), &["p:n = online"]);
    seen.check("p/DBIRTH/n/d", &payload(1, &[]), &["p:n:d = online"]);
    // The will of the session before: 255 counts on to 0.
    seen.check("p/NDEATH/n", &death(255), &[]);
    // Born again, it has its device as before; of its metrics nothing is known.
    seen.check("p/NBIRTH/n", &birth(0), &["p:n = online"]);
    let asks = ["! birth all", "? spBv1.0/p/NCMD/n"];
    seen.check(
        "p/DDATA/n/d",
        &payload(1, &[aliased(1, IntValue(1))]),
        &asks,
    );
    seen.check("p/DBIRTH/n/d", &payload(2, &[]), &["p:n:d = online"]);
    seen.check("p/DBIRTH/n/e", &payload(3, &[]), &["p:n:e = online"]);
    seen.check("p/DDEATH/n/e", &payload(4, &[]), &["p:n:e = offline"]);
    seen.check(
        "p/NDEATH/n",
        &death(0),
        &["p:n = offline", "p:n:d = offline"],
    );
    // Unknown, it is dead all the same.
    seen.check("p/NDEATH/n", &death(7), &["p:n = offline"]);
    // Some count on before they say good-bye; some do not count.
    seen.check("p/NBIRTH/n", &birth(1), &["p:n = online"]);
    seen.check("p/NDEATH/n", &death(2), &["p:n = offline"]);
    seen.check("p/NBIRTH/n", &birth(3), &["p:n = online"]);
    seen.check(
        "p/NDEATH/n",
        &payload(None, &[named("x", 10, None)]),
        &["p:n = offline"],
    );
    assert_eq!(
        format!("{:?}", seen.births),
        format!("{:?}", Births::default())
    );
}

#[test]
fn what_is_remembered_is_bounded_and_given_back() {
    let name = "n".repeat(200);
    let metrics: Vec<_> = (0..30_000)
        .map(|number| with_alias(number, named(&format!("{name}{number}"), 10, None)))
        .collect();
    let full = payload(0, &metrics);
    let mut seen = Seen::default();
    for node in ["a", "b"] {
        seen.check(
            &format!("p/NBIRTH/{node}"),
            &full,
            &[&format!("p:{node} = online")],
        );
    }
    seen.check("p/DBIRTH/b/d", &payload(1, &metrics), &["p:b:d = online"]);
    seen.check("p/NBIRTH/c", &full, &["! birth all"]);
    seen.check("p/DBIRTH/a/d", &payload(1, &metrics), &["! birth all"]);
    // In its own place there is room.
    seen.check("p/NBIRTH/a", &full, &["p:a = online"]);
    seen.check("p/DBIRTH/b/d", &payload(2, &metrics), &["p:b:d = online"]);
    let death = payload(None, &[session(0)]);
    seen.check("p/NDEATH/b", &death, &["p:b = offline", "p:b:d = offline"]);
    seen.check("p/NBIRTH/c", &full, &["p:c = online"]);
    for node in ["a", "c"] {
        seen.check(
            &format!("p/NDEATH/{node}"),
            &death,
            &[&format!("p:{node} = offline")],
        );
    }
    assert_eq!(
        format!("{:?}", seen.births),
        format!("{:?}", Births::default())
    );
}

#[test]
fn what_is_no_sparkplug_is_rejected() {
    let mut seen = Seen::default();
    seen.check("p/NDATA/n", b"", &["! empty all"]);
    seen.check("p/NDATA/n", br#"{"value":1}"#, &["! syntax all"]);
    let compressed = Payload {
        uuid: Some(COMPRESSED.to_owned()),
        ..Payload::default()
    };
    seen.check("p/NDATA/n", &compressed.encode_to_vec(), &["! syntax all"]);
    let good = payload(0, &[named("a", 10, DoubleValue(1.0))]);
    for topic in [
        "p/NDATA",
        "p/NDATA/n/d",
        "p/DDATA/n",
        "p/DDATA/n/d/e",
        "p/NOTE/n",
    ] {
        seen.check(topic, &good, &["! topic all"]);
    }
}

#[test]
fn any_bytes_are_read_to_their_end() {
    let metrics = [
        with_alias(1, named("a", 1, IntValue(1))),
        named("b", 10, DoubleValue(2.0)),
    ];
    let good = payload(3, &metrics);
    let topics = ["NBIRTH/n", "DBIRTH/n/d", "NDATA/n", "DDATA/n/d", "NDEATH/n"];
    let topics = topics.map(|topic| TopicName::new(&format!("spBv1.0/p/{topic}")).unwrap());
    let mut draw = fastrand::Rng::with_seed(7);
    let mut births = Births::default();
    for round in 0..20_000 {
        let mut bytes = good.clone();
        for _ in 0..draw.usize(1..4) {
            let at = draw.usize(..bytes.len());
            bytes[at] = draw.u8(..);
        }
        bytes.truncate(draw.usize(1..=bytes.len()));
        let origin = Origin {
            topic: draw.choice(&topics),
            now: Timestamp::from_millis(NOW + round),
        };
        let decoded = births.take(&bytes, origin);
        assert!(
            decoded
                .readings
                .iter()
                .all(|reading| reading.value.is_finite())
        );
        births.read(&bytes, origin);
    }
}
